"""The timetable of a room's name: which registered session owns which moment of a person. Pure.

The rules, in words: docs/rules.md. Between two edges the owner is the same, so it is worked out
once for each, and found again by bisection.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

WINDOW = timedelta(hours=1)
"""How long before its start and after its end a class may own a moment."""

TIMETABLES = 4_096
"""How many a process keeps: one for each room's name and set of classes that expect somebody."""


@dataclass(frozen=True, slots=True)
class RoomClass:
    """A registered session with a schedule, as its rooms know it: from `start` to before `end`.

    `own_room`: its id is the room's name as well.
    """

    id: str
    start: datetime
    end: datetime
    own_room: bool = False


@dataclass(frozen=True, slots=True)
class Calendar:
    """What is registered for the rooms of one name: its classes, and sessions without a schedule.

    `own_room` is the id of the one whose id is the room's name, `unscheduled` the least of others.
    """

    classes: tuple[RoomClass, ...] = ()
    own_room: str | None = None
    unscheduled: str | None = None


@dataclass(frozen=True, slots=True)
class Timetable:
    """`edges` in order; `at` has the owner of each edge, `between` those before, between and after
    them. None: no registered session owns it."""

    edges: tuple[datetime, ...]
    at: tuple[str | None, ...]
    between: tuple[str | None, ...]

    def owner(self, instant: datetime) -> str | None:
        """The id of the registered session that owns the instant."""
        place = bisect_left(self.edges, instant)
        if place < len(self.edges) and self.edges[place] == instant:
            return self.at[place]
        return self.between[place]

    def spans(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, str | None]]:
        """The spans from `start` to `end` (later), each by its beginning, with its owner."""
        place = bisect_right(self.edges, start)
        yield start, self.between[place]
        while place < len(self.edges) and self.edges[place] < end:
            yield self.edges[place], self.between[place + 1]
            place += 1


@lru_cache(TIMETABLES)
def of(calendar: Calendar, expecting: frozenset[str], reach: timedelta) -> Timetable:
    """The timetable for somebody whom these classes expect; `reach` is MAX_CYCLE_HOURS."""
    edges = sorted({*_edges(calendar, reach)})
    if not edges:
        return Timetable((), (), (calendar.own_room or calendar.unscheduled,))
    around = [edges[0] - WINDOW, *edges, edges[-1] + WINDOW]
    moments = [earlier + (later - earlier) / 2 for earlier, later in pairwise(around)]
    return Timetable(
        tuple(edges),
        tuple(_owner(calendar, expecting, reach, at) for at in edges),
        tuple(_owner(calendar, expecting, reach, at) for at in moments),
    )


def _owner(
    calendar: Calendar, expecting: frozenset[str], reach: timedelta, instant: datetime
) -> str | None:
    near = [each for each in calendar.classes if _is_near(each, instant)]
    near = [each for each in near if each.id in expecting] or near
    running = [each for each in near if each.start <= instant < each.end]
    if running:
        latest = max(each.start for each in running)
        return min(each.id for each in running if each.start == latest)
    if near:
        return min(near, key=lambda each: (*_distance(each, instant), each.id)).id
    for each in calendar.classes:
        if each.own_room and each.start - reach <= instant <= each.end + reach:
            return each.id
    return calendar.own_room or calendar.unscheduled


def _edges(calendar: Calendar, reach: timedelta) -> Iterator[datetime]:
    """Every moment at which the owner may change."""
    for each in calendar.classes:
        yield from (each.start - WINDOW, each.start, each.end, each.end + WINDOW)
        if each.own_room:
            yield from (each.start - reach, each.end + reach)
        for later in calendar.classes:
            if each.end < later.start <= each.end + 2 * WINDOW:
                yield each.end + (later.start - each.end) / 2


def _is_near(each: RoomClass, instant: datetime) -> bool:
    return each.start - WINDOW <= instant <= each.end + WINDOW


def _distance(each: RoomClass, instant: datetime) -> tuple[timedelta, bool]:
    """How far its nearest edge is; of two that are equally far, the class still to come first."""
    return (each.start - instant, False) if instant < each.start else (instant - each.end, True)
