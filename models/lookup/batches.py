"""The facts of many sessions, gathered together: some statements for a hundred classes.

What is gathered is, value for value, what `session_facts` gathers of each alone. That holds for the
sessions with a schedule and no names by their beginning, which are nearly all; the others are read
one by one, since where their visits may be depends on what is found of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate, chain
from operator import attrgetter, itemgetter

from sqlalchemy import Connection

from models.domain import ownership
from models.domain.corrections import NONE, Corrections
from models.domain.facts import Cycle, Meeting, Room, Rules, Session
from models.domain.json_fields import END_OF_TIME
from models.domain.ownership import Expecting
from models.domain.timetable import WINDOW, Calendar
from models.lookup import meetings, session_facts
from models.lookup import reach as reaching
from models.lookup.meetings import ONE_DAY, Facts
from models.lookup.reach import Reach
from models.storage.bulk import chunks
from models.storage.spans import Span, merged
from models.tables import correction, room, session
from models.tables.session import MAX_DURATION

AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Gathered:
    """A session that is there: its facts, and its cycles by user id."""

    facts: Facts
    cycles: Mapping[str, Sequence[Cycle]]


def of_sessions(
    conn: Connection,
    ids: Sequence[str],
    *,
    rules: Rules,
    user_ids: Sequence[str] | None = None,
    seen_from: str | None = None,
) -> Iterator[Gathered]:
    """Those of the sessions that are there, in the order of their ids, with everybody's cycles or
    these people's. With `seen_from`, as rooms of this name see them."""
    known, longest = dict[str, Session](), Longest()
    for chunk in chunks(ids, AT_ONCE):
        batch = _Batch(conn, rules, user_ids, known, longest)
        batch.read(chunk)
        known = batch.known
        for session_id in chunk:
            gathered = batch.gathered(session_id)
            seen = gathered and _seen(gathered, seen_from)
            if seen is not None:
                yield seen


def _seen(gathered: Gathered, seen_from: str | None) -> Gathered | None:
    if seen_from is None:
        return gathered
    meeting = gathered.facts.meeting.seen_from(seen_from)
    if meeting is None:
        return None
    return replace(gathered, facts=replace(gathered.facts, meeting=meeting))


def _is_batched(each: Session) -> bool:
    return each.registered and each.scheduled_at is not None and not each.prefixes


@dataclass(slots=True)
class Longest:
    """The cycles that were longer than a visit usually can be, by room name, and from which moment
    on they were read."""

    after: dict[str, datetime] = field(default_factory=dict)
    cycles: dict[str, list[Cycle]] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    """What was read for some sessions. `known` are sessions that were read before, by id: those of
    the batch before are often the neighbours of these."""

    conn: Connection
    rules: Rules
    user_ids: Sequence[str] | None
    known: dict[str, Session]
    longest: Longest
    reaches: dict[str, Reach] = field(default_factory=dict)
    lives: dict[str, list[Room]] = field(default_factory=dict)
    near: dict[str, list[Session]] = field(default_factory=dict)
    cycles: dict[str, Timeline] = field(default_factory=dict)
    naming: dict[str, list[Cycle]] = field(default_factory=dict)
    corrections: dict[str, Corrections] = field(default_factory=dict)
    calendars: dict[Calendar, Calendar] = field(default_factory=dict)
    awaited: dict[str, frozenset[str]] = field(default_factory=dict)

    def read(self, ids: Sequence[str]) -> None:
        """All that the sessions of these ids need. What else a meeting has, session by session, is
        to be read here for all of them, and given to it in `_meeting`."""
        self._know(ids)
        wanted = [self.known[each] for each in ids if each in self.known]
        self.reaches = {
            each.id: meetings.reach_of_class(each, self.rules)
            for each in wanted
            if _is_batched(each)
        }
        if self.reaches:
            self._read_lives()
            self._read_near(ids)
            self._read_cycles()
            own = [self.known[each] for each in self.reaches]
            self.corrections = correction.of_sessions(self.conn, own)

    def gathered(self, session_id: str) -> Gathered | None:
        """One of them; None for one that is not there."""
        if session_id not in self.known:
            return None
        reach = self.reaches.get(session_id)
        if reach is None:
            return self._alone(session_id)
        near = self._near(reach)
        facts = Facts(self._meeting(reach, near), reach, self._expecting(near))
        return Gathered(facts, session_facts.by_user(self._within(reach)))

    def _alone(self, session_id: str) -> Gathered | None:
        facts = session_facts.facts(self.conn, session_id, rules=self.rules)
        if facts is None:
            return None
        people: Sequence[str | None] = [None] if self.user_ids is None else self.user_ids
        own = [reaching.within(self.conn, facts.reach, user_id=each) for each in people]
        return Gathered(facts, session_facts.by_user(chain.from_iterable(own)))

    def _meeting(self, reach: Reach, near: Sequence[Session]) -> Meeting:
        calendars = {name: ownership.calendar(name, near) for name in reach.names}
        return Meeting(
            self.known[reach.session_id],
            tuple(self._lives(reach)),
            calendars={
                # One object for equal ones: they are looked up by, and compared, very often.
                name: self.calendars.setdefault(each, each)
                for name, each in calendars.items()
                if each != Calendar()
            },
            corrections=self.corrections.get(reach.session_id, NONE),
        )

    def _expecting(self, near: Sequence[Session]) -> Expecting:
        """As `ownership.expecting` has it, of lists that are made once for each session."""
        by_user: dict[str, set[str]] = defaultdict(set)
        for each in near:
            if each.scheduled_at is not None:
                if each.id not in self.awaited:
                    self.awaited[each.id] = each.awaited
                for user_id in self.awaited[each.id]:
                    by_user[user_id].add(each.id)
        shared: dict[frozenset[str], frozenset[str]] = {}
        return {
            user_id: shared.setdefault(ids, ids)
            for user_id, some_ids in by_user.items()
            for ids in (frozenset(some_ids),)
        }

    def _know(self, ids: Iterable[str]) -> None:
        missing = [each for each in ids if each not in self.known]
        if missing:
            self.known |= session.of_ids(self.conn, missing)

    def _read_lives(self) -> None:
        spans = [Span(name, *_of_lives(reach), _bounds(reach)[0]) for name, reach in self._names()]
        for life in room.of_spans(self.conn, merged(spans)):
            self.lives.setdefault(life.name, []).append(life)

    def _read_near(self, ids: Sequence[str]) -> None:
        """The sessions that are registered near, and those that metadata names."""
        names = {name for name, _ in self._names()}
        bounds = [_of_neighbours(reach) for reach in self.reaches.values()]
        since, until = min(first for first, _ in bounds), max(last for _, last in bounds)
        near = session.registered_ids_near(self.conn, names, since=since, until=until)
        named = {life.named_session for lives in self.lives.values() for life in lives}
        self._know({*near, *(each for each in named if each)})
        self.known = {
            each: self.known[each] for each in {*near, *named, *ids} if each in self.known
        }
        self.near = _by_name([self.known[each] for each in sorted(near)], names)

    def _read_cycles(self) -> None:
        spans = [Span(name, *_of_joins(reach), _bounds(reach)[0]) for name, reach in self._names()]
        by_name: dict[str, list[Cycle]] = defaultdict(list)
        for each in reaching.in_spans(self.conn, merged(spans), user_ids=self.user_ids):
            by_name[each.room_name or ""].append(each)
        self._read_longest(spans)
        for name in {span.word for span in spans}:
            there = {each.cycle_id for each in by_name[name]}
            long = self.longest.cycles.get(name, ())
            by_name[name] += [each for each in long if each.cycle_id not in there]
        self.cycles = {name: Timeline(some) for name, some in by_name.items()}
        for each in reaching.that_name(self.conn, list(self.reaches), user_ids=self.user_ids):
            self.naming.setdefault(each.named_session or "", []).append(each)

    def _read_longest(self, spans: Sequence[Span]) -> None:
        """Once for each name, as long as no earlier ones are asked for."""
        first = {span.word: span for span in sorted(spans, key=attrgetter("after"), reverse=True)}
        before = self.longest.after
        asked = [span for span in first.values() if before.get(span.word, END_OF_TIME) > span.after]
        self.longest.after |= {span.word: span.after for span in asked}
        self.longest.cycles |= {span.word: [] for span in asked}
        found = (
            reaching.longer_than(self.conn, self.rules.max_cycle, asked, user_ids=self.user_ids)
            if asked
            else ()
        )
        for each in found:
            self.longest.cycles[each.room_name or ""].append(each)

    def _names(self) -> Iterator[tuple[str, Reach]]:
        for reach in self.reaches.values():
            for name in reach.names:
                yield name, reach

    def _lives(self, reach: Reach) -> Iterator[Room]:
        """As `room.of_names` and `named_room.valid` give them."""
        since, until = _of_lives(reach)
        for name in sorted(reach.names):
            lives = self.lives.get(name, [])
            created = [life.created_at for life in lives]
            first = bisect_right(created, since)
            first = bisect_left(created, created[first - 1]) if first else 0
            last = bisect_right(created, until)
            last = bisect_right(created, created[last]) if last < len(created) else last
            yield from map(self._valid, ownership.with_lives_in_a_row(lives[first:last]))

    def _valid(self, life: Room) -> Room:
        named = self.known.get(life.named_session or "")
        registered = named if named is not None and named.registered else None
        if life.named_session is None or life.may_name(registered):
            return life
        return life._replace(named_session=None)

    def _near(self, reach: Reach) -> list[Session]:
        """As `session.registered_near` gives them."""
        since, until = _of_neighbours(reach)
        first, last = since - MAX_DURATION - WINDOW, until + WINDOW
        near = {
            each.id: each
            for name in reach.names
            for each in self.near.get(name, ())
            if each.scheduled_at is None or first <= each.scheduled_at <= last
        }
        return list(near.values())

    def _within(self, reach: Reach) -> list[Cycle]:
        """As `reaching.within` gives them."""
        since, until = _of_joins(reach)
        own = [
            each
            for each in self.naming.get(reach.session_id, ())
            if each.joined_at is not None and since <= each.joined_at <= until
        ]
        for name in reach.names:
            if (timeline := self.cycles.get(name)) is not None:
                own += timeline.within(reach)
        return sorted(own, key=attrgetter("cycle_id"))


class Timeline:
    """Cycles in rooms of one name, to be found by the time that they were inside."""

    def __init__(self, cycles: Iterable[Cycle]) -> None:
        self._joined: list[tuple[datetime, Cycle]] = []
        self._aborted: list[tuple[datetime, Cycle]] = []
        for each in cycles:
            if each.joined_at is not None:
                self._joined.append((each.joined_at, each))
            elif each.aborted_at is not None:
                self._aborted.append((each.aborted_at, each))
        self._joined.sort(key=itemgetter(0))
        self._starts = [at for at, _ in self._joined]
        self._ends = list(accumulate(map(_last_sign, self._joined), max))

    def within(self, reach: Reach) -> Iterator[Cycle]:
        """Those in reach, but for manual joins that name its session by its id."""
        for each in self._near(reach):
            if each.named_session != reach.session_id:
                yield each

    def _near(self, reach: Reach) -> Iterator[Cycle]:
        (after, _), (since, until) = _bounds(reach), _of_joins(reach)
        yield from (each for at, each in self._aborted if at >= since)
        first, last = bisect_left(self._starts, since), bisect_right(self._starts, until)
        yield from (each for _, each in self._joined[first:last])
        while first and self._ends[first - 1] >= since:
            first -= 1
            each = self._joined[first][1]
            if (each.left_at is not None and each.left_at >= after) or (
                each.last_seen_at is not None and each.last_seen_at >= since
            ):
                yield each


def _last_sign(joined: tuple[datetime, Cycle]) -> datetime:
    """When the last was heard of the cycle."""
    at, each = joined
    return max(at, each.left_at or at, each.last_seen_at or at)


def _by_name(registered: Iterable[Session], names: Iterable[str]) -> dict[str, list[Session]]:
    """The sessions that are registered for rooms of each of these names."""
    exact, wide = defaultdict[str, list[Session]](list), list[Session]()
    for each in registered:
        for name in each.exact_names:
            exact[name].append(each)
        if each.prefixes:
            wide.append(each)
    return {
        name: [
            *exact.get(name, ()),
            *(each for each in wide if each.is_registered_for(name) and each not in exact[name]),
        ]
        for name in names
    }


def _bounds(reach: Reach) -> tuple[datetime, datetime]:
    """From when to when the class may own moments."""
    if reach.since is None or reach.until is None:
        raise ValueError("this session has no schedule")
    return reach.since, reach.until


def _of_joins(reach: Reach) -> tuple[datetime, datetime]:
    since, until = _bounds(reach)
    return since - reach.longest, until + reach.longest


def _of_lives(reach: Reach) -> tuple[datetime, datetime]:
    since, until = _bounds(reach)
    return since - 2 * reach.longest, until + reach.longest


def _of_neighbours(reach: Reach) -> tuple[datetime, datetime]:
    since, until = _bounds(reach)
    around = reach.longest + WINDOW + ONE_DAY
    return since - around, until + around
