"""Entries: the ledger as operators read it, and what each event changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from models.domain.facts import Cycle, Room, Source
from models.ledger import filters
from models.ledger.filters import Cursor, Filters
from models.tables import cycle, room
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.webhook_event import webhook_events


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the ledger, without its payload.

    `session_id` is the session that its room or its visit belongs to as things stand, or for a
    client's event that was never applied the one that it was meant for.
    """

    received_at: datetime
    id: int
    event_id: str
    event: str | None
    source: Source
    status: str
    attempts: int
    error: str | None
    replayed_at: datetime | None
    room_sid: str | None
    room_name: str | None
    participant_sid: str | None
    visit: str | None
    user_id: str | None
    session_id: str | None
    created_at: datetime | None

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.received_at, self.id)

    @property
    def cycle_id(self) -> str | None:
        """The cycle that it tells of; none when it tells of a room alone."""
        return self.participant_sid or self.visit


COLUMNS = tuple(
    webhook_events.c[one.name] for one in fields(Entry) if one.name not in ("received_at", "id")
)


@dataclass(frozen=True, slots=True)
class Changed:
    """What an applied event is part of, as it is now: its room's life, its visit."""

    room: Room | None
    cycle: Cycle | None


def page(
    conn: Connection, asked: Filters, *, after: Cursor | None = None, limit: int
) -> list[Entry]:
    """Up to `limit` matching entries, the newest first, beyond `after`."""
    rows = conn.execute(filters.newest_first(asked, *COLUMNS, after=after, limit=limit))
    return _at_home(conn, [Entry(**row._mapping) for row in rows])


def find(conn: Connection, event_id: str) -> tuple[Entry, dict[str, Any] | None] | None:
    """The entry with its payload; None when the ledger has no event of this id."""
    asked = Filters(event_ids=(event_id,))
    statement = filters.newest_first(asked, *COLUMNS, webhook_events.c.payload, limit=1)
    row = conn.execute(statement).first()
    if row is None:
        return None
    told = dict(row._mapping)
    payload = told.pop("payload")
    return _at_home(conn, [Entry(**told)])[0], payload


def changed(conn: Connection, one: Entry) -> Changed | None:
    """What the event went into; None while it is not applied."""
    if one.status != "applied":
        return None
    its_room = conn.execute(select(rooms).where(rooms.c.sid == one.room_sid)).first()
    its_cycle = conn.execute(select(cycles).where(cycles.c.cycle_id == one.cycle_id)).first()
    return Changed(
        room=room.read(its_room) if its_room else None,
        cycle=cycle.read(its_cycle) if its_cycle else None,
    )


def _at_home(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """The entries with the sessions that their rooms and visits belong to now."""
    sids = {one.room_sid for one in entries if one.room_sid}
    visits = {one.visit for one in entries if one.visit}
    homes: dict[str, str] = {}
    if sids:
        known = select(rooms.c.sid, rooms.c.session_id).where(rooms.c.sid.in_(sids))
        homes |= dict(conn.execute(known).all())
    if visits:
        by_hand = select(cycles.c.cycle_id, cycles.c.session_id)
        by_hand = by_hand.where(cycles.c.cycle_id.in_(visits))
        homes |= dict(conn.execute(by_hand).all())
    return [
        replace(one, session_id=homes.get(one.room_sid or one.visit or "") or one.session_id)
        for one in entries
    ]
