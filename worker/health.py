"""What this process can find out about its own health: for /readyz, and for the doctor.

LiveKit's API is not asked, so that the web process need not load its client.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from models.storage import db, reasons, schema
from models.tables import webhook_event
from worker.inbox import spool, workers
from worker.process.backend import Backend

WAITS_TOO_LONG = timedelta(seconds=30)
CLOCKS_APART = timedelta(seconds=30)
"""Tokens are good for 60 s around now; half of that is worth a warning."""

RECENT = timedelta(days=1)
"""How long an unreadable webhook is worth a look: it stays in the ledger, and nothing mends it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, what was seen, and what to do when it is not.

    `seconds`: how long the oldest event waits, or how far apart the clocks are.
    """

    what: str
    well: bool
    seen: str
    todo: str = ""
    seconds: float | None = None


def findings(here: Backend, *, now: datetime) -> list[Finding]:
    """Everything that this process can look at without LiveKit's API."""
    of_database = list(database(here, now))
    return [*of_database, *_redis(here, takes_events=all(map(serves, of_database)))]


def serves(found: Finding) -> bool:
    """Whether webhooks can be stored in spite of it: the one thing that readiness is about."""
    return found.well or found.what not in {"database", "migrations"}


def database(here: Backend, now: datetime) -> Iterator[Finding]:
    try:
        with db.reading(here.engine) as conn:
            current = schema.is_current(conn)
            yield Finding("database", well=True, seen=f"{here.engine.dialect.name} answers")
            yield _migrations(conn, current=current)
            if current:
                yield from (
                    _pending(conn, now),
                    _failed(conn),
                    _unreadable(conn, now),
                    _clock(conn),
                )
    except SQLAlchemyError as error:
        seen = f"does not answer: {reasons.of(error)}"
        todo = "check DATABASE_URL and the server: does it have this database and user?"
        yield Finding("database", well=False, seen=seen, todo=todo)


def _migrations(conn: Connection, *, current: bool) -> Finding:
    if current:
        return Finding("migrations", well=True, seen="newest")
    if schema.is_ahead(conn):
        seen, todo = "newer than this code", "deploy the code that migrated it"
    else:
        seen, todo = "not the newest", "run `alembic upgrade head` (the Procfile's release)"
    return Finding("migrations", well=False, seen=seen, todo=todo)


def _pending(conn: Connection, now: datetime) -> Finding:
    waited = webhook_event.longest_wait(conn, now=now)
    seconds = waited.total_seconds()
    return Finding(
        "pending",
        well=waited < WAITS_TOO_LONG,
        seen=f"{webhook_event.pending(conn)} waiting, the oldest for {seconds:.0f} s",
        todo="are workers and the scheduler running?",
        seconds=round(seconds, 1),
    )


def _failed(conn: Connection) -> Finding:
    count = webhook_event.failed(conn)
    todo = "`flask events list --status failed`, mend the cause, `flask events replay`"
    return Finding("failed", well=count == 0, seen=f"{count} failed", todo=todo)


def _unreadable(conn: Connection, now: datetime) -> Finding:
    lately, count = (webhook_event.unreadable(conn, since=at) for at in (now - RECENT, None))
    return Finding(
        "unreadable",
        well=lately == 0,
        seen=f"{lately} in the last day, {count} in all",
        todo="`flask events list --status unreadable` says what was not understood",
    )


def _clock(conn: Connection) -> Finding:
    """Events can come late but not early: the least delay of the latest tells the clocks' gap."""
    delay = webhook_event.least_delay(conn)
    if delay is None:
        return Finding("clock", well=True, seen="no webhook has come yet")
    seconds = delay.total_seconds()
    return Finding(
        "clock",
        well=abs(delay) < CLOCKS_APART,
        seen=f"webhooks arrive {seconds:.1f} s after LiveKit's clock says they were sent",
        todo="run NTP here and on the LiveKit server: tokens are refused from 60 s on",
        seconds=round(seconds, 1),
    )


def _redis(here: Backend, *, takes_events: bool) -> Iterator[Finding]:
    try:
        spooled = spool.length(here.redis)
        working, scheduling = workers.alive(here.redis), workers.schedulers(here.redis)
    except RedisError as error:
        seen = f"does not answer ({reasons.of(error)}): slower, nothing is lost"
        yield Finding("redis", well=False, seen=seen, todo="check REDIS_URL and the server")
        return
    yield Finding("redis", well=True, seen="answers")
    yield _spool(spooled, takes_events=takes_events)
    todo = "start the Procfile's `worker`"
    yield Finding("workers", well=working > 0, seen=f"{working} alive", todo=todo)
    todo = "start the Procfile's `scheduler`"
    yield Finding("scheduler", well=scheduling > 0, seen=f"{scheduling} alive", todo=todo)


def _spool(spooled: int, *, takes_events: bool) -> Finding:
    """A spool is there to be used while the database is down: that is no finding of its own."""
    if not spooled:
        return Finding("spool", well=True, seen="empty")
    if not takes_events:
        return Finding(
            "spool", well=True, seen=f"keeps {spooled} events until the database is back"
        )
    return Finding(
        "spool",
        well=False,
        seen=f"{spooled} events in Redis that are not in the database, which is up",
        todo="a web process copies them within seconds; else its log says why (spool.waiting,"
        " spool.refused)",
    )
