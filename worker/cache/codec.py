"""How facts lie in the cache: arrays of values in the order of their class's fields.

Quicker to read than objects with names (4 us a cycle instead of 9), and mostly read once: while
nothing changes, the same bytes come back to a whole class, and to one person's polls.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

import orjson

from models.domain.corrections import Correction, Corrections
from models.domain.facts import ByHand, Cycle, Meeting, Room, Rules, Session
from models.domain.ownership import Owners
from models.domain.timetable import Calendar, RoomClass
from models.lookup.named_room import NamedRoom

Reader = TypeVar("Reader", bound=Callable[..., Any])
T = TypeVar("T", Session, Room, Cycle, RoomClass, ByHand, Correction)

Fact = Session | Room | Cycle | RoomClass | ByHand | Correction

MEETINGS, CYCLES = 512, 8_192
"""How many of each a process keeps read: a few kilobytes a piece, most of them."""

LARGEST_KEPT = 32 * 1024
"""Bytes of what is kept read; in memory it is four times as much. A name of which 10,000 people
are expected is 4 MiB, and each time a room is born there is another version of it."""

KINDS: tuple[type[Fact], ...] = (Session, Room, Cycle, RoomClass, ByHand, Correction)
NAMES = {kind: kind.__match_args__ for kind in KINDS}
SPAN = ("start", "end", "always_from")
INSTANTS = {
    kind: [place for place, name in enumerate(names) if name.endswith("_at") or name in SPAN]
    for kind, names in NAMES.items()
}
STARTS = NAMES[Room].index("starts")
LISTS = {name: NAMES[Session].index(name) for name in ("rooms", "hosts", "labels")}


class OtherFields(ValueError):
    """These facts were packed by another version of Rollcall."""


def pack_meeting(meeting: Meeting) -> bytes:
    """The meeting without the people it expects, and its corrections without who made them and why:
    a status needs none of that, and a thousand reasons would be megabytes in each process."""
    session = replace(meeting.session, expected=())
    made = (each for each in meeting.corrections.made if each.kind != "note")
    corrections = [values(replace(each, author="", reason=None)) for each in made]
    rooms = [values(room) for room in meeting.rooms]
    calendars = {name: _calendar(each) for name, each in meeting.calendars.items()}
    by_hand = {name: values(word) for name, word in meeting.by_hand.items()}
    return orjson.dumps([values(session), rooms, by_hand, calendars, corrections])


def _keeps(most: int) -> Callable[[Reader], Reader]:
    """Keep what was read last, so many of it; nothing that is large."""

    def decorate(read: Reader) -> Reader:
        kept = lru_cache(most)(read)

        @wraps(read)
        def known(packed: bytes, *others: Hashable) -> Any:
            return (kept if len(packed) <= LARGEST_KEPT else read)(packed, *others)

        return cast("Reader", known)

    return decorate


@_keeps(MEETINGS)
def meeting(packed: bytes) -> Meeting:
    """Raises OtherFields."""
    session, rooms, by_hand, calendars, corrections = _parts(packed, 5)
    if not isinstance(by_hand, dict):
        raise OtherFields
    return Meeting(
        session=_session(session),
        rooms=tuple(_room(values) for values in rooms),
        by_hand={name: _made(ByHand, values) for name, values in by_hand.items()},
        calendars={name: _made_calendar(values) for name, values in calendars.items()},
        corrections=Corrections(tuple(_made(Correction, values) for values in corrections)),
    )


def pack_person(cycles: Iterable[Sequence[Any]], expecting: frozenset[str]) -> bytes:
    """The values of one person's cycles, and the ids of the classes that expect them."""
    return orjson.dumps([[list(each) for each in cycles], sorted(expecting)])


@_keeps(CYCLES)
def person(packed: bytes) -> tuple[tuple[Cycle, ...], frozenset[str]]:
    """Raises OtherFields."""
    packed_cycles, expecting = _parts(packed, 2)
    return cycles(packed_cycles), frozenset(expecting)


def cycles(some_values: Iterable[Sequence[Any]]) -> tuple[Cycle, ...]:
    """The cycles of these values. Raises OtherFields."""
    return tuple(_made(Cycle, each) for each in some_values)


def pack_named(named: NamedRoom) -> bytes:
    """What a room's name may mean, for whomever."""
    owners = named.owners
    expecting = {user_id: sorted(ids) for user_id, ids in named.expecting.items()}
    rooms = [values(room) for room in owners.rooms]
    return orjson.dumps(
        [owners.name, _calendar(owners.calendar), rooms, named.last_begun, expecting]
    )


@_keeps(MEETINGS)
def named(packed: bytes, rules: Rules) -> NamedRoom:
    """Raises OtherFields."""
    name, calendar, rooms, last_begun, expecting = _parts(packed, 5)
    lives = tuple(_room(values) for values in rooms)
    return NamedRoom(
        Owners(name, rules, _made_calendar(calendar), lives),
        last_begun,
        {user_id: frozenset(ids) for user_id, ids in expecting.items()},
    )


def _parts(packed: bytes, count: int) -> list[Any]:
    parts = orjson.loads(packed)
    if not isinstance(parts, list) or len(parts) != count:
        raise OtherFields
    return parts


def _session(values: list[Any]) -> Session:
    made = _made(Session, values)
    rooms, hosts, labels = (tuple(values[place]) for place in LISTS.values())
    return replace(made, expected=(), rooms=rooms, hosts=hosts, labels=labels)


def _room(values: list[Any]) -> Room:
    starts = tuple(map(datetime.fromisoformat, values[STARTS]))
    return _made(Room, values)._replace(starts=starts)


def _calendar(calendar: Calendar) -> list[Any]:
    classes = [values(each) for each in calendar.classes]
    return [classes, calendar.own_room, calendar.unscheduled]


def _made_calendar(values: list[Any]) -> Calendar:
    classes, own_room, unscheduled = values
    return Calendar(tuple(_made(RoomClass, each) for each in classes), own_room, unscheduled)


def values(fact: Fact) -> list[Any]:
    return [getattr(fact, name) for name in NAMES[type(fact)]]  # dataclasses.astuple copies deeply


def _made(kind: type[T], packed: Sequence[Any]) -> T:
    if len(packed) != len(NAMES[kind]):
        raise OtherFields
    made = list(packed)
    for place in INSTANTS[kind]:
        if isinstance(made[place], str):
            made[place] = datetime.fromisoformat(made[place])
    return kind(*made)
