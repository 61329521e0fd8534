"""The one door into the tables: a batch of events is folded into rooms and cycles.

Webhooks, manual joins and leaves, a reconciler's inferences and imports all come through `apply`.
Rows are inserted where missing and then locked before they are read, always rooms first and in the
order of their keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import reduce
from typing import TypeVar

from sqlalchemy import Connection

from models.domain import merge
from models.domain.event import Event
from models.domain.facts import Cycle, Room
from models.ledger import made, touched
from models.ledger.touched import Touched
from models.settings.settings import Settings
from models.storage.bulk import insert_missing, missing, upsert
from models.tables import cycle, room
from models.tables.cycle import cycles
from models.tables.room import rooms

T = TypeVar("T", Room, Cycle)


def apply(
    conn: Connection, batch: Sequence[Event], *, now: datetime, settings: Settings
) -> Touched:
    """Fold a batch of events into the tables; whose facts changed.

    Any events in any order, repeated or known already: the tables come out the same.
    """
    before, after = _fold_rooms(conn, [event for event in batch if event.room_sid])
    cycles_before, cycles_after = _fold_cycles(
        conn, [event for event in batch if event.participant_sid or event.visit]
    )
    manual = [each for each in cycles_after if each.provisional]
    known = {each.sid: each for each in before}
    fresh = [each for each in after if _belongs_elsewhere(known.get(each.sid), each)]
    made.enter(conn, fresh, manual, settings)
    followed = touched.earlier_lives(conn, [*before, *fresh] if fresh else [])
    some_rooms, some_cycles = [*before, *after, *followed], [*cycles_before, *cycles_after]
    return touched.by(conn, some_rooms, some_cycles, now=now, settings=settings)


def _belongs_elsewhere(before: Room | None, after: Room) -> bool:
    """Whether what the room may make on the spot is new."""
    if before is None:
        return True
    return (before.name, before.created_at, before.named_session) != (
        after.name,
        after.created_at,
        after.named_session,
    )


def _fold_rooms(conn: Connection, batch: Sequence[Event]) -> tuple[list[Room], list[Room]]:
    """Fold the events into their rooms; those that were there, and all as they are now."""
    by_sid = _grouped(batch, lambda event: event.room_sid)
    fresh = {
        sid: _begun(merge.merge_room, by_sid[sid]) for sid in missing(conn, rooms.c.sid, by_sid)
    }
    rows = [room.as_row(each) for each in fresh.values()]
    inserted = insert_missing(conn, rooms, rows, key="sid")
    before = room.locked(conn, by_sid.keys() - inserted)
    known = {sid: reduce(merge.merge_room, by_sid[sid], each) for sid, each in before.items()}
    changed = [room.as_row(each) for sid, each in known.items() if each != before[sid]]
    upsert(conn, rooms, changed)
    after = [each for sid, each in fresh.items() if sid in inserted] + list(known.values())
    return list(before.values()), after


def _fold_cycles(
    conn: Connection, batch: Sequence[Event]
) -> tuple[Sequence[Cycle], Sequence[Cycle]]:
    """Fold the events into their cycles; those that were there, and all as they are now."""
    by_id = _grouped(batch, lambda event: event.participant_sid or event.visit)
    fresh = {
        key: _begun(merge.merge, by_id[key]) for key in missing(conn, cycles.c.cycle_id, by_id)
    }
    rows = [cycle.as_row(each) for each in fresh.values()]
    inserted = insert_missing(conn, cycles, rows, key="cycle_id")
    before = cycle.locked(conn, by_id.keys() - inserted)
    known = {key: reduce(merge.merge, by_id[key], each) for key, each in before.items()}
    changed = [cycle.as_row(each) for key, each in known.items() if each != before[key]]
    upsert(conn, cycles, changed)
    after = [each for key, each in fresh.items() if key in inserted] + list(known.values())
    return list(before.values()), after


def _begun(merge_event: Callable[[T | None, Event], T], events: Sequence[Event]) -> T:
    """What events amount to when nothing was known before."""
    first, *rest = events
    return reduce(merge_event, rest, merge_event(None, first))


def _grouped(batch: Iterable[Event], key: Callable[[Event], str | None]) -> dict[str, list[Event]]:
    """The events by key, in the order of the keys: the order in which rows are locked."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in batch:
        groups[key(event) or ""].append(event)
    return dict(sorted(groups.items()))
