"""The webhook_events table: the inbox of what is still to be folded, kept as the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    func,
    select,
    text,
    update,
)

from models.domain import event as events
from models.domain.event import Event
from models.domain.facts import Source
from models.domain.json_fields import Unreadable
from models.storage import bulk
from models.storage.db import Instant, Json, Key, RowId, among, insert, is_sqlite, metadata

AGE = ("received_at", "id")
"""The order in which the ledger is read. Several clocks and commits make it up, so neither of the
two alone is one."""


def _index(name: str, *columns: str, where: str | None = None) -> Index:
    condition = text(where) if where else None
    return Index(name, *columns, postgresql_where=condition, sqlite_where=condition)


webhook_events = Table(
    "webhook_events",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("event_id", Key, nullable=False),
    Column("event", Text),
    Column("source", Text, nullable=False),
    Column("room_sid", Key),
    Column("room_name", Key),
    Column("participant_sid", Key),
    Column("user_id", Key),
    Column("session_id", Key),
    Column("visit", Key),
    Column("created_at", Instant),
    Column("received_at", Instant, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("replayed_at", Instant),  # while it waits again
    Column("payload", Json),
    UniqueConstraint("event_id", name="webhook_events_event_id"),
    _index("webhook_events_pending", "id", where="status = 'pending'"),
    # One for each filter of the ledger, in the order in which it is read: newest first.
    _index("webhook_events_by_time", *AGE),
    _index("webhook_events_by_event", "event", *AGE),
    _index("webhook_events_by_room_name", "room_name", *AGE),
    _index("webhook_events_by_room", "room_sid", *AGE, where="room_sid IS NOT NULL"),
    _index("webhook_events_by_visit", "visit", *AGE, where="visit IS NOT NULL"),
    _index("webhook_events_by_user", "user_id", *AGE, where="user_id IS NOT NULL"),
    # Nearly all are applied: those are found by time, and cost nothing here.
    _index("webhook_events_by_status", "status", *AGE, where="status <> 'applied'"),
)

MAX_ERROR_LENGTH = 1_000
LATEST = 50
PENDING = text("status = 'pending'")
FAILED = text("status = 'failed' AND status <> 'applied'")
UNREADABLE = text("status = 'unreadable' AND status <> 'applied'")
"""In the words of their indexes, so that they are found."""

LOOK = 4
"""Batches among whose rows a drain looks for rooms that are free: as many workers find a full one
each."""

IN_FREE_ROOMS = text("""
    SELECT id, first_id < last_id AS others_wait FROM (
      SELECT id, room_name, first_id, max(first_id) OVER () AS last_id FROM (
        SELECT id, room_name, min(id) OVER (PARTITION BY room_name) AS first_id FROM (
          SELECT id, room_name FROM webhook_events WHERE status = 'pending' ORDER BY id LIMIT :look
        ) AS oldest
      ) AS by_room
      ORDER BY first_id, id
    ) AS longest_waiting_room_first
    WHERE pg_try_advisory_xact_lock(hashtextextended(coalesce(room_name, ''), 1))
    LIMIT :most
""")
"""Rows of rooms that no other drain holds, which are held from now on, and whether other rooms wait
after each. PostgreSQL tries one row after another until it has enough."""

EMPTY: dict[str, Any] = {
    str(column.name): None for column in webhook_events.columns if column.name != "id"
} | {"source": "livekit", "status": "pending", "attempts": 0}
"""A row of which nothing is known: each is written with all its columns, by one statement."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A pending row, still to be read: its payload may be what makes it fail."""

    id: int
    source: Source
    payload: Any
    received_at: datetime

    def read(self) -> Event:
        """Raises Unreadable, whatever stands in the row: one of them stops nobody else's."""
        if not isinstance(self.payload, dict):
            raise Unreadable("the row has no payload")
        return events.read(self.payload, self.source)


def pending_row(event: Event, payload: dict[str, Any], *, received_at: datetime) -> dict[str, Any]:
    """The inbox row of an event that is still to be folded."""
    return EMPTY | {
        "event_id": event.event_id,
        "event": event.event,
        "source": event.source,
        "room_sid": event.room_sid,
        "room_name": event.room_name,
        "participant_sid": event.participant_sid,
        "user_id": event.user_id,
        "session_id": event.session_id,
        "visit": event.visit,
        "created_at": event.created_at,
        "received_at": received_at,
        "payload": payload,
    }


def unreadable_row(event_id: str, *, error: str, received_at: datetime) -> dict[str, Any]:
    """The row that says that something came which was signed but can't be read; not what it was."""
    return EMPTY | {
        "event_id": event_id,
        "received_at": received_at,
        "status": "unreadable",
        "error": error[:MAX_ERROR_LENGTH],
    }


def least_delay(conn: Connection) -> timedelta | None:
    """The least time from LiveKit's clock to ours among its latest events; None without any."""
    columns = webhook_events.c
    statement = select(columns.created_at, columns.received_at).where(columns.source == "livekit")
    rows = conn.execute(statement.order_by(columns.id.desc()).limit(LATEST))
    delays = (row.received_at - row.created_at for row in rows if row.created_at is not None)
    return min(delays, default=None)


def last_accepted(conn: Connection) -> datetime | None:
    """When LiveKit's latest readable webhook was received; None without any."""
    columns = webhook_events.c
    statement = select(columns.received_at).where(
        columns.source == "livekit", columns.event.is_not(None)
    )
    newest = (columns.received_at.desc(), columns.id.desc())
    return conn.execute(statement.order_by(*newest).limit(1)).scalar()


def insert_rows(conn: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Put rows into the inbox, in this order; the ids of the events that were not there yet."""
    return bulk.insert_missing(conn, webhook_events, rows, key="event_id")


def renew_rows(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Put rows into the inbox, each in place of the older one of its event, if there is one.

    Only for events of which the latest says all that those before it said.
    """
    if not rows:
        return
    statement = insert(conn, webhook_events)
    new = statement.excluded
    renewed = statement.on_conflict_do_update(
        index_elements=["event_id"],
        set_={name: new[name] for name in EMPTY if name != "event_id"},
        where=webhook_events.c.created_at < new.created_at,
    )
    conn.execute(renewed, list(rows))


def count_of_visit(conn: Connection, visit: str, *, most: int) -> int:
    """How many events a client sent about this visit; `most` when there are more."""
    signs = select(webhook_events.c.id).where(webhook_events.c.visit == visit).limit(most)
    return conn.execute(select(func.count()).select_from(signs.subquery())).scalar_one()


def record_applied(conn: Connection, event: Event, payload: dict[str, Any]) -> None:
    """Put one event, which this transaction applies, into the ledger."""
    row = pending_row(event, payload, received_at=event.created_at)
    insert_rows(conn, [row | {"status": "applied", "attempts": 1}])


def take(conn: Connection, limit: int) -> tuple[list[Mail], bool] | None:
    """Up to `limit` pending rows, oldest first, that nobody else holds, and are now held by us; and
    whether rooms wait that another drain could take meanwhile.

    On PostgreSQL they are of rooms that no other drain holds, now held as well: whole rooms, in the
    order of their oldest row, since drains that shared a room would wait for each other. None when
    nothing waits in any that is free; no mail when what was seen there is gone or held meanwhile.
    """
    columns = webhook_events.c
    statement = select(columns.id, columns.source, columns.payload, columns.received_at)
    statement = statement.where(PENDING).order_by(columns.id).limit(limit)
    if is_sqlite(conn):
        mail = [Mail(*row) for row in conn.execute(statement)]
        return (mail, False) if mail else None
    rows = conn.execute(IN_FREE_ROOMS, {"look": LOOK * limit, "most": limit}).all()
    if not rows:
        return None
    ids = [row.id for row in rows]
    held = statement.where(among(conn, columns.id, ids)).with_for_update(skip_locked=True)
    return [Mail(*row) for row in conn.execute(held)], rows[-1].others_wait


def mark_applied(conn: Connection, ids: Sequence[int]) -> None:
    _mark(conn, ids, status="applied", error=None)


def mark_failed(conn: Connection, row_id: int, *, error: str) -> None:
    _mark(conn, [row_id], status="failed", error=error[:MAX_ERROR_LENGTH])


def pending(conn: Connection) -> int:
    """How many rows wait to be applied."""
    return _count(conn, PENDING)


def failed(conn: Connection) -> int:
    """How many rows failed."""
    return _count(conn, FAILED)


def unreadable(conn: Connection, *, since: datetime | None = None) -> int:
    """How many rows could not be read; only those received since then."""
    recent = () if since is None else (webhook_events.c.received_at >= since,)
    return _count(conn, UNREADABLE, *recent)


def oldest_pending(conn: Connection) -> datetime | None:
    """When the oldest pending row was received; None when there is none."""
    statement = select(webhook_events.c.received_at).where(PENDING)
    return conn.execute(statement.order_by(webhook_events.c.id).limit(1)).scalar()


def longest_wait(conn: Connection, *, now: datetime) -> timedelta:
    """How long the oldest pending row has waited: not below zero, though another host's clock may
    be ahead.

    Rows that a replay put back do not count: received long ago, they have waited since then only.
    """
    column = webhook_events.c
    first_time = select(column.received_at).where(PENDING, column.replayed_at.is_(None))
    oldest = conn.execute(first_time.order_by(column.id).limit(1)).scalar()
    return max(now - oldest, timedelta(0)) if oldest else timedelta(0)


def _count(conn: Connection, *conditions: ColumnElement[bool] | TextClause) -> int:
    statement = select(func.count()).select_from(webhook_events).where(*conditions)
    return conn.execute(statement).scalar_one()


def _mark(conn: Connection, ids: Iterable[int], *, status: str, error: str | None) -> None:
    attempts = webhook_events.c.attempts + 1
    statement = update(webhook_events).where(among(conn, webhook_events.c.id, ids))
    changed = {"status": status, "error": error, "attempts": attempts, "replayed_at": None}
    conn.execute(statement.values(changed))
