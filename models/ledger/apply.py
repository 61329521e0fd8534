"""The one door into the tables: a batch of events is folded into rooms, cycles and corrections.

Webhooks, manual joins and leaves, a reconciler's inferences, imports and operators' corrections all
come through `apply`. Rows are inserted where missing and then locked before they are read, always
rooms first, then cycles, then corrections, and in the order of their keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Connection, Table

from models.domain import merge
from models.domain.corrections import Correction
from models.domain.event import Event
from models.domain.facts import Cycle, Room
from models.ledger import made, touched
from models.ledger.touched import Touched
from models.settings.settings import Settings
from models.storage.bulk import insert_missing, missing, upsert
from models.tables import correction, cycle, room
from models.tables.correction import corrections
from models.tables.cycle import cycles
from models.tables.room import rooms

T = TypeVar("T", Room, Cycle, Correction)


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    """A table of facts: by which column they are known, and how they are merged and written."""

    table: Table
    key: Column[Any]
    merge: Callable[[T | None, Event], T]
    as_row: Callable[[T], dict[str, Any]]
    locked: Callable[[Connection, Iterable[str]], dict[str, T]]


ROOMS = _Kept(rooms, rooms.c.sid, merge.merge_room, room.as_row, room.locked)
CYCLES = _Kept(cycles, cycles.c.cycle_id, merge.merge, cycle.as_row, cycle.locked)
CORRECTIONS = _Kept(
    corrections, corrections.c.id, merge.merge_correction, correction.as_row, correction.locked
)


def apply(
    conn: Connection, batch: Sequence[Event], *, now: datetime, settings: Settings
) -> Touched:
    """Fold a batch of events into the tables; whose facts changed.

    Any events in any order, repeated or known already: the tables come out the same.
    """
    of_rooms = _grouped(batch, lambda event: event.room_sid)
    of_cycles = _grouped(batch, lambda event: event.participant_sid or event.visit)
    of_corrections = _grouped(batch, _correction_id)
    new_rooms, new_cycles, new_corrections = missing(
        conn, (ROOMS.key, of_rooms), (CYCLES.key, of_cycles), (CORRECTIONS.key, of_corrections)
    )
    before, after = _fold(conn, ROOMS, of_rooms, new_rooms)
    cycles_before, cycles_after = _fold(conn, CYCLES, of_cycles, new_cycles)
    _, corrected = _fold(conn, CORRECTIONS, of_corrections, new_corrections)
    manual = [each for each in cycles_after if each.provisional]
    known = {each.sid: each for each in before}
    fresh = [each for each in after if _belongs_elsewhere(known.get(each.sid), each)]
    made.enter(conn, fresh, manual, settings)
    followed = touched.earlier_lives(conn, [*before, *fresh] if fresh else [])
    some_rooms, some_cycles = [*before, *after, *followed], [*cycles_before, *cycles_after]
    return touched.by(
        conn,
        some_rooms,
        some_cycles,
        fresh=[*before, *fresh] if fresh else (),
        corrected=corrected,
        now=now,
        settings=settings,
    )


def _correction_id(event: Event) -> str | None:
    return event.correction.id if event.correction is not None else None


def _belongs_elsewhere(before: Room | None, after: Room) -> bool:
    """Whether what the room may make on the spot is new."""
    if before is None:
        return True
    return (before.name, before.created_at, before.named_session) != (
        after.name,
        after.created_at,
        after.named_session,
    )


def _fold(
    conn: Connection, kept: _Kept[T], by_key: dict[str, list[Event]], absent: Iterable[str]
) -> tuple[list[T], list[T]]:
    """Fold the events into what is kept under their keys, but nothing under the absent ones; what
    was there, and all as it is now."""
    fresh = {key: _begun(kept.merge, by_key[key]) for key in absent}
    rows = [kept.as_row(each) for each in fresh.values()]
    inserted = insert_missing(conn, kept.table, rows, key=kept.key.name)
    before = kept.locked(conn, by_key.keys() - inserted)
    known = {key: reduce(kept.merge, by_key[key], each) for key, each in before.items()}
    upsert(
        conn, kept.table, [kept.as_row(known[key]) for key in known if known[key] != before[key]]
    )
    after = [each for key, each in fresh.items() if key in inserted] + list(known.values())
    return list(before.values()), after


def _begun(merge_event: Callable[[T | None, Event], T], events: Sequence[Event]) -> T:
    """What events amount to when nothing was known before."""
    first, *rest = events
    return reduce(merge_event, rest, merge_event(None, first))


def _grouped(batch: Iterable[Event], key: Callable[[Event], str | None]) -> dict[str, list[Event]]:
    """The events that have a key, by key, in the order of the keys: so rows are locked."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in batch:
        if own := key(event):
            groups[own].append(event)
    return dict(sorted(groups.items()))
