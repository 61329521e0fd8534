"""The facts of a session as the tables have them, for `attendance.view` to judge.

Nothing stored says what belongs to a session: its names, its schedule and what else is registered
for them say where to look, and `ownership` says what is its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from heapq import merge
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection

from models.domain import attendance, ownership
from models.domain.attendance import Attendance
from models.domain.counting import Uncounted
from models.domain.facts import ByHand, Cycle, Meeting, Room, Rules, Session, made_for
from models.domain.ownership import Expecting
from models.domain.timetable import WINDOW, Calendar
from models.tables import cycle, named_room, namings, room, session
from models.tables import reach as reaching
from models.tables.reach import ClientWord, Reach

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Facts:
    """A meeting, who is expected by its own and its neighbouring classes, and where its cycles are
    found."""

    meeting: Meeting
    reach: Reach
    expecting: Expecting = field(default_factory=dict)

    def view(
        self, user_id: str, cycles: Sequence[Cycle], *, now: datetime, rules: Rules
    ) -> Attendance:
        """One person's attendance, of whom these are all cycles in reach."""
        expecting = self.expected_by(user_id)
        return attendance.view(
            self.meeting, user_id, cycles, now=now, rules=rules, expecting=expecting
        )

    def expected_by(self, user_id: str) -> frozenset[str]:
        """The classes that expect this person."""
        return self.expecting.get(user_id, frozenset())


@dataclass(frozen=True, slots=True)
class Known:
    """A session with the names of all rooms that may be its own. Of one that was made on the spot,
    `naming` are those whose metadata names it, and `joined` when its first and its last manual join
    by its id were."""

    session: Session
    names: frozenset[str]
    naming: tuple[Room, ...] = ()
    joined: tuple[datetime, ...] = ()

    @property
    def keys(self) -> list[str]:
        """The keys of its revisions: nothing of its facts changes unless one of these does."""
        return sorted({self.session.id, *self.names})


def look_up(conn: Connection, session_id: str, *, rules: Rules) -> Known | None:
    """The session of this id and where its rooms are to be found; None when nobody knows it."""
    found = session.find(conn, session_id)
    if found is None:
        return None
    return _of_registered(conn, found, rules) if found.registered else of_made(conn, found)


def facts(conn: Connection, session_id: str, *, rules: Rules) -> Facts | None:
    """What is known of the session; None when nobody knows it."""
    known = look_up(conn, session_id, rules=rules)
    return gather(conn, known, rules=rules) if known is not None else None


def gather(conn: Connection, known: Known, *, rules: Rules) -> Facts | None:
    """The facts of a session that was looked up; None for one that was made on the spot when
    nothing belongs to it any more."""
    if known.session.registered:
        return _facts_of_registered(conn, known, rules)
    made = _facts_of_made(conn, known, rules)
    return made if _owns_something(conn, made, rules) else None


def facts_at(
    conn: Connection, address: str, *, user_id: str | None, now: datetime, rules: Rules
) -> Facts | None:
    """The facts of the session that an address means; None when nobody knows it."""
    if session.find(conn, address) is not None:
        return facts(conn, address, rules=rules)
    return facts_of_name(conn, address, user_id=user_id, now=now, rules=rules)


def facts_of_name(
    conn: Connection, name: str, *, user_id: str | None, now: datetime, rules: Rules
) -> Facts | None:
    """The facts of the session that a room's name means for a person (None: for nobody)."""
    named = named_room.of_name(conn, name, now=now, rules=rules)
    session_id = named.session_id(user_id, now=now)
    return facts(conn, session_id, rules=rules) if session_id is not None else None


def cycles_by_user(
    conn: Connection, reach: Reach, *, user_id: str | None = None
) -> dict[str, list[Cycle]]:
    """The cycles in reach, of everybody or of one person, by user id."""
    return by_user(reaching.within(conn, reach, user_id=user_id))


def by_user(cycles: Iterable[Cycle]) -> dict[str, list[Cycle]]:
    """The same cycles, by user id."""
    grouped: dict[str, list[Cycle]] = defaultdict(list)
    for each in cycles:
        grouped[each.user_id].append(each)
    return dict(grouped)


def everyone(
    known: Facts, cycles: Iterable[tuple[str, Sequence[Cycle]]], *, now: datetime, rules: Rules
) -> Iterator[Attendance]:
    """The attendance of everyone who is expected or has a counted visit, by user id, one after
    another: of cycles that come a person at a time, by user id."""
    expected = sorted({person.user_id for person in known.meeting.session.expected})
    awaited = set(expected)
    people = merge(cycles, ((user_id, ()) for user_id in expected), key=itemgetter(0))
    for user_id, groups in groupby(people, itemgetter(0)):
        own = [each for _, some_cycles in groups for each in some_cycles]
        seen = known.view(user_id, own, now=now, rules=rules)
        if seen.visits or user_id in awaited:
            yield seen


def uncounted(
    known: Facts, cycles: Iterable[tuple[str, Sequence[Cycle]]], *, now: datetime, rules: Rules
) -> Iterator[Uncounted]:
    """What is no visit, of everybody's cycles in reach, each with why."""
    for user_id, own in cycles:
        expecting = known.expected_by(user_id)
        yield from attendance.uncounted(
            known.meeting, own, now=now, rules=rules, expecting=expecting
        )


def that_own(conn: Connection, sessions: Iterable[Session], *, rules: Rules) -> list[Session]:
    """Those of the sessions that are there: registered, or made on the spot of something."""
    there = []
    for each in sessions:
        if each.registered:
            there.append(each)
        elif (known := gather(conn, of_made(conn, each), rules=rules)) is not None:
            there.append(known.meeting.session)
    return there


def _owns_something(conn: Connection, known: Facts, rules: Rules) -> bool:
    """Whether anything belongs to this session that was made on the spot: else it is not there."""
    if any(_begins_in(life, known.meeting, rules) for life in known.meeting.rooms):
        return True
    now, people = datetime.now(UTC), sorted(cycles_by_user(conn, known.reach).items())
    return any(seen.visits for seen in everyone(known, people, now=now, rules=rules))


def _begins_in(life: Room, meeting: Meeting, rules: Rules) -> bool:
    owners = ownership.of_name(meeting, life.name, frozenset(), rules)
    return owners.at(life.created_at, life, life.created_at) == meeting.session.id


def _of_registered(conn: Connection, registered: Session, rules: Rules) -> Known:
    prefixes, (since, until) = registered.prefixes, _span(registered, rules)
    names = registered.exact_names | room.names_of(conn, prefixes)
    by_hand = cycle.names_by_hand(conn, prefixes, since=since, until=until)
    return Known(registered, names | by_hand)


def of_made(conn: Connection, made: Session) -> Known:
    """What was made on the spot has the rooms that name it, and the name in its id."""
    naming = room.that_name(conn, made.id)
    by_hand, since, until = cycle.named_by_hand(conn, made.id)
    names = {life.name for life in naming} | by_hand or {made.room_name}
    room_name, _ = made_for(made.id)
    names |= {room_name} if room_name else set()
    joined = tuple(at for at in (since, until) if at is not None)
    return Known(made, frozenset(names), tuple(naming), joined)


def rooms_of_made(conn: Connection, made: Session, *, rules: Rules) -> list[Room]:
    """The rooms that may be in a session of this id while nobody registers it."""
    return _reach_of_made(conn, of_made(conn, made), rules)[1]


def _facts_of_registered(conn: Connection, known: Known, rules: Rules) -> Facts:
    """A registered session reaches as far as it may own moments: around its schedule, or, without
    one, wherever no class of its names does."""
    registered, longest = known.session, rules.max_cycle
    since, until = _span(registered, rules)
    lives = room.of_names(
        conn, known.names, since=since and since - 2 * longest, until=until and until + longest
    )
    reach = Reach(registered.id, known.names, frozenset(), since, until, longest)
    if since is None:
        reach = replace(reach, sids=frozenset(life.sid for life in lives))
    known_facts = _facts(conn, registered, reach, lives, rules)
    if since is not None:
        return known_facts
    by_hand = _by_hand(reaching.last_manual_signs(conn, reach))
    return replace(known_facts, meeting=replace(known_facts.meeting, by_hand=by_hand))


def _span(registered: Session, rules: Rules) -> tuple[datetime | None, datetime | None]:
    """From when to when the session may own moments of its rooms; None without a schedule."""
    start, end = registered.scheduled_at, registered.ends_at
    if start is None or end is None:
        return None, None
    around = rules.max_cycle if registered.id == registered.room_name else WINDOW
    return start - around, end + around


def _facts_of_made(conn: Connection, known: Known, rules: Rules) -> Facts:
    reach, lives = _reach_of_made(conn, known, rules)
    made = _facts(conn, known.session, reach, lives, rules)
    words = reaching.client_words(conn, reach)
    signs = reaching.last_manual_signs(conn, _reach_of_signs(made, known, rules))
    session = _as_it_was_made(made.meeting, words)
    meeting = replace(made.meeting, session=session, by_hand=_by_hand(signs, words))
    return replace(made, meeting=meeting)


def _reach_of_made(conn: Connection, known: Known, rules: Rules) -> tuple[Reach, list[Room]]:
    """What was made on the spot has the rooms that name it and those that were born again within
    `MAX_CYCLE_HOURS`, or the rooms of the name in its id that were created on its day. Manual joins
    that name it give way to what LiveKit told of those people then."""
    begins = _begins(known, rules)
    if not begins:
        return Reach(known.session.id, known.names), []
    longest, since, until = rules.max_cycle, min(begins), max(begins)
    lives = room.of_names(conn, known.names, since=since - longest, until=until + 2 * longest)
    own = [life for life in lives if life.created_at <= until + 2 * longest]
    sids = frozenset(life.sid for life in own)
    by_hand = (since, _last_of(own, until + 2 * longest))
    return Reach(known.session.id, known.names, sids, by_hand=by_hand), lives


def _begins(known: Known, rules: Rules) -> list[datetime]:
    """Moments at which what was made on the spot may have begun, the first and the last of them."""
    begins = [*(life.created_at for life in known.naming), *known.joined]
    _, day = made_for(known.session.id)
    return [*begins, *_hours_of(day, rules)] if day is not None else begins


def _reach_of_signs(made: Facts, known: Known, rules: Rules) -> Reach:
    """The reach, but of manual joins only those that may be its own: until its day is over, and as
    long as one of its own rooms went on. A join on the next day is another session's."""
    begins = _begins(known, rules)
    if made.reach.by_hand is None or not begins:
        return made.reach
    ends: list[datetime | None] = [max(begins)]
    ends += [_ended_at(life) for life in ownership.own_rooms(made.meeting, rules)]
    until = None if None in ends else max(end for end in ends if end is not None)
    return replace(made.reach, by_hand=(min(begins), until))


def _ended_at(life: Room) -> datetime | None:
    return life.superseded_at or (life.finished_at if life.finished else None)


def _last_of(lives: Sequence[Room], until: datetime) -> datetime | None:
    """Until when somebody may join these rooms by hand, or what is none of theirs until then; None
    while one of them may go on."""
    ends = [life.superseded_at for life in lives]
    return None if None in ends else max([until, *(end for end in ends if end is not None)])


def _facts(
    conn: Connection, known: Session, reach: Reach, lives: Sequence[Room], rules: Rules
) -> Facts:
    around = rules.max_cycle + WINDOW + ONE_DAY
    since, until = reach.since, reach.until
    if since is None and not known.registered and lives:
        since = min(life.created_at for life in lives)
        until = max(life.last_event_at for life in lives)
    registered = session.registered_near(
        conn, reach.names, since=since and since - around, until=until and until + around
    )
    lives = namings.valid(conn, lives, registered)
    calendars = {name: ownership.calendar(name, registered) for name in reach.names}
    meeting = Meeting(
        known,
        tuple(lives),
        calendars={name: each for name, each in calendars.items() if each != Calendar()},
    )
    return Facts(meeting, reach, ownership.expecting(registered))


def _as_it_was_made(meeting: Meeting, words: Sequence[ClientWord]) -> Session:
    """The session with the first room that names it, and with what clients said of it first, where
    nobody registered it."""
    known = meeting.session
    naming = [life for life in meeting.rooms if life.named_session == known.id]
    first = min(naming, key=lambda life: life.age, default=None)
    said = {each.word: each.value for each in reversed(words)}
    return replace(
        known,
        room_name=first.name if first else made_for(known.id)[0] or known.room_name,
        session_type=said.get("session_type"),
        academy_id=said.get("academy_id"),
    )


def _by_hand(signs: Mapping[str, datetime], words: Sequence[ClientWord] = ()) -> dict[str, ByHand]:
    """What clients said by hand, by room name."""
    by_name = {name: ByHand(heard_at) for name, heard_at in signs.items()}
    for each in words:
        known, said = by_name.get(each.room_name, ByHand()), {each.word: each.value}
        by_name[each.room_name] = replace(
            known,
            session_type=said.get("session_type", known.session_type),
            academy_id=said.get("academy_id", known.academy_id),
        )
    return by_name


def _hours_of(day: date, rules: Rules) -> tuple[datetime, datetime]:
    """From the start of the day to its end, in `TIMEZONE`."""
    start, end = (datetime.combine(each, time(), rules.timezone) for each in (day, day + ONE_DAY))
    return start, end
