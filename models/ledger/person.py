"""All that the ledger has of one person, for who asks what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from models.domain.facts import Rules
from models.ledger import entry
from models.ledger.entry import Entry
from models.ledger.filters import Filters
from models.storage.db import among
from models.tables import webhook_event
from models.tables.webhook_event import CONTENT, webhook_events

AT_ONCE = 500

Told = tuple[Entry, dict[str, Any] | None]


def entries(conn: Connection, user_id: str, *, rules: Rules) -> Iterator[Told]:
    """Every entry that tells of the person, the newest first, with its payload."""
    after = None
    while True:
        found = entry.page(conn, Filters(user_id=user_id, rules=rules), after=after, limit=AT_ONCE)
        payloads = _payloads(conn, [each.id for each in found])
        yield from ((each, payloads[each.id]) for each in found)
        if len(found) < AT_ONCE:
            return
        after = found[-1].cursor


def _payloads(conn: Connection, ids: list[int]) -> dict[int, dict[str, Any] | None]:
    column = webhook_events.c
    rows = conn.execute(select(column.id, *CONTENT).where(among(conn, column.id, ids)))
    return {row.id: webhook_event.content(row).whole_payload() for row in rows}
