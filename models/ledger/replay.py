"""Replays: which events can be applied once more, and their way back to where they are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, literal, select

from models.ledger import filters
from models.ledger.filters import Cursor, Filters
from models.storage.db import Instant, insert
from models.tables.pending_event import pending_events
from models.tables.webhook_event import IS_PENDING, LEDGER, STATUS, webhook_events

REPLAYABLE = ("applied", "ignored", "failed")
"""What is pending is on its way already, and of the unreadable nothing was kept."""

HAS_STATUS = webhook_events.c.status.in_(
    [bindparam(None, status, literal_execute=True) for status in REPLAYABLE]
)
IS_REPLAYABLE = and_(HAS_STATUS, ~IS_PENDING)


def replayable(
    conn: Connection, asked: Filters, *, after: Cursor | None = None, limit: int
) -> list[Cursor]:
    """The matching events that can be replayed, oldest first, beyond `after`."""
    statement = filters.oldest_first(conn, asked, only=IS_REPLAYABLE, after=after, limit=limit)
    return [Cursor(*row) for row in conn.execute(statement)]


def count(
    conn: Connection, asked: Filters, *, after: Cursor | None = None, limit: int | None = None
) -> int:
    """How many matching events can be replayed, counted up to `limit`."""
    statement = filters.oldest_first(conn, asked, only=IS_REPLAYABLE, after=after, limit=limit)
    counted = select(func.count()).select_from(statement.order_by(None).subquery())
    return conn.execute(counted).scalar_one()


def put_back(conn: Connection, ids: Iterable[int], *, now: datetime) -> int:
    """Have these applied, ignored or failed events taken again; how many will be.

    The last attempt of one that was applied is made again, not one more: to replay what was
    applied leaves even its counter as it was. `replayed_at` is `now` until they are.
    """
    columns = webhook_events.c
    rows = (
        select(columns.id, columns.room_name, columns.received_at, literal(now, Instant))
        .where(columns.id.in_(list(ids)), HAS_STATUS)
        .order_by(columns.id)
        .with_for_update(key_share=True, read=True)  # a prune then leaves them, or was before
    )
    names = ["id", "room_name", "received_at", "replayed_at"]
    statement = insert(conn, pending_events).from_select(names, rows).on_conflict_do_nothing()
    return len(conn.execute(statement.returning(pending_events.c.id)).all())


def statuses(conn: Connection, ids: Iterable[int]) -> Counter[str]:
    """How many of these events have which status."""
    status = STATUS.label("status")
    statement = select(status, func.count()).select_from(LEDGER).group_by(status)
    rows = conn.execute(statement.where(webhook_events.c.id.in_(list(ids))))
    return Counter(dict(rows.all()))
