"""The spool: a Redis stream that takes events which the database did not take.

What is in it was acknowledged, so it is as safe as that Redis (run it with AOF). It is copied into
the inbox, by every drain first and by the web processes; that is committed, and only then is the
stream's entry deleted: a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import orjson
import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq.timeouts import BaseTimeoutException
from sqlalchemy.exc import SQLAlchemyError

from models.storage import db, errors, reasons
from models.tables import webhook_event
from worker.process.backend import Backend

SPOOL = "rollcall:spool"
HINDRANCE = "rollcall:spool:hindrance"
HINDRANCE_LIFE_SECONDS = 60

BATCH = 500
FIELD = b"row"

MOST_REMEMBERED = 10_000
"""Log lines about entries that stay: each process says each once, and may repeat it with more."""

Stored = tuple[bytes, dict[bytes, bytes]]
Row = dict[str, Any]

log = structlog.get_logger()


def add(redis: Redis, row: Row) -> None:
    """Keep an inbox row until the database is back. Raises RedisError."""
    redis.xadd(SPOOL, {FIELD: orjson.dumps(row)})


def note_hindrance(redis: Redis, reason: str) -> None:
    """Remember for a minute why the database does not take what is in it. Raises RedisError."""
    redis.set(HINDRANCE, reason, ex=HINDRANCE_LIFE_SECONDS)


def hindrance(redis: Redis) -> str:
    """Why the database did not take it lately; empty when nobody knows. Raises RedisError."""
    return cast("bytes", redis.get(HINDRANCE) or b"").decode()


def copy(backend: Backend) -> int:
    """Move up to BATCH rows into the inbox; how many. Raises what Redis and the database raise.

    An entry that the database refuses, or that can't be read, stays in the spool, and holds up none
    behind it.
    """
    after = "-"
    while entries := _read(backend.redis, after):
        rows = list(_rows(entries))
        moved = _insert(backend, rows) if rows else []
        if moved:
            backend.redis.xdel(SPOOL, *moved)
            return len(moved)
        after = f"({entries[-1][0].decode()}"
    return 0


def length(redis: Redis) -> int:
    """How many rows wait. Raises RedisError."""
    return int(redis.xlen(SPOOL))


def oldest(redis: Redis) -> datetime | None:
    """When the oldest row came into it, by Redis's clock. Raises RedisError."""
    entries = _read(redis, "-", count=1)
    if not entries:
        return None
    return datetime.fromtimestamp(int(entries[0][0].partition(b"-")[0]) / 1000, UTC)


def unreadable(redis: Redis) -> list[str]:
    """Which entries can't be read, by their ids in the stream, among the BATCH that came first.
    Raises RedisError."""
    return [entry.decode() for entry, fields in _read(redis, "-") if _row(fields) is None]


def _read(redis: Redis, after: str, *, count: int = BATCH) -> list[Stored]:
    return cast("list[Stored]", redis.xrange(SPOOL, min=after, count=count))


def _rows(entries: Sequence[Stored]) -> Iterator[tuple[bytes, Row]]:
    """The rows of those that can be read."""
    for entry, fields in entries:
        row = _row(fields)
        if row is None:
            _say_unreadable(entry.decode())
            continue
        if unknown := row.keys() - webhook_event.EMPTY.keys():
            _say_left_out(tuple(sorted(unknown)))
        yield entry, {name: row[name] for name in webhook_event.EMPTY}


def _row(fields: dict[bytes, bytes]) -> Row | None:
    """The row of an entry, maybe with other columns than ours: an older or a newer version wrote
    it. None for what is no row."""
    try:
        row: Row = webhook_event.EMPTY | orjson.loads(fields[FIELD])
        for name in ("created_at", "received_at"):
            row[name] = datetime.fromisoformat(row[name]) if row[name] else None
    except (KeyError, TypeError, ValueError):
        return None
    return row


def _insert(backend: Backend, rows: Sequence[tuple[bytes, Row]]) -> list[bytes]:
    """Insert and commit; the ids of the entries that the inbox has now."""
    try:
        with db.writing(backend.engine) as conn:
            webhook_event.insert_rows(conn, [row for _, row in rows])
    except Exception as error:
        if not _is_about_rows(error):
            raise
        if len(rows) > 1:
            return [moved for each in rows for moved in _insert(backend, [each])]
        _refused(backend.redis, *rows[0], reasons.of(error))
        return []
    return [entry for entry, _ in rows]


def _is_about_rows(error: Exception) -> bool:
    """A value of the wrong kind raises errors of Python's own before any database sees it."""
    if isinstance(error, SQLAlchemyError):
        return errors.is_about_rows(error)
    return not isinstance(error, BaseTimeoutException)


def _refused(redis: Redis, entry: bytes, row: Row, reason: str) -> None:
    """Have the doctor know, and the log."""
    _say_refused(entry.decode(), str(row["event_id"]), reason)
    with suppress(RedisError):
        note_hindrance(redis, f"{entry.decode()}: {reason}")


@lru_cache(MOST_REMEMBERED)
def _say_refused(entry: str, event_id: str, reason: str) -> None:
    log.error("spool.refused", entry=entry, event_id=event_id, reason=reason)


@lru_cache(MOST_REMEMBERED)
def _say_unreadable(entry: str) -> None:
    log.error("spool.unreadable", entry=entry)


@lru_cache(MOST_REMEMBERED)
def _say_left_out(columns: tuple[str, ...]) -> None:
    log.warning("spool.columns_left_out", columns=columns)
