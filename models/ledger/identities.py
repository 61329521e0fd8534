"""Which of a person's visits need one pseudonym when the person is erased, and which do not.

Each session has a pseudonym of its own: a list of one session that somebody kept then tells nothing
of the others. A visit that was cut between two sessions joins them, and so do visits of which one
may end or replace the other: attendance would come out differently (see docs/rules.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter

from sqlalchemy import Connection

from models.domain import visit
from models.domain.facts import Cycle, Room, Rules
from models.domain.ownership import Owners
from models.lookup import named_room

ONE_WEEK = timedelta(days=7)
"""Of visits whose owners are looked up together: a calendar of years would take minutes."""

Word = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """What has one pseudonym: visits by cycle id, and the sessions that they are in, in part or
    entirely. Without visits: one session that expects the person."""

    cycle_ids: frozenset[str]
    session_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stay:
    """A cycle from its beginning to its end. When nobody told that (not `ended`): to the last
    moment that it may have had where no class goes on."""

    cycle: Cycle
    start: datetime
    end: datetime
    ended: bool

    @property
    def id(self) -> str:
        return self.cycle.cycle_id


def identities(
    cycles: Sequence[Cycle],
    owned_by: Mapping[str, Iterable[str]],
    expected: Iterable[str],
    *,
    rules: Rules,
) -> list[Identity]:
    """The identities of one person, whose cycles these are.

    `owned_by`: by cycle id, the sessions that own some of it. `expected`: those that expect them.
    """
    links = _Links()
    for session_id in expected:
        links.join(("session", session_id))
    for cycle in cycles:
        owners = (("session", session_id) for session_id in owned_by.get(cycle.cycle_id, ()))
        links.join(("cycle", cycle.cycle_id), *owners)
    for one, other in _in_contact(cycles, rules):
        links.join(("cycle", one), ("cycle", other))
    return [
        Identity(
            frozenset(word for kind, word in group if kind == "cycle"),
            frozenset(word for kind, word in group if kind == "session"),
        )
        for group in links.groups()
    ]


def owned_by(
    conn: Connection, cycles: Iterable[Cycle], user_id: str, *, now: datetime, rules: Rules
) -> dict[str, set[str]]:
    """By cycle id: the sessions that own some of this person's cycle, or may, where nobody told
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
    """Until when the stay may have lasted: of whom nobody told the end may have sat through the
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


def _in_contact(cycles: Sequence[Cycle], rules: Rules) -> Iterator[tuple[str, str]]:
    """Pairs of cycles in rooms of one name of which one may end, replace or explain the other."""
    ids = {cycle.cycle_id for cycle in cycles}
    yield from ((cycle.cycle_id, cycle.claimed_sid) for cycle in cycles if cycle.claimed_sid in ids)
    by_name: dict[str | None, list[Stay]] = defaultdict(list)
    for stay in stays(cycles, rules):
        by_name[stay.cycle.room_name].append(stay)
    for ordered in by_name.values():
        yield from _overlapping(ordered)
        near = ((one, other) for one, other in pairwise(ordered))
        yield from (
            (one.id, other.id) for one, other in near if other.start - one.start <= visit.NEAR
        )


def _overlapping(ordered: Sequence[Stay]) -> Iterator[tuple[str, str]]:
    """Pairs that overlap: enough of them that all who overlap are linked."""
    longest = ordered[0]
    for stay in ordered[1:]:
        if stay.start <= longest.end:
            yield longest.id, stay.id
        longest = max(longest, stay, key=attrgetter("end"))


def _began_at(cycle: Cycle) -> datetime | None:
    return cycle.began_at or cycle.left_at or cycle.client_left_at or cycle.last_seen_at


def _stay(cycle: Cycle, began_at: datetime, rules: Rules) -> Stay:
    told = cycle.aborted_at if cycle.left_inferred else cycle.left_at or cycle.aborted_at
    exact = cycle.client_leave if cycle.provisional else told
    if exact is not None:
        return Stay(cycle, began_at, max(exact, began_at), ended=True)
    ends = [began_at + rules.max_cycle]
    ends += [cycle.last_seen_at + rules.stale_after] if cycle.last_seen_at else []
    return Stay(cycle, began_at, max(ends), ended=False)


class _Links:
    """What is linked to what, directly or through others."""

    def __init__(self) -> None:
        self._group_of: dict[Word, set[Word]] = {}

    def join(self, *words: Word) -> None:
        groups = [self._group_of.setdefault(word, {word}) for word in words]
        largest = max(groups, key=len)
        for group in groups:
            if group is not largest and not group <= largest:
                largest |= group
                self._group_of.update(dict.fromkeys(group, largest))

    def groups(self) -> Iterable[set[Word]]:
        return {id(group): group for group in self._group_of.values()}.values()
