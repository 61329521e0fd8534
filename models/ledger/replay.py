"""Replays: which events can be applied once more, and their way back to where they are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, func, select, update

from models.ledger import filters
from models.ledger.filters import Cursor, Filters
from models.tables.webhook_event import webhook_events

REPLAYABLE = ("applied", "ignored", "failed")
"""What is pending is on its way already, and of the unreadable nothing was kept."""

IS_REPLAYABLE = webhook_events.c.status.in_(
    [bindparam(None, status, literal_execute=True) for status in REPLAYABLE]
)


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
    """Have these applied, ignored or failed rows taken again; how many will be.

    The last attempt of one that was applied is made again, not one more: to replay what was
    applied leaves even its counter as it was. `replayed_at` is `now` until they are.
    """
    done_with = webhook_events.c.status.in_(("applied", "ignored"))
    attempts = webhook_events.c.attempts - case((done_with, 1), else_=0)
    statement = update(webhook_events).where(
        webhook_events.c.id.in_(list(ids)), webhook_events.c.status.in_(REPLAYABLE)
    )
    changed = statement.values(status="pending", attempts=attempts, replayed_at=now)
    return conn.execute(changed).rowcount


def statuses(conn: Connection, ids: Iterable[int]) -> Counter[str]:
    """How many of these rows have which status."""
    statement = select(webhook_events.c.status, func.count()).group_by(webhook_events.c.status)
    rows = conn.execute(statement.where(webhook_events.c.id.in_(list(ids))))
    return Counter(dict(rows.all()))
