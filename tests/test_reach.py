"""What is read of a session misses nothing that is its own: days of schools, made by chance, give
the same rosters from the database as from all facts that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection

from models.domain.attendance import Attendance
from models.domain.event import Event
from models.domain.facts import Session
from models.ledger import apply
from models.lookup import reach as reaching
from models.lookup import session_facts
from models.settings.settings import Settings
from models.storage import db
from models.storage.engine import make_engine
from models.tables import session
from tests.build import (
    DAY,
    KEY,
    SECRET,
    Words,
    aborted,
    client_joined,
    client_left,
    folded,
    joined,
    left,
    room_finished,
    room_started,
    seen,
)
from tests.build import session as registered

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
USERS = ("5", "6", "guest")
NAMES = ("a", "98", "side-1", "side-2", "a@2026-11-23")
IDS = ("97", "98", "99", "a", "u", "a@2026-11-23", "side-1")
FROM, DAYS = DAY - 36 * HOUR, 4


@dataclass(frozen=True)
class School:
    """What happened in some rooms, and what is registered for them, by chance."""

    events: list[Event]
    classes: list[Session]
    now: datetime
    settings: Settings


def school(seed: int) -> School:
    dice = Random(seed)
    settings = Settings(
        livekit_api_key=KEY,
        livekit_api_secret=SECRET,
        max_cycle_hours=dice.choice([1, 3, 12, 12]),
        overrun_minutes=dice.choice([0, 0, 15, 90]),
        timezone=dice.choice(["UTC", "Asia/Kolkata"]),
        _env_file=None,
    )
    now = moment(dice) + dice.choice([0, 0, 24, 96]) * HOUR
    ids = dice.sample(IDS, dice.randint(0, len(IDS)))
    classes = [class_of(dice, each) for each in ids]
    told_of = [event for name in NAMES for event in events_in(dice, name)]
    for number in range(dice.randint(0, 8)):
        told_of += by_hand(dice, number, classes)
    if dice.random() < 0.8:
        told_of = [event for event in told_of if event.created_at <= now]
    dice.shuffle(told_of)
    return School(told_of, classes, now, settings)


def moment(dice: Random) -> datetime:
    """Mostly on the edges of others."""
    at = FROM + dice.randrange(DAYS * 24 * 4) * 15 * MINUTE
    return at + dice.choice([0, 0, 0, 0, -1, 1]) * timedelta(milliseconds=dice.randint(1, 90_000))


def class_of(dice: Random, session_id: str) -> Session:
    room_name = dice.choice(["a", "a", "98", "side-1", session_id])
    if "@" in session_id:
        room_name = "a"
    return registered(
        session_id,
        scheduled=None if dice.random() < 0.25 else moment(dice),
        minutes=dice.choice([15, 30, 60, 60, 600, 3000]),
        room_name=room_name,
        expected=dice.sample(USERS, dice.choice([0, 0, 1, 2])),
        rooms=dice.choice([(), (), (), ("side-*",), ("98", "side-1"), ("*",)]),
    )


def events_in(dice: Random, name: str) -> Iterator[Event]:
    """The lives of one name in a row, and who was in them."""
    begins = sorted({moment(dice) for _ in range(dice.choice([0, 1, 2, 4]))})
    for number, (begin, end) in enumerate(pairwise([*begins, FROM + (DAYS + 1) * 24 * HOUR])):
        room: Words = {
            "room": f"RM_{name}_{number}",
            "room_name": name,
            "room_created": begin,
            "names": dice.choice([None, None, None, "98", "u", "x"]),
        }
        if dice.random() < 0.8:
            yield room_started(begin, **room)
        if dice.random() < 0.2:
            yield room_started(min(end, begin + dice.randint(1, 900) * MINUTE), **room)
        for visit in range(dice.randint(0, 5)):
            yield from stay(dice, f"PA_{name}_{number}_{visit}", begin, end, room)
        if dice.random() < 0.6:
            yield room_finished(end - dice.choice([0, 1, 30, 600]) * MINUTE, **room)


def stay(dice: Random, sid: str, begin: datetime, end: datetime, room: Words) -> Iterator[Event]:
    length = (end - begin) // MINUTE
    came = begin + dice.randint(0, max(1, min(length, dice.choice([30, 300, 3000])))) * MINUTE
    visit: Words = {**room, "sid": sid, "user": dice.choice(USERS), "joined_at": came}
    if dice.random() < 0.95:
        yield joined(came, **visit)
    went = min(end, came + dice.choice([0, 1, 10, 60, 200, 700, 800, 1600]) * MINUTE)
    if dice.random() < 0.6:
        yield left(went, **visit)
    elif dice.random() < 0.2:
        yield left(went, **(visit | Words(source="reconciler")))
    for _ in range(dice.choice([0, 0, 0, 1, 3])):
        yield seen(min(end, came + dice.randint(0, 1600) * MINUTE), **visit)
    if dice.random() < 0.05:
        yield aborted(min(went, came + HOUR), **visit)


def by_hand(dice: Random, number: int, classes: Sequence[Session]) -> Iterator[Event]:
    """By an id only where the room may join that session."""
    when, visit, user = moment(dice), f"VI_{number}", dice.choice(USERS)
    name = dice.choice(NAMES)
    others = {each.id for each in classes if not each.is_registered_for(name)}
    named = dice.choice([None, None, *sorted({"98", "u", "x", "97"} - others)])
    yield told_by_hand(client_joined(when, visit=visit, user=user, room_name=name), named)
    if dice.random() < 0.5:
        went = when + dice.choice([1, 30, 90, 800]) * MINUTE
        yield told_by_hand(client_left(went, visit=visit, user=user, room_name=name), named)


def told_by_hand(event: Event, named: str | None) -> Event:
    return event._replace(session_id=named)


def parts(seen: Attendance, of: Session | None, now: datetime) -> list[tuple[object, ...]]:
    """Of a class those near it: what names it by metadata or by hand, long before or after, is not
    looked for."""
    if of is None or of.scheduled_at is None or of.ends_at is None:
        since, until = FROM - 900 * HOUR, FROM + 900 * HOUR
    else:
        since, until = of.scheduled_at - HOUR, of.ends_at + HOUR
    return [
        (part.cycle.cycle_id, part.joined_at, part.ended_at, part.ended_by, part.estimated)
        for part in seen.visits
        if part.joined_at <= until and (part.ended_at or max(now, part.joined_at)) >= since
    ]


def of_class(seen: Attendance) -> tuple[object, ...]:
    return (
        seen.is_late,
        seen.left_early,
        seen.attendance_percentage,
        seen.scheduled_duration,
        seen.final,
    )


def stored(conn: Connection, made: School) -> None:
    for each in made.classes:
        session.store(conn, each, now=made.now)
    for start in range(0, len(made.events), 7):
        apply.apply(conn, made.events[start : start + 7], now=made.now, settings=made.settings)


def compare(conn: Connection, made: School) -> list[str]:
    rules = made.settings.rules
    known = folded(made.events, registered=made.classes, rules=rules)
    wrong = []
    for session_id in sorted({*known.candidates, *IDS, *NAMES, "x"}):
        facts = session_facts.facts(conn, session_id, rules=rules)
        for user in USERS:
            whole = known.attendance(user, session_id, now=made.now)
            if facts is None:
                if whole.visits:
                    wrong.append(
                        f"{session_id} is not there: {user} {parts(whole, None, made.now)}"
                    )
                continue
            own = reaching.within(conn, facts.reach, user_id=user)
            read = facts.view(user, own, now=made.now, rules=rules)
            own_class = known.registered.get(session_id)
            said, right = (parts(each, own_class, made.now) for each in (read, whole))
            if said != right:
                wrong.append(f"{session_id} {user}: {said} is {right}")
            elif own_class and own_class.scheduled_at and of_class(read) != of_class(whole):
                wrong.append(f"{session_id} {user}: {of_class(read)} is {of_class(whole)}")
    return wrong


A_LONG_LIFE: Words = {"room_created": "08:00", "room_name": "a"}
TOKYO = {"timezone": "Asia/Tokyo", "max_cycle_hours": 3}

CASES = [
    pytest.param(
        [
            room_started("08:00", **A_LONG_LIFE),
            client_joined("09:00 +3", room_name="a", session=""),
        ],
        [],
        {},
        id="a manual join in a room that is open for days",
    ),
    pytest.param(
        [client_joined("14:05", room_name="side-7", session="")],
        [registered(rooms=["side-*"])],
        {},
        id="a manual join in a side room of which LiveKit told nothing",
    ),
    pytest.param(
        [
            joined("14:00", joined_at="14:00", room_created="13:50"),
            left("14:30", joined_at="14:00", room_created="13:50"),
            client_joined("14:00:05"),
        ],
        [],
        {},
        id="a join by the id of a class that is no longer registered gives way to LiveKit's visit",
    ),
    pytest.param(
        [
            joined("15:30", joined_at="15:30", room_created="15:10"),
            left("16:00", joined_at="15:30", room_created="15:10"),
        ],
        [],
        TOKYO,
        id="the first room of a day, far from Greenwich",
    ),
]


@pytest.mark.parametrize(("told_of", "classes", "changed"), CASES)
def test_it_tells_of(
    told_of: list[Event], classes: list[Session], changed: dict[str, Any], sqlite_url: str
) -> None:
    told_of = [
        each._replace(session_id=None) if each.session_id == "" else each for each in told_of
    ]
    settings = Settings(livekit_api_key=KEY, livekit_api_secret=SECRET, _env_file=None, **changed)
    made = School(told_of, classes, DAY + 4 * 24 * HOUR, settings)
    with db.writing(make_engine(sqlite_url)) as conn:
        stored(conn, made)
        assert compare(conn, made) == []


@pytest.mark.parametrize("seed", range(12))
def test_the_database_tells_of_every_session_what_all_facts_tell(
    seed: int, sqlite_url: str
) -> None:
    made = school(seed)
    with db.writing(make_engine(sqlite_url)) as conn:
        stored(conn, made)
        assert compare(conn, made) == []
