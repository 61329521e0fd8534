"""The drain: folds the inbox into the tables, a batch a transaction, and clears the cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from threading import Event as Flag
from time import monotonic, perf_counter, sleep

import structlog
from redis.exceptions import RedisError
from rq.timeouts import BaseTimeoutException
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from models.domain.event import Event
from models.domain.json_fields import Unreadable
from models.ledger import apply as ledger
from models.ledger import erasure
from models.ledger.touched import Touched
from models.storage import db
from models.tables import webhook_event
from models.tables.webhook_event import Mail
from worker.cache.change import Change, changing
from worker.inbox import bell, spool
from worker.process import metrics, shutdown
from worker.process.backend import Backend, own_backend

BATCH = 500
"""Events a transaction: large enough that a commit costs little, small enough to hold rooms for
some 100 ms only."""

WHILE_DRAINING = {"enable_seqscan": "off", "synchronous_commit": "off"}
"""PostgreSQL's settings. It keeps the plan of a statement that is run often: one made while a table
was small would read all of it, and go on to while it grows, until it is analyzed (27 ms a batch).
And a commit need not wait for the disk (15 ms): rows whose batch a crash undoes are pending again.
"""

NOBODYS_FAULT = (OperationalError, InterfaceError, BaseTimeoutException)
"""A lost connection, a deadlock or RQ's timeout: the batch rolls back and no event failed."""

DRAIN_SECONDS = 5.0
"""A drain's work before it lets sweeps and others come between: RQ's own work for a job takes some
milliseconds, and is done once for many batches."""

PAUSE_SECONDS = 0.02
"""Before a drain looks again that found its rows gone or held: an erasure may hold them."""

RETRY_SECONDS = 0.5
"""Before a failed drain rings again: an outage must not become a loop."""

log = structlog.get_logger()


def drain() -> None:
    """RQ job: apply what waits, for DRAIN_SECONDS at most. Should that fail, ring to try again."""
    backend = own_backend()
    try:
        take_turn(backend)
    except BaseTimeoutException:
        _ring(backend)
        raise
    except NOBODYS_FAULT as error:
        log.warning("drain.failed", error=type(error).__name__)
        sleep(RETRY_SECONDS)
        _ring(backend)


def take_turn(backend: Backend, stopping: Flag = shutdown.requested) -> None:
    """Answer the bell, move what was spooled into the inbox, and apply what waits."""
    _answer_bell(backend)
    work_off(backend, stopping)


def work_off(backend: Backend, stopping: Flag = shutdown.requested) -> None:
    """Apply batch after batch, until nothing waits in a room that is free.

    After DRAIN_SECONDS, or at once when asked to stop, leave the rest to another job. (Without
    Redis no job would come: go on after DRAIN_SECONDS.)

    A drain need not ring for the rooms that it passes over: whoever holds them looks again after
    the commit.
    """
    ends_at = monotonic() + DRAIN_SECONDS
    adopted = _adopt(backend)
    while (count := _batch(backend)) is not None or adopted:
        over = stopping.is_set() or monotonic() > ends_at
        if over and (_ring(backend) or stopping.is_set()):
            return
        if count == 0:
            sleep(PAUSE_SECONDS)
        adopted = adopted and _adopt(backend)


def _adopt(backend: Backend) -> int:
    """Have a batch wait of what processes of an older version stored, which go on during a
    deployment; how many there were."""
    with db.reading(backend.engine) as conn:
        if not webhook_event.older_ones_wait(conn):
            return 0
    with db.writing(backend.engine) as conn:
        return webhook_event.adopt(conn, limit=BATCH)


def _batch(backend: Backend) -> int | None:
    """Apply a batch; how many events were taken, or None when no room with any is free.

    When other rooms wait, it rings before it is applied, so that idle workers help. Whatever fails
    rolls the batch back and is raised.
    """
    started = perf_counter()
    with changing(backend) as change:
        db.set_locally(change.conn, WHILE_DRAINING)
        # Before any row: an erasure, which holds drains off, rewrites rows that this might take.
        erasure.hold_drains(change.conn, shared=True)
        taken = webhook_event.take(change.conn, BATCH)
        if taken is None:
            return None
        mail, others_wait = taken
        if not mail:
            return 0
        if others_wait:
            _ring(backend)
        failed = _apply(change, mail, backend)
    _report(mail, failed, perf_counter() - started)
    return len(mail)


def _report(mail: Sequence[Mail], failed: int, seconds: float) -> None:
    """Count and log a batch."""
    metrics.drain_events.observe(len(mail))
    metrics.drain_seconds.observe(seconds)
    metrics.failed_events.inc(failed)
    now = datetime.now(UTC)
    for row in mail:
        metrics.applied_seconds.observe((now - row.received_at).total_seconds())
    ms = round(seconds * 1000, 1)
    log.info("events.applied", count=len(mail) - failed, failed=failed, ms=ms)


def _answer_bell(backend: Backend) -> None:
    """Silence it before looking, and fetch what was spooled; without Redis there is neither."""
    with contextlib.suppress(RedisError):
        bell.answer(backend.redis)
        if _copy_spool(backend) and spool.length(backend.redis):
            bell.ring(backend.redis)


def _copy_spool(backend: Backend) -> int:
    """Move a part of it into the inbox; how many. An error of its own holds up nothing there."""
    try:
        return spool.copy(backend)
    except (RedisError, *NOBODYS_FAULT):
        raise
    except Exception:
        log.exception("spool.failed")
        return 0


def _ring(backend: Backend) -> bool:
    """Ring; False when nobody hears it."""
    try:
        bell.ring(backend.redis)
    except RedisError:
        return False
    return True


def _apply(change: Change, mail: Sequence[Mail], backend: Backend) -> int:
    """Apply a batch; how many failed."""
    conn = change.conn
    readable, failed = _read(conn, mail)
    readable = erasure.disguise(conn, readable)
    touched: list[Touched] = []
    try:
        with conn.begin_nested():
            touched.append(_fold(conn, [event for _, event in readable], backend))
        applied = [row_id for row_id, _ in readable]
    except NOBODYS_FAULT:
        raise
    except Exception:
        applied, touched = _apply_singly(conn, readable, backend)
    spoilt = {row.id for row in mail if row.spoilt}
    webhook_event.mark_applied(conn, [row_id for row_id in applied if row_id in spoilt])
    change.keys.update(*(part.keys for part in touched))
    return failed + len(readable) - len(applied)


def _read(conn: Connection, mail: Sequence[Mail]) -> tuple[Sequence[tuple[int, Event]], int]:
    readable, failed = [], 0
    for row in mail:
        try:
            readable.append((row.id, row.read()))
        except Unreadable as error:
            webhook_event.mark_failed(conn, row.id, error=_reason(error))
            failed += 1
    return readable, failed


def _apply_singly(
    conn: Connection, readable: Iterable[tuple[int, Event]], backend: Backend
) -> tuple[list[int], list[Touched]]:
    """Apply each event in its own savepoint, so that a bad one fails alone."""
    applied, touched = [], []
    for row_id, event in readable:
        try:
            with conn.begin_nested():
                touched.append(_fold(conn, [event], backend))
            applied.append(row_id)
        except NOBODYS_FAULT:
            raise
        except Exception as error:
            webhook_event.mark_failed(conn, row_id, error=_reason(error))
            log.warning("event.failed", event_id=event.event_id, error=type(error).__name__)
    return applied, touched


def _fold(conn: Connection, events: Sequence[Event], backend: Backend) -> Touched:
    return ledger.apply(conn, events, now=datetime.now(UTC), settings=backend.settings)


def _reason(error: Exception) -> str:
    """The error's kind and its first line: in the next ones a driver quotes the row."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
