"""A report says nothing else than the rosters of its sessions, and one person's list nothing else
than their statuses: days of schools, made by chance, and corrected by chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection

from models.domain import attendance, held
from models.domain.attendance import Attendance
from models.domain.corrections import Correction
from models.domain.facts import Session
from models.domain.tally import Tally
from models.lookup import personal, report, session_facts, session_list
from models.lookup import reach as reaching
from models.lookup.session_list import Wanted
from models.storage import bulk, db
from models.storage.engine import make_engine
from models.tables import correction
from tests.test_reach import USERS, School, school, stored

KINDS = ("excused", "present", "not_a_visit", "same_person", "note")
SEEDS = range(8)
MICROSECOND, HALF = timedelta(microseconds=1), Fraction(1, 2)
MORE = ("inside", "attendance_percentage", "below_minimum")


def a_school(conn: Connection, seed: int) -> School:
    """Stored, with hosts, minimums and corrections."""
    made, dice = school(seed), Random(seed)
    classes = [
        replace(
            each,
            hosts=tuple(dice.sample(USERS, dice.choice([0, 0, 1]))),
            minimum_percentage=dice.choice([None, 50.0, 66.7]),
        )
        for each in made.classes
    ]
    made = replace(made, classes=classes)
    stored(conn, made)
    corrected = [*corrections_of(dice, made), *corrections_of_hosts(dice, made)]
    corrected += corrections_of_identities(dice, made)
    bulk.upsert(conn, correction.corrections, [correction.as_row(each) for each in corrected])
    return made


def corrections_of(dice: Random, made: School) -> Iterator[Correction]:
    for number, each in enumerate(dice.choices(made.classes, k=6) if made.classes else ()):
        kind, begins = dice.choice(KINDS), each.scheduled_at or made.now - timedelta(hours=5)
        told = [event for event in made.events if event.participant_sid]
        user, other = dice.sample([*USERS, "phone"], 2)
        yield Correction(
            f"CO_{number}",
            each.id,
            each.room_name,
            user,
            kind,  # type: ignore[arg-type]
            made_at=begins + timedelta(minutes=number),
            author="teacher",
            starts_at=begins if kind == "present" else None,
            ends_at=begins + timedelta(minutes=20) if kind == "present" else None,
            participant_sid=dice.choice(told).participant_sid if told else None,
            same_as=other if kind == "same_person" else None,
            always_from=begins if kind == "same_person" and dice.random() < 0.5 else None,
            undone_at=made.now if dice.random() < 0.2 else None,
        )


def corrections_of_hosts(dice: Random, made: School) -> Iterator[Correction]:
    """Each host is somebody else, or somebody else is them."""
    for each in made.classes:
        for host in each.hosts:
            other = dice.choice([user for user in USERS if user != host])
            user, owner = dice.sample([host, other], 2)
            yield same_person(f"CO_{each.id}_{host}", each, user, owner, at=made.now)


def corrections_of_identities(dice: Random, made: School) -> Iterator[Correction]:
    """In most classes somebody, who visited it or not, is somebody else."""
    for each in made.classes:
        user, owner = dice.sample(USERS, 2)
        if dice.random() < 0.8:
            made_id = f"CO_{each.id}_{user}_{owner}"
            yield same_person(made_id, each, user, owner, at=made.now)


def same_person(made_id: str, of: Session, user: str, owner: str, *, at: datetime) -> Correction:
    """In this session the user is another identity of the owner."""
    return Correction(
        made_id,
        of.id,
        of.room_name,
        user,
        "same_person",
        made_at=at,
        author="teacher",
        same_as=owner,
    )


def rosters(conn: Connection, made: School) -> Iterator[tuple[Session, bool, list[Attendance]]]:
    """Each session that is there, read alone: whether it is over, and its roster."""
    rules, now = made.settings.rules, made.now
    for session_id in session_list.beginnings(conn, Wanted(now)):
        facts = session_facts.facts(conn, session_id, rules=rules)
        if facts is not None:
            people = reaching.by_user(conn, facts.reach)
            seen = list(session_facts.everyone(facts, people, now=now, rules=rules))
            yield (
                facts.meeting.session,
                attendance.is_over(facts.meeting, now=now, rules=rules),
                seen,
            )


def counted(told: list[tuple[Session, Attendance]]) -> dict[str, Any]:
    """What a report says of one person, counted anew from the lines of rosters."""
    statuses = Counter(seen.attendance_status for _, seen in told)
    scheduled = [
        (session, seen)
        for session, seen in told
        if session.scheduled_at is not None and seen.attendance_status != "excused"
    ]
    whole = sum((_length(session) for session, _ in scheduled), timedelta(0))
    inside = sum((seen.scheduled_duration or timedelta(0) for _, seen in scheduled), timedelta(0))
    return {
        "sessions": len(told),
        "attended": statuses["completed"] + statuses["present"],
        "absent": statuses["absent"],
        "excused": statuses["excused"],
        "late": sum(seen.is_late is True for _, seen in told),
        "left_early": sum(seen.left_early is True for _, seen in told),
        "scheduled": whole,
        "inside": inside,
        "attendance_percentage": _shown(inside, whole) if whole else None,
        "below_minimum": _below(scheduled, inside, whole),
    }


def _length(session: Session) -> timedelta:
    assert session.scheduled_at is not None
    assert session.ends_at is not None
    return session.ends_at - session.scheduled_at


def _below(
    scheduled: list[tuple[Session, Attendance]], inside: timedelta, whole: timedelta
) -> bool | None:
    minimums = [
        (session.minimum_percentage, _length(session) / timedelta(minutes=1))
        for session, _ in scheduled
        if session.minimum_percentage is not None
    ]
    if not minimums:
        return None
    mean = sum(minimum * minutes for minimum, minutes in minimums)
    mean /= sum(minutes for _, minutes in minimums)
    return _shown(inside, whole) < mean - 1e-9


def _shown(inside: timedelta, whole: timedelta) -> float:
    return int(Fraction(inside / MICROSECOND) * 1000 / Fraction(whole / MICROSECOND) + HALF) / 10


def said(tally: Tally) -> dict[str, Any]:
    names = ("sessions", "attended", "absent", "excused", "late", "left_early", "scheduled")
    return {name: getattr(tally, name) for name in (*names, *MORE)}


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    engine = make_engine(database_url)
    with ExitStack() as at_last, db.writing(engine) as conn:
        at_last.callback(engine.dispose)
        yield conn


@pytest.mark.parametrize("seed", SEEDS)
def test_a_report_counts_what_the_rosters_say(seed: int, conn: Connection) -> None:
    made = a_school(conn, seed)
    by_user: dict[str, list[tuple[Session, Attendance]]] = defaultdict(list)
    for session, over, roster in rosters(conn, made):
        for seen in roster:
            if over and not seen.is_host:
                by_user[seen.user_id].append((session, seen))
    people = report.People()
    for each in report.sessions_over(conn, Wanted(made.now), rules=made.settings.rules):
        assert all(person.user_id == seen.user_id for person, seen in people.add(each))
    assert {each.user_id: said(each.tally) for each in people.in_order()} == {
        user_id: counted(told) for user_id, told in sorted(by_user.items())
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_and_a_roster_say_the_same_of_when_a_class_was_held(
    seed: int, conn: Connection
) -> None:
    """A file reads the hosts alone, a roster everybody; hosts are corrected to be others."""
    made = a_school(conn, seed)
    rules, now = made.settings.rules, made.now
    for session, _, roster in rosters(conn, made):
        facts = session_facts.facts(conn, session.id, rules=rules)
        assert facts is not None
        when_held = session_facts.when_held(conn, facts, now=now, rules=rules)
        assert when_held == held.held(session, roster), session.id


@pytest.mark.parametrize("seed", SEEDS)
def test_one_persons_list_is_their_lines_of_all_rosters(seed: int, conn: Connection) -> None:
    made = a_school(conn, seed)
    lines: dict[str, dict[str, Attendance]] = defaultdict(dict)
    for session, _, roster in rosters(conn, made):
        for seen in roster:
            lines[seen.user_id][session.id] = seen
    for user_id in (*USERS, "phone"):
        listed = personal.attendances(conn, user_id, Wanted(made.now), rules=made.settings.rules)
        assert {each.session.id: each.attendance for each in listed} == lines[user_id], user_id


@pytest.mark.parametrize("seed", SEEDS)
def test_one_persons_summary_is_their_line_of_a_report(seed: int, conn: Connection) -> None:
    """Of every identity: who is somebody else in all sessions has no line, and an empty summary."""
    made = a_school(conn, seed)
    rules, wanted, people = made.settings.rules, Wanted(made.now), report.People()
    for over in report.sessions_over(conn, wanted, rules=rules):
        for _ in people.add(over):
            pass
    reported = {each.user_id: said(each.tally) for each in people.in_order()}
    for user_id in (*USERS, "phone"):
        tally = Tally()
        for each in personal.attendances(conn, user_id, wanted, rules=rules, with_merged=True):
            if each.counts:
                tally.add(each.session, each.attendance)
        assert said(tally) == reported.get(user_id, said(Tally())), user_id
