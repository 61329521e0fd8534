"""Entries: the ledger as operators read it, and what each event changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func

from models.domain import counting
from models.domain.facts import Cycle, Room, Rules, Source
from models.ledger import filters
from models.ledger.filters import Cursor, Filters
from models.lookup import named_room
from models.lookup.named_room import NamedRoom
from models.tables import cycle, room, short_payload
from models.tables.pending_event import pending_events
from models.tables.webhook_event import ATTEMPTS, STATUS, webhook_events


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


DERIVED = {
    "status": STATUS,
    "attempts": ATTEMPTS,
    "replayed_at": func.coalesce(pending_events.c.replayed_at, webhook_events.c.replayed_at),
}
COLUMNS = tuple(
    DERIVED.get(field.name, webhook_events.c[field.name]).label(field.name)
    for field in fields(Entry)
    if field.name not in ("received_at", "id")
)


@dataclass(frozen=True, slots=True)
class Changed:
    """What an applied event is part of, as it is now: its room's life, its visit.

    `naming_ignored`: the room's metadata names a session that is registered for other rooms.
    `uncounted`: why the cycle is no visit.
    """

    room: Room | None
    cycle: Cycle | None
    naming_ignored: bool
    uncounted: str | None


def page(
    conn: Connection, asked: Filters, *, after: Cursor | None = None, limit: int
) -> list[Entry]:
    """Up to `limit` matching entries, the newest first, beyond `after`."""
    rows = conn.execute(filters.newest_first(conn, asked, *COLUMNS, after=after, limit=limit))
    return _at_home(conn, [Entry(**row._mapping) for row in rows], asked.rules)


def find(
    conn: Connection, event_id: str, *, rules: Rules
) -> tuple[Entry, dict[str, Any] | None] | None:
    """The entry with its payload; None when the ledger has no event of this id."""
    asked = Filters(event_ids=(event_id,))
    statement = filters.newest_first(conn, asked, *COLUMNS, webhook_events.c.payload, limit=1)
    row = conn.execute(statement).first()
    if row is None:
        return None
    payload = short_payload.restored(row.payload, row._mapping)
    values = {name: value for name, value in row._mapping.items() if name != "payload"}
    return _at_home(conn, [Entry(**values)], rules)[0], payload


def changed(conn: Connection, one: Entry, *, rules: Rules) -> Changed | None:
    """What the event went into; None while it is not applied."""
    if one.status != "applied":
        return None
    its_rooms = room.of_sids(conn, [each for each in (one.room_sid,) if each])
    known = cycle.find(conn, one.cycle_id) if one.cycle_id else None
    return Changed(
        room=_in_a_row(conn, its_rooms[0]) if its_rooms else None,
        cycle=known,
        naming_ignored=any(named_room.ignored(conn, its_rooms)),
        uncounted=counting.why_not(known, rules) if known else None,
    )


def _in_a_row(conn: Connection, life: Room) -> Room:
    """The room with the moment at which the next of its name superseded it."""
    later = room.following(conn, life)
    return life._replace(superseded_at=later.created_at) if later else life


def _at_home(conn: Connection, entries: Sequence[Entry], rules: Rules) -> list[Entry]:
    """The entries with the sessions that own their moments as things stand."""
    names = {each.room_name for each in entries if each.room_name}
    moments = [each.created_at for each in entries if each.room_name and each.created_at]
    if not moments:
        return list(entries)
    known = named_room.homes(conn, names, min(moments), max(moments), rules=rules)
    return [
        replace(each, session_id=home) if (home := _home(each, known)) is not None else each
        for each in entries
    ]


def _home(entry: Entry, known: Mapping[str, NamedRoom]) -> str | None:
    named = known.get(entry.room_name or "")
    is_said = entry.session_id and (entry.visit or entry.source == "operator")
    if named is None or entry.created_at is None or is_said:
        return None
    return named.owner(entry.user_id, entry.room_sid, entry.created_at)
