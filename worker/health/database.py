"""The database: whether it takes events, and what those that it has tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from models.ledger import failures
from models.storage import db, reasons, schema, suitability
from models.tables import pending_event, webhook_event
from worker.health.check import Check

WAITS_TOO_LONG = timedelta(seconds=30)
CLOCKS_APART = timedelta(seconds=30)
"""Tokens are good for 60 s around now; half of that is worth a warning."""

RECENT = timedelta(days=1)
"""How long an unreadable webhook is worth a look: it stays in the ledger, and nothing mends it."""


def checks(engine: Engine, now: datetime) -> Iterator[Check]:
    try:
        with db.reading(engine) as conn:
            current = schema.is_current(conn)
            yield _database(conn)
            yield _migrations(conn, current=current)
            if current:
                yield from _events(conn, now)
    except SQLAlchemyError as error:
        yield Check("database.down", {"reason": reasons.of(error)})


def _database(conn: Connection) -> Check:
    name = {"database": conn.dialect.name}
    if (encoding := suitability.server_encoding(conn)) not in suitability.ENCODINGS:
        return Check("database.encoding", name | {"encoding": encoding})
    if suitability.is_read_only(conn):
        return Check("database.read_only", name)
    if not (style := suitability.date_style(conn)).startswith(suitability.ISO):
        return Check("database.date_style", name | {"style": style})
    return Check("database.answers", name)


def _migrations(conn: Connection, *, current: bool) -> Check:
    if current:
        return Check("migrations.newest")
    return Check("migrations.ahead" if schema.is_ahead(conn) else "migrations.behind")


def _events(conn: Connection, now: datetime) -> Iterator[Check]:
    yield _pending(conn, now)
    yield _failed(conn)
    yield _unreadable(conn, now)
    yield _clock(conn)
    yield _received(conn, now)


def _pending(conn: Connection, now: datetime) -> Check:
    waited = pending_event.longest_wait(conn, now=now)
    seconds = waited.total_seconds()
    values = {"count": pending_event.count(conn), "seconds": round(seconds)}
    finding = "pending.few" if waited < WAITS_TOO_LONG else "pending.old"
    return Check(finding, values, seconds=round(seconds, 1))


def _failed(conn: Connection) -> Check:
    count, again = webhook_event.failed(conn), failures.again(conn)
    if not count:
        return Check("failed.none")
    return Check("failed.again" if again else "failed.some", {"count": count, "again": again})


def _unreadable(conn: Connection, now: datetime) -> Check:
    lately, count = (webhook_event.unreadable(conn, since=at) for at in (now - RECENT, None))
    finding = "unreadable.lately" if lately else "unreadable.none"
    return Check(finding, {"lately": lately, "count": count})


def _clock(conn: Connection) -> Check:
    """Events can come late but not early: the least delay of the latest tells the clocks' gap."""
    delay = webhook_event.least_delay(conn)
    if delay is None:
        return Check("clock.none")
    seconds = round(delay.total_seconds(), 1)
    finding = "clock.close" if abs(delay) < CLOCKS_APART else "clock.apart"
    said = round(seconds) if seconds.is_integer() else seconds  # as JavaScript writes it
    return Check(finding, {"seconds": said}, seconds=seconds)


def _received(conn: Connection, now: datetime) -> Check:
    """No finding of its own: nobody knows when the next class is."""
    latest = webhook_event.last_accepted(conn)
    if latest is None:
        return Check("received.none")
    seconds = max((now - latest).total_seconds(), 0)
    return Check("received.last", {"seconds": round(seconds)}, seconds=round(seconds, 1))
