"""Meetings: a session with its rooms, their calendars and what clients said of it, as the tables
have them, and where its cycles are found.

Nothing stored says what belongs to a session: its names, its schedule and what else is registered
for them say where to look, and `ownership` says what is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from models.domain import attendance, ownership
from models.domain.attendance import Attendance
from models.domain.corrections import NONE, Corrections
from models.domain.facts import ByHand, Cycle, Meeting, Room, Rules, Session
from models.domain.ownership import Expecting
from models.domain.timetable import WINDOW, Calendar
from models.lookup import named_room
from models.lookup import reach as reaching
from models.lookup.reach import ClientWord, Reach, Values
from models.storage.db import is_sqlite
from models.storage.questions import Given, Question, answers
from models.tables import correction, cycle, room, session

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
        """The classes that expect this person, under whichever of their identities."""
        if not self.meeting.corrections.same_as:
            return self.expecting.get(user_id, frozenset())
        identities = self.meeting.corrections.identities(user_id)
        return frozenset().union(*(self.expecting.get(each, ()) for each in identities))


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


def of_registered(conn: Connection, registered: Session, rules: Rules) -> Known:
    prefixes, (since, until) = registered.prefixes, _span(registered, rules)
    names = registered.exact_names | room.names_of(conn, prefixes)
    by_hand = cycle.names_by_hand(conn, prefixes, since=since, until=until)
    return Known(registered, names | by_hand)


def facts_of_registered(conn: Connection, known: Known, rules: Rules) -> Facts:
    """What is known of a registered session."""
    return with_cycles_of_registered(conn, known, rules, most=0)[0]


def with_cycles_of_registered(
    conn: Connection, known: Known, rules: Rules, *, most: int
) -> tuple[Facts, list[Values]]:
    """The same, and the values of up to `most` cycles in reach: by one statement of PostgreSQL.

    A registered session reaches as far as it may own moments: around its schedule, or, without one,
    wherever no class of its names does.
    """
    asked = of_registered_with_cycles(known, rules, most=most, on_sqlite=is_sqlite(conn))
    return answered(conn, known, rules, answers(conn, *asked))


def of_registered_with_cycles(
    known: Known, rules: Rules, *, most: int, on_sqlite: bool
) -> list[Question[Any] | Given[Any]]:
    """What is to be asked for that, but for the session: `answered` takes the answers."""
    reach, longest = _reach_of_registered(known, rules), rules.max_cycle
    since, until = reach.since, reach.until
    earliest, latest = since and since - 2 * longest, until and until + longest
    return [
        room.lives(known.names, since=earliest, until=latest, on_sqlite=on_sqlite),
        _near(reach, since, until, rules, on_sqlite=on_sqlite),
        correction.counting([known.session], on_sqlite=on_sqlite),
        reaching.last_manual_signs(reach, on_sqlite=on_sqlite) if since is None else Given({}),
        reaching.values_in_reach(reach, most=most, on_sqlite=on_sqlite) if most else Given([]),
    ]


def answered(
    conn: Connection, known: Known, rules: Rules, asked: Sequence[Any]
) -> tuple[Facts, list[Values]]:
    """The facts and the values of cycles that those answers tell."""
    lives, near, corrections, signs, cycles = asked
    reach, lives = _reach_of_registered(known, rules), named_room.valid(conn, lives, near)
    facts = _assembled(known.session, reach, lives, near, corrections)
    by_hand = said_by_hand(signs)
    return replace(facts, meeting=replace(facts.meeting, by_hand=by_hand)), cycles


def _reach_of_registered(known: Known, rules: Rules) -> Reach:
    since, until = _span(known.session, rules)
    return Reach(known.session.id, known.names, None, since, until, rules.max_cycle)


def _span(registered: Session, rules: Rules) -> tuple[datetime | None, datetime | None]:
    """From when to when the session may own moments of its rooms; None without a schedule."""
    start, end = registered.scheduled_at, registered.ends_at
    if start is None or end is None:
        return None, None
    around = rules.max_cycle if registered.id == registered.room_name else WINDOW
    return start - around, end + around


def reach_of_class(registered: Session, rules: Rules) -> Reach:
    """The reach of a session with a schedule, none of whose rooms is named by its beginning."""
    since, until = _span(registered, rules)
    names, longest = registered.exact_names, rules.max_cycle
    return Reach(registered.id, names, None, since, until, longest)


def facts_of_lives(
    conn: Connection, made: Session, reach: Reach, lives: Sequence[Room], rules: Rules
) -> tuple[Facts, list[ClientWord]]:
    """What is known of a session that was made on the spot, in these lives of its rooms, and what
    clients said of it."""
    on_sqlite = is_sqlite(conn)
    since = min((life.created_at for life in lives), default=None)
    until = max((life.last_event_at for life in lives), default=None)
    near, corrections, words = answers(
        conn,
        _near(reach, since, until, rules, on_sqlite=on_sqlite),
        correction.counting([made], on_sqlite=on_sqlite),
        reaching.client_words(reach, on_sqlite=on_sqlite),
    )
    valid = named_room.valid(conn, lives, near)
    return _assembled(made, reach, valid, near, corrections), words


def _near(
    reach: Reach,
    since: datetime | None,
    until: datetime | None,
    rules: Rules,
    *,
    on_sqlite: bool,
) -> Question[list[Session]]:
    """The registered sessions that may own moments of its rooms then, or that name them."""
    around = rules.max_cycle + WINDOW + ONE_DAY
    first, last = since and since - around, until and until + around
    return session.near(reach.names, since=first, until=last, on_sqlite=on_sqlite)


def _assembled(
    known: Session,
    reach: Reach,
    lives: Sequence[Room],
    near: Sequence[Session],
    corrections: Mapping[str, Corrections],
) -> Facts:
    calendars = {name: ownership.calendar(name, near) for name in reach.names}
    meeting = Meeting(
        known,
        tuple(lives),
        calendars={name: each for name, each in calendars.items() if each != Calendar()},
        corrections=corrections.get(known.id, NONE),
    )
    return Facts(meeting, reach, ownership.expecting(near))


def said_by_hand(
    signs: Mapping[str, datetime], words: Sequence[ClientWord] = ()
) -> dict[str, ByHand]:
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
