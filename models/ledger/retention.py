"""Retention: the ledger is pruned by age, and a watermark tells since when it is whole."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    Table,
    delete,
    exists,
    func,
    select,
)

from models.ledger.filters import Cursor
from models.storage.db import Instant, insert, metadata
from models.tables.pending_event import pending_events
from models.tables.webhook_event import DONE_WITH, webhook_events

retention = Table(
    "retention",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("pruned_before", Instant, nullable=False),
)


def watermark(conn: Connection) -> datetime | None:
    """Of what began before this the ledger may have lost events; None when it is whole.

    Whoever compares reads it *after* the events: then it covers whatever was pruned meanwhile.
    """
    return conn.execute(select(retention.c.pruned_before)).scalar()


def prunable(conn: Connection, *, before: datetime) -> int:
    """How many events `prune` would remove."""
    return conn.execute(select(func.count()).where(*_aged(before))).scalar_one()


def prune(
    conn: Connection, *, before: datetime, since: datetime | None = None, limit: int
) -> list[Cursor]:
    """Remove up to `limit` events that are older than `before` and done with; their places.

    Both clocks must say so, the sender's and ours: the watermark then holds for either. Rows that
    somebody holds wait for the next time. `since` spares looking again at what was kept earlier.
    """
    column = webhook_events.c
    statement = select(column.received_at, column.id).where(*_aged(before))
    if since is not None:
        statement = statement.where(column.received_at >= since)
    statement = statement.order_by(column.received_at, column.id).limit(limit)
    found = [Cursor(*row) for row in conn.execute(statement.with_for_update(skip_locked=True))]
    if found:
        conn.execute(delete(webhook_events).where(column.id.in_([one.id for one in found])))
        _raise_watermark(conn, before)
    return found


def _aged(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """What waits or failed is still somebody's to look after, whatever its age."""
    column = webhook_events.c
    return (
        column.status.in_(DONE_WITH),
        ~exists().where(pending_events.c.id == column.id),
        column.received_at < before,
        func.coalesce(column.created_at, column.received_at) < before,
    )


def _raise_watermark(conn: Connection, before: datetime) -> None:
    statement = insert(conn, retention).values(id=1, pruned_before=before)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"pruned_before": statement.excluded.pruned_before},
            where=retention.c.pruned_before < statement.excluded.pruned_before,
        )
    )
