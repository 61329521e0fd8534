"""An erased person has a pseudonym for each session, and their attendance adds up as before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from models.domain.attendance import Attendance
from models.domain.facts import Person, Session
from models.ledger.identities import Identity, identities
from models.lookup.stays import owners_of, stays
from tests.build import Folded, folded
from tests.test_reach import IDS, NAMES, USERS, school


def of_person(known: Folded, user: str, *, now: datetime) -> list[Identity]:
    cycles = known.cycles_of(user)
    owned = {
        stay.id: set(owners_of(known.owners(stay.cycle.room_name or "", user), stay, now=now))
        for stay in stays(cycles, known.rules)
    }
    expecting = [each.id for each in known.registered.values() if user in each.awaited]
    return identities(cycles, owned, expecting, rules=known.rules)


def erased(known: Folded, user: str, found: Sequence[Identity]) -> Folded:
    """The facts with the pseudonyms `erased-0`, `erased-1` … in the person's place."""
    pseudonyms = {
        word: f"erased-{number}"
        for number, each in enumerate(found)
        for word in [*(("cycle", key) for key in each.cycle_ids), *_sessions(each)]
    }
    cycles = {
        key: cycle._replace(user_id=pseudonyms["cycle", key]) if cycle.user_id == user else cycle
        for key, cycle in known.cycles.items()
    }
    registered = {
        key: replace(each, expected=tuple(_renamed(each, user, pseudonyms["session", key])))
        if user in each.awaited
        else each
        for key, each in known.registered.items()
    }
    return replace(known, cycles=cycles, registered=registered)


def _sessions(each: Identity) -> list[tuple[str, str]]:
    return [("session", key) for key in each.session_ids]


def _renamed(each: Session, user: str, pseudonym: str) -> list[Person]:
    return [Person(pseudonym) if one.user_id == user else one for one in each.expected]


def seen(attendance: Attendance) -> tuple[object, ...]:
    """All that it says, but whose it is."""
    parts = [
        (part.cycle.cycle_id, part.joined_at, part.ended_at, part.ended_by)
        for part in attendance.visits
    ]
    return replace(attendance, user_id="", name=None, visits=()), parts


def compare(known: Folded, user: str, *, now: datetime) -> list[str]:
    """What a session tells otherwise once the person was erased."""
    found = of_person(known, user, now=now)
    after = erased(known, user, found)
    wrong = []
    for session_id in sorted({*known.candidates, *IDS, *NAMES, "x"}):
        before = known.attendance(user, session_id, now=now)
        its = known.registered.get(session_id)
        if not before.visits and not (its and user in its.awaited):
            continue
        people = [f"erased-{number}" for number in range(len(found))]
        lines = [after.attendance(each, session_id, now=now) for each in people]
        here = after.registered.get(session_id)
        there = [
            line
            for line in lines
            if line.visits or (here is not None and line.user_id in here.awaited)
        ]
        if [seen(line) for line in there] != [seen(before)]:
            wrong.append(f"{session_id}: {[seen(line) for line in there]} is {seen(before)}")
    return wrong


@pytest.mark.parametrize("seed", [*range(40), 565, 649, 827, 2026, 2391, 2396])
def test_every_session_tells_the_same_of_them_by_one_pseudonym(seed: int) -> None:
    made = school(seed)
    known = folded(made.events, registered=made.classes, rules=made.settings.rules)
    for user in USERS:
        assert compare(known, user, now=made.now) == []
