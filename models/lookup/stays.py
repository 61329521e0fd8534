"""When and where one person was, and which sessions may own some of it: their sessions are found
by that, whatever is registered. What a session says of them decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from models.domain import visit
from models.domain.facts import Cycle, Room, Rules
from models.domain.ownership import Owners
from models.lookup import named_room

ONE_WEEK = timedelta(days=7)
"""Of visits whose owners are looked up together: a calendar of years would take minutes."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A cycle from its beginning to its end. When nobody said that (not `ended`): to the last
    moment that it may have had where no class goes on."""

    cycle: Cycle
    start: datetime
    end: datetime
    ended: bool

    @property
    def id(self) -> str:
        return self.cycle.cycle_id


def owned_by(
    conn: Connection, cycles: Iterable[Cycle], user_id: str, *, now: datetime, rules: Rules
) -> dict[str, set[str]]:
    """By cycle id: the sessions that own some of this person's cycle, or may, where nobody said
    its end."""
    owned: dict[str, set[str]] = {}
    for week in _by_week(stays(cycles, rules)):
        names = {stay.cycle.room_name or "" for stay in week}
        since, until = week[0].start, max(stay.end for stay in week)
        rooms = named_room.homes(conn, names, since, until, rules=rules)
        for stay in week:
            owners = rooms[stay.cycle.room_name or ""].of(user_id).owners
            owned[stay.id] = set(owners_of(owners, stay, now=now))
    return owned


def stays(cycles: Iterable[Cycle], rules: Rules) -> list[Stay]:
    """The cycles of which any time is known, by their beginning."""
    found = (
        _stay(cycle, began_at, rules)
        for cycle in cycles
        if (began_at := _began_at(cycle)) is not None
    )
    return sorted(found, key=lambda stay: (stay.start, stay.id))


def owners_of(owners: Owners, stay: Stay, *, now: datetime) -> Iterator[str]:
    """The sessions that own some of the stay."""
    yield visit.home(owners, stay.cycle, now=now)
    if stay.cycle.joined_session is not None:
        return
    life = visit.room_of(stay.cycle, owners)
    for owner, _, _ in owners.pieces(life, stay.start, _last_moment(owners, stay, life), now=now):
        yield owner


def _last_moment(owners: Owners, stay: Stay, life: Room | None) -> datetime:
    """Until when the stay may have lasted: of whom nobody said the end may have sat through the
    classes that it reaches into, and through those that follow each other then."""
    end, before = stay.end, None
    while not stay.ended and end != before:
        before = end
        reached = [owners.own_class(life.named_session)] if life and life.named_session else []
        reached += [*owners.classes_within(stay.start, end), owners.class_at(end)]
        end = max([end, *(each.end + owners.rules.overrun for each in reached if each)])
    return end


def _by_week(ordered: Sequence[Stay]) -> Iterator[list[Stay]]:
    week: list[Stay] = []
    for stay in ordered:
        if week and stay.start - week[0].start > ONE_WEEK:
            yield week
            week = []
        week.append(stay)
    if week:
        yield week


def _began_at(cycle: Cycle) -> datetime | None:
    return cycle.began_at or cycle.left_at or cycle.client_left_at or cycle.last_seen_at


def _stay(cycle: Cycle, began_at: datetime, rules: Rules) -> Stay:
    left_at = cycle.aborted_at if cycle.left_inferred else cycle.left_at or cycle.aborted_at
    exact = cycle.client_leave if cycle.provisional else left_at
    if exact is not None:
        return Stay(cycle, began_at, max(exact, began_at), ended=True)
    ends = [began_at + rules.max_cycle]
    ends += [cycle.last_seen_at + rules.stale_after] if cycle.last_seen_at else []
    return Stay(cycle, began_at, max(ends), ended=False)
