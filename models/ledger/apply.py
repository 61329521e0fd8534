"""The one door into the tables: a batch of events is folded into rooms and cycles.

Webhooks, manual joins and leaves, a reconciler's findings and imports all come through `apply`,
in a transaction that already holds the room names concerned (`db.lock`). Rows are inserted where
missing and then locked before they are read, always rooms first and in the order of their keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import TypeVar

from sqlalchemy import Connection

from models.domain import merge, ownership
from models.domain.event import Event
from models.domain.facts import Cycle, Room, Session
from models.settings.settings import Settings
from models.storage.bulk import insert_missing, missing, upsert
from models.tables import cycle, room, session
from models.tables.cycle import cycles
from models.tables.room import rooms

T = TypeVar("T", Room, Cycle)


@dataclass(frozen=True, slots=True)
class Touched:
    """Whose facts changed: sessions by id, and the room names that may now mean another one."""

    sessions: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    @property
    def keys(self) -> set[str]:
        """Everything that a cache may know them by."""
        return self.sessions | self.names


def apply(
    conn: Connection, batch: Sequence[Event], *, now: datetime, settings: Settings
) -> Touched:
    """Fold a batch of events into the tables; whose facts changed.

    Any events in any order, repeated or known already: the tables come out the same.
    """
    touched_rooms, reordered = _fold_rooms(conn, [one for one in batch if one.room_sid])
    before, after = _fold_cycles(conn, [one for one in batch if one.participant_sid or one.visit])
    manual = [one for one in after if one.provisional]
    touched = resolve(conn, touched_rooms, manual, now=now, settings=settings)
    session.tidy(conn, reordered.sessions)
    elsewhere = _elsewhere(conn, [*before, *after], touched_rooms)
    joined_by_hand = {one.room_name for one in manual if one.room_name}
    return Touched(
        touched.sessions | reordered.sessions | elsewhere,
        touched.names | reordered.names | joined_by_hand,
    )


def resolve(
    conn: Connection,
    some_rooms: Sequence[Room],
    manual: Sequence[Cycle],
    *,
    now: datetime,
    settings: Settings,
) -> Touched:
    """Give these rooms and manual joins the sessions that they belong to as things stand."""
    registered = registered_for(conn, some_rooms, manual)
    room_homes = {
        one.sid: ownership.room_session(one, registered, settings.zone) for one in some_rooms
    }
    visit_homes = {one.cycle_id: ownership.visit_session(one, registered) for one in manual}
    moved_rooms = [one for one in some_rooms if one.session_id != room_homes[one.sid]]
    moved_visits = [one for one in manual if one.session_id != visit_homes[one.cycle_id]]
    left = {one.session_id for one in moved_rooms if one.session_id}
    left |= {one.session_id for one in moved_visits if one.session_id}
    homes = {*room_homes.values(), *(home for home in visit_homes.values() if home)}

    known = {one.id for one in registered}
    made = {
        home: session.made(home, one.room_name or "", "client", settings)
        for one in moved_visits
        if (home := visit_homes[one.cycle_id]) is not None and home not in known
    } | {
        home: session.made(home, one.name, "room", settings)
        for one in moved_rooms
        if (home := room_homes[one.sid]) not in known
    }
    session.make_missing(conn, made.values(), now=now)
    room.assign(conn, {one.sid: room_homes[one.sid] for one in moved_rooms})
    cycle.assign(conn, {one.cycle_id: visit_homes[one.cycle_id] for one in moved_visits})
    session.tidy(conn, left | made.keys())
    names = {one.name for one in moved_rooms} | {one.room_name or "" for one in moved_visits}
    return Touched(sessions=homes | left, names=names)


def registered_for(
    conn: Connection, some_rooms: Sequence[Room], manual: Sequence[Cycle]
) -> list[Session]:
    """The registered sessions that could be the home of any of these."""
    instants = [one.created_at for one in some_rooms]
    instants += [one.joined_at for one in manual if one.joined_at is not None]
    names = {one.name for one in some_rooms}
    names |= {word for one in manual for word in (one.room_name, one.named_session) if word}
    if not instants:
        return []
    return session.registered_for(conn, names, since=min(instants), until=max(instants))


def _fold_rooms(conn: Connection, batch: Sequence[Event]) -> tuple[list[Room], Touched]:
    """Fold the events into their rooms; the rooms as they are now, and whom it touched that the
    place of some among the lives of their name is another one."""
    told = _grouped(batch, lambda one: one.room_sid)
    fresh = {sid: _begun(merge.merge_room, told[sid]) for sid in missing(conn, rooms.c.sid, told)}
    inserted = insert_missing(conn, rooms, [room.as_row(one) for one in fresh.values()], key="sid")
    before = room.locked(conn, told.keys() - inserted)
    known = {sid: reduce(merge.merge_room, told[sid], one) for sid, one in before.items()}
    upsert(conn, rooms, [room.as_row(one) for sid, one in known.items() if one != before[sid]])
    after = {sid: one for sid, one in fresh.items() if sid in inserted} | known
    moved = [
        (before.get(one.sid), one)
        for one in after.values()
        if one.sid in inserted or before[one.sid].created_at != one.created_at
    ]
    renamed = [(before[sid], one) for sid, one in known.items() if one.name != before[sid].name]
    names = {one.name for pair in moved + renamed for one in pair if one is not None}
    return list(after.values()), Touched(room.supersede(conn, moved), names)


def _fold_cycles(
    conn: Connection, batch: Sequence[Event]
) -> tuple[Sequence[Cycle], Sequence[Cycle]]:
    """Fold the events into their cycles; those that were there already, and all as they are now."""
    told = _grouped(batch, lambda one: one.participant_sid or one.visit)
    fresh = {key: _begun(merge.merge, told[key]) for key in missing(conn, cycles.c.cycle_id, told)}
    rows = [cycle.as_row(one) for one in fresh.values()]
    inserted = insert_missing(conn, cycles, rows, key="cycle_id")
    before = cycle.locked(conn, told.keys() - inserted)
    known = {key: reduce(merge.merge, told[key], one) for key, one in before.items()}
    upsert(conn, cycles, [cycle.as_row(one) for key, one in known.items() if one != before[key]])
    after = [one for key, one in fresh.items() if key in inserted] + list(known.values())
    return list(before.values()), after


def _elsewhere(conn: Connection, some: Iterable[Cycle], batch_rooms: Iterable[Room]) -> set[str]:
    """The sessions in which these cycles are but by a room of the batch: LiveKit sends nothing of
    the kind, but an event can name another room than its visit's."""
    told = list(some)
    sids = {one.room_sid for one in told if one.room_sid} - {one.sid for one in batch_rooms}
    return room.sessions_of(conn, sids) | {one.session_id for one in told if one.session_id}


def _begun(merge: Callable[[T | None, Event], T], events: Sequence[Event]) -> T:
    """What events amount to when nothing was known before."""
    first, *rest = events
    return reduce(merge, rest, merge(None, first))


def _grouped(batch: Iterable[Event], key: Callable[[Event], str | None]) -> dict[str, list[Event]]:
    """The events by key, in the order of the keys: the order in which rows are locked."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for one in batch:
        groups[key(one) or ""].append(one)
    return dict(sorted(groups.items()))
