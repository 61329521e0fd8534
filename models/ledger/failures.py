"""Failed events: which of them a replay did not mend."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from models.tables.webhook_event import FAILED, IS_PENDING, LEDGER, webhook_events


def again(conn: Connection) -> int:
    """How many events failed again after a replay: what applies an event counts its attempts."""
    statement = select(func.count()).select_from(LEDGER).where(FAILED, ~IS_PENDING)
    return conn.execute(statement.where(webhook_events.c.attempts > 1)).scalar_one()
