"""The facts of a session as the tables have them, for `attendance.view` to judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection

from models.domain import attendance, held, ownership
from models.domain.attendance import Attendance
from models.domain.corrections import NONE, by_person
from models.domain.counting import Uncounted
from models.domain.facts import Cycle, Meeting, Room, Rules, Session
from models.domain.held import Held
from models.lookup import made_meetings, meetings, named_room
from models.lookup import reach as reaching
from models.lookup.meetings import Facts, Known
from models.lookup.places import Places, place_of
from models.lookup.reach import Reach, Values
from models.storage.db import is_sqlite
from models.storage.questions import answers
from models.tables import revision, session


class Read(NamedTuple):
    """A session as it was read under its revision: its facts, and the values of cycles in reach."""

    known: Known
    revision: int
    facts: Facts
    cycles: list[Values]


def look_up(conn: Connection, session_id: str, *, rules: Rules) -> Known | None:
    """The session of this id and where its rooms are to be found; None when nobody knows it."""
    known = session.find(conn, session_id)
    return _known(conn, known, rules) if known is not None else None


def look_up_at_revision(
    conn: Connection, session_id: str, *, rules: Rules
) -> tuple[Known, int] | None:
    """The same, and its revision: facts that are read after this are not older."""
    looked_up, numbers = answers(
        conn, session.with_id(session_id), revision.of_registered(session_id)
    )
    if looked_up is None:
        return None
    known = _known(conn, looked_up, rules)
    if not looked_up.registered or looked_up.prefixes:
        # What was read with the session counts: what changes its names since raises its own number.
        later = revision.of(conn, known.keys)
        numbers = later | {session_id: revision.NEVER_RAISED} | numbers
    return known, revision.combined(numbers, known.keys)


def read_at_revision(
    conn: Connection, session_id: str, *, rules: Rules, most: int, places: Places
) -> Read | None:
    """The facts of a session, its revision, and the values of up to `most` of everybody's cycles in
    reach; None when nobody knows it. By one statement of PostgreSQL where its place is known.
    """
    if not is_sqlite(conn):
        read = _read_at_its_place(conn, session_id, rules, most, places)
        if read is not None:
            return read
    looked_up = look_up_at_revision(conn, session_id, rules=rules)
    if looked_up is None:
        return None
    known, number = looked_up
    if known.session.registered:
        places.note(known.session)
    gathered = gather_with_cycles(conn, known, rules=rules, most=most)
    return Read(known, number, *gathered) if gathered is not None else None


def _read_at_its_place(
    conn: Connection, session_id: str, rules: Rules, most: int, places: Places
) -> Read | None:
    expected = places.session(session_id)
    if expected is None:
        return None
    there = meetings.of_registered(conn, expected, rules)
    session_now, numbers, *others = answers(
        conn,
        session.with_id(session_id),
        revision.of_registered(session_id),
        *meetings.of_registered_with_cycles(there, rules, most=most, on_sqlite=False),
    )
    if session_now is None or not session_now.registered:
        return None
    if place_of(session_now) != place_of(expected):
        return None
    known = replace(there, session=session_now)
    number = revision.combined(numbers, known.keys)
    return Read(known, number, *meetings.answered(conn, known, rules, others))


def _known(conn: Connection, known: Session, rules: Rules) -> Known:
    if known.registered:
        return meetings.of_registered(conn, known, rules)
    return made_meetings.of_made(conn, known)


def facts(conn: Connection, session_id: str, *, rules: Rules) -> Facts | None:
    """What is known of the session; None when nobody knows it."""
    known = look_up(conn, session_id, rules=rules)
    return gather(conn, known, rules=rules) if known is not None else None


def gather(conn: Connection, known: Known, *, rules: Rules) -> Facts | None:
    """The facts of a session that was looked up; None for one that was made on the spot when
    nothing belongs to it any more."""
    if known.session.registered:
        return meetings.facts_of_registered(conn, known, rules)
    made = made_meetings.facts_of_made(conn, known, rules)
    return made if _owns_something(conn, made, rules) else None


def gather_with_cycles(
    conn: Connection, known: Known, *, rules: Rules, most: int
) -> tuple[Facts, list[Values]] | None:
    """The same, and the values of up to `most` of everybody's cycles in reach."""
    if known.session.registered:
        return meetings.with_cycles_of_registered(conn, known, rules, most=most)
    made, cycles = made_meetings.with_cycles_of_made(conn, known, rules, most=most)
    return (made, cycles) if _owns_something(conn, made, rules) else None


def facts_at(
    conn: Connection, address: str, *, user_id: str | None, now: datetime, rules: Rules
) -> Facts | None:
    """The facts of the session that an address means; None when nobody knows it."""
    known = look_up(conn, address, rules=rules)
    if known is not None:
        return gather(conn, known, rules=rules)
    return facts_of_name(conn, address, user_id=user_id, now=now, rules=rules)


def facts_of_name(
    conn: Connection, name: str, *, user_id: str | None, now: datetime, rules: Rules
) -> Facts | None:
    """The facts of the session that a room's name means for a person (None: for nobody)."""
    named = named_room.of_name(conn, name, now=now, rules=rules)
    session_id = named.session_id(user_id, now=now)
    return facts(conn, session_id, rules=rules) if session_id is not None else None


def cycles_of(conn: Connection, known: Facts, user_id: str) -> list[Cycle]:
    """The cycles in reach of one person, of all their identities."""
    return [
        each
        for identity in known.meeting.corrections.identities(user_id)
        for each in reaching.within(conn, known.reach, user_id=identity)
    ]


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
    """The attendance of everyone who is expected, a host, or has a counted visit, by user id, one
    after another: of cycles that come a person at a time, by user id.

    Where somebody has several identities, all cycles are read before the first answer.
    """
    corrections = known.meeting.corrections
    if corrections.same_as:
        cycles = sorted(by_person(corrections, cycles).items())
    listed = known.meeting.listed
    people = merge(cycles, ((user_id, ()) for user_id in sorted(listed)), key=itemgetter(0))
    for user_id, groups in groupby(people, itemgetter(0)):
        own = [each for _, some_cycles in groups for each in some_cycles]
        seen = known.view(user_id, own, now=now, rules=rules)
        if seen.visits or user_id in listed:
            yield seen


def when_held(conn: Connection, known: Facts, *, now: datetime, rules: Rules) -> Held:
    """When the session was held, of however many people; with hosts, only theirs are read."""
    session = known.meeting.session
    if not session.hosts:
        people = reaching.by_user(conn, known.reach)
        return held.held(session, everyone(known, people, now=now, rules=rules))
    hosts = ((host, cycles_of(conn, known, host)) for host in sorted(known.meeting.hosts))
    views = (known.view(host, own, now=now, rules=rules) for host, own in hosts)
    return held.held(session, views)


def uncounted(
    known: Facts, cycles: Iterable[tuple[str, Sequence[Cycle]]], *, now: datetime, rules: Rules
) -> Iterator[Uncounted]:
    """What is no visit, of everybody's cycles in reach, each with why."""
    for user_id, own in cycles:
        expecting = known.expected_by(known.meeting.corrections.owner(user_id))
        yield from attendance.uncounted(
            known.meeting, own, now=now, rules=rules, expecting=expecting
        )


def that_own(
    conn: Connection, sessions: Iterable[Session], *, rules: Rules, seen_from: str | None = None
) -> list[Session]:
    """Those of the sessions that are there: registered, or made on the spot of something. With
    `seen_from`, as rooms of this name see them."""
    there = []
    for each in sessions:
        if each.registered:
            there.append(each)
            continue
        known = gather(conn, made_meetings.of_made(conn, each), rules=rules)
        meeting = known.meeting if known else None
        if meeting is not None and seen_from is not None:
            meeting = meeting.seen_from(seen_from)
        if meeting is not None:
            there.append(meeting.session)
    return there


def _owns_something(conn: Connection, known: Facts, rules: Rules) -> bool:
    """Whether anything belongs to this session that was made on the spot: else it is not there."""
    if any(_begins_in(life, known.meeting, rules) for life in known.meeting.rooms):
        return True
    now, people = datetime.now(UTC), sorted(cycles_by_user(conn, known.reach).items())
    uncorrected = replace(known, meeting=replace(known.meeting, corrections=NONE))
    return any(seen.visits for seen in everyone(uncorrected, people, now=now, rules=rules))


def _begins_in(life: Room, meeting: Meeting, rules: Rules) -> bool:
    owners = ownership.of_name(meeting, life.name, frozenset(), rules)
    return owners.at(life.created_at, life, life.created_at) == meeting.session.id
