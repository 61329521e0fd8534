"""The pending_events table: which events of the ledger wait to be applied.

The ledger's row of an event is written once, as it is when the event is applied; that it is not yet
is said here. To apply a batch then takes its rows out of this small table, and touches neither the
ledger's rows nor their indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Table, delete, func, select, text

from models.storage.bulk import Row
from models.storage.db import Instant, Key, RowId, among, insert, is_sqlite, metadata

pending_events = Table(
    "pending_events",
    metadata,
    # The id of its row in webhook_events. Without a foreign key: that would lock the ledger's row.
    Column("id", RowId, primary_key=True, autoincrement=False),
    Column("room_name", Key),
    Column("received_at", Instant, nullable=False),
    Column("replayed_at", Instant),  # when a replay put it back
)

LOOK = 4
"""Batches among whose rows a drain looks for rooms that are free: as many workers find a full one
each."""

IN_FREE_ROOMS = text("""
    SELECT id, first_id < last_id AS others_wait FROM (
      SELECT id, room_name, first_id, max(first_id) OVER () AS last_id FROM (
        SELECT id, room_name, min(id) OVER (PARTITION BY room_name) AS first_id FROM (
          SELECT id, room_name FROM pending_events ORDER BY id LIMIT :look
        ) AS oldest
      ) AS by_room
      ORDER BY first_id, id
    ) AS longest_waiting_room_first
    WHERE pg_try_advisory_xact_lock(hashtextextended(coalesce(room_name, ''), 1))
    LIMIT :most
""")
"""Rows of rooms that no other drain holds, which are held from now on, and whether other rooms wait
after each. PostgreSQL tries one row after another until it has enough."""


def in_free_rooms(conn: Connection, limit: int) -> tuple[list[int], bool]:
    """The ids of up to `limit` events, oldest first, in rooms that no other drain holds; and
    whether rooms wait that another drain could take meanwhile.

    On PostgreSQL they are of whole rooms, which are held until the transaction ends, in the order
    of their oldest event: drains that shared a room would wait for each other.
    """
    if is_sqlite(conn):
        oldest = select(pending_events.c.id).order_by(pending_events.c.id).limit(limit)
        return list(conn.execute(oldest).scalars()), False
    rows = conn.execute(IN_FREE_ROOMS, {"look": LOOK * limit, "most": limit}).all()
    return [row.id for row in rows], bool(rows) and rows[-1].others_wait


def remove(conn: Connection, ids: Sequence[int]) -> None:
    """Let these wait no longer, on SQLite: its one writer holds all rows."""
    conn.execute(delete(pending_events).where(pending_events.c.id.in_(ids)))


def add(conn: Connection, rows: Sequence[Row]) -> None:
    """Let these events wait, if they do not yet; rows of this table."""
    if rows:
        conn.execute(insert(conn, pending_events).on_conflict_do_nothing(), list(rows))


def renew(conn: Connection, rows: Sequence[Row]) -> None:
    """Let these events wait anew, since what their rows say has changed.

    A drain that has one of them passes it over, or has applied what the row said before; what it
    says now is still to be applied. Therefore the old row goes: a drain that already looked for it
    finds it gone, and not the new one.
    """
    if rows:
        ids = [row["id"] for row in rows]
        conn.execute(delete(pending_events).where(among(conn, pending_events.c.id, ids)))
        add(conn, rows)


def count(conn: Connection) -> int:
    """How many events wait."""
    return conn.execute(select(func.count()).select_from(pending_events)).scalar_one()


def oldest(conn: Connection) -> datetime | None:
    """When the oldest was received; None when none waits."""
    column = pending_events.c
    return conn.execute(select(column.received_at).order_by(column.id).limit(1)).scalar()


def longest_wait(conn: Connection, *, now: datetime) -> timedelta:
    """How long the oldest has waited: not below zero, though another host's clock may be ahead.

    What a replay put back does not count: received long ago, it has waited since then only.
    """
    column = pending_events.c
    first_time = select(column.received_at).where(column.replayed_at.is_(None))
    received_at = conn.execute(first_time.order_by(column.id).limit(1)).scalar()
    return max(now - received_at, timedelta(0)) if received_at else timedelta(0)
