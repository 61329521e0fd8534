"""Comparison: the tables beside what the ledger tells, field by field.

What began before the ledger was pruned can't be known any more: it is *unverifiable*, never wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial, reduce
from typing import TypeVar

from sqlalchemy import Connection, select

from models.domain import merge
from models.domain.corrections import Correction
from models.domain.event import Event
from models.domain.facts import Cycle, Room
from models.ledger import made, retention
from models.repair import derivation
from models.repair.derivation import Derived, Extent
from models.repair.difference import Comparison, Difference
from models.settings.settings import Settings
from models.storage.bulk import chunks
from models.tables import correction, cycle, room
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.session import sessions

Fact = TypeVar("Fact", Room, Cycle, Correction)

WHOLE_SECOND = timedelta(seconds=1)
"""LiveKit's `createdAt` is floored: what it dates began up to this much later."""

DERIVED = ("superseded_at",)
"""It follows from other rooms, and is no column."""


def compare(conn: Connection, extent: Extent, settings: Settings) -> Comparison:
    """Compare the extent as it is at one moment: in a `db.snapshot`, or holding its rows."""
    derived = derivation.of_extent(conn, extent)
    has_rooms = _rooms(conn, extent.sids | derived.rooms.keys())
    has_cycles = _cycles(conn, extent, derived)
    unrecorded = [
        known for key, known in has_cycles.items() if key not in derived.cycles and known.room_sid
    ]
    if unrecorded:
        derivation.add_elsewhere(conn, derived, unrecorded)
    has_corrections = correction.of_ids(conn, extent.correction_ids | derived.corrections.keys())
    found = Comparison(extent, unmasked=derived.unmasked, unreadable=len(derived.unreadable))
    watermark = retention.watermark(conn)  # last: a prune that came in between is covered
    beside = partial(_compare, found, derived=derived, watermark=watermark)
    found.rooms, found.unrecorded_rooms = beside("room", has_rooms, derived.rooms, merge.merge_room)
    found.cycles, found.unrecorded_cycles = beside("cycle", has_cycles, derived.cycles, merge.merge)
    found.corrections, found.unrecorded_corrections = beside(
        "correction", has_corrections, derived.corrections, merge.merge_correction
    )
    present = len(has_rooms) + len(has_cycles) + len(has_corrections)
    found.checked = present - len(found.kept)
    _compare_entries(conn, found, has_rooms, has_cycles, settings)
    for event_id in derived.unreadable:
        found.differ("event", event_id, "it was applied, and can't be read any more")
    for row_id in derived.unmasked:
        found.differ("event", f"in row {row_id}", "it still names somebody who was erased")
    found.present_rooms, found.present_cycles = list(has_rooms.values()), list(has_cycles.values())
    return found


def _compare(
    found: Comparison,
    what: str,
    has: Mapping[str, Fact],
    should: Mapping[str, Fact],
    fold: Callable[[Fact | None, Event], Fact],
    *,
    derived: Derived,
    watermark: datetime | None,
) -> tuple[list[Fact], list[Fact]]:
    """Name what differs; the facts to write, and those of which no event tells."""
    waiting = _by_key(derived.waiting, what)
    write, unrecorded = [], []
    for key in sorted(has.keys() | should.keys()):
        before, after = has.get(key), should.get(key)
        if before is None:
            if after is not None and key in derived.applied:
                found.differ(what, key, "it is missing, and the ledger tells of it")
                write.append(after)
        elif watermark is not None and _unverifiable(key, before, after, derived, watermark):
            found.kept[key] = what
        elif after is None:
            found.differ(what, key, "no event of the ledger tells of it")
            unrecorded.append(before)
        elif _differs(found, what, key, reduce(fold, waiting.get(key, ()), before), after):
            write.append(after)
    return write, unrecorded


def _differs(found: Comparison, what: str, key: str, before: Fact, after: Fact) -> bool:
    differences = [
        Difference(what, key, name, getattr(before, name), getattr(after, name))
        for name in after.__match_args__
        if name not in DERIVED and getattr(before, name) != getattr(after, name)
    ]
    found.differences += differences
    return bool(differences)


def _unverifiable(
    key: str, before: Fact, after: Fact | None, derived: Derived, watermark: datetime
) -> bool:
    """Whether the ledger may have lost some of it.

    What the events themselves say of the beginning counts more than what the table says of it.
    """
    if after is not None and _began_at(after) < watermark:
        return True
    certain = after is not None and key in derived.dated
    return _began_at(before) < watermark and not certain


def _began_at(fact: Room | Cycle | Correction) -> datetime:
    """The earliest instant in it, to be on the safe side."""
    values = (getattr(fact, name) for name in fact.__match_args__)
    return min(value for value in values if isinstance(value, datetime)) - WHOLE_SECOND


def _compare_entries(
    conn: Connection,
    found: Comparison,
    has_rooms: Mapping[str, Room],
    has_cycles: Mapping[str, Cycle],
    settings: Settings,
) -> None:
    """Each session that rooms and manual joins may make on the spot has its row."""
    wanted = made.ids(has_rooms.values(), has_cycles.values(), settings)
    for some in chunks(sorted(wanted), derivation.CHUNK):
        known = set(conn.execute(select(sessions.c.id).where(sessions.c.id.in_(some))).scalars())
        for session_id in sorted(set(some) - known):
            found.differ("session", session_id, "it is missing, and has rooms or manual joins")


def _rooms(conn: Connection, sids: Iterable[str]) -> dict[str, Room]:
    found: dict[str, Room] = {}
    for some in chunks(sids, derivation.CHUNK):
        statement = select(rooms).where(rooms.c.sid.in_(some))
        rows = conn.execute(statement).mappings()
        found |= {row["sid"]: room.read(row) for row in rows}
    return found


def _cycles(conn: Connection, extent: Extent, derived: Derived) -> dict[str, Cycle]:
    """The table's cycles in the extent's rooms, and those that the ledger puts there."""
    found: dict[str, Cycle] = {}
    conditions = [cycles.c.room_sid.in_(some) for some in chunks(extent.sids, derivation.CHUNK)]
    named = extent.cycle_ids | derived.cycles.keys()
    conditions += [cycles.c.cycle_id.in_(some) for some in chunks(named, derivation.CHUNK)]
    for condition in conditions:
        rows = conn.execute(select(cycles).where(condition)).mappings()
        found |= {row["cycle_id"]: cycle.read(row) for row in rows}
    return found


def _key(event: Event, what: str) -> str | None:
    if what == "correction":
        return event.correction.id if event.correction is not None else None
    return event.room_sid if what == "room" else event.participant_sid or event.visit


def _by_key(waiting: Sequence[Event], what: str) -> Mapping[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in waiting:
        if key := _key(event, what):
            found[key].append(event)
    return found
