"""What a room's token reads does not depend on what happened in rooms that are none of its own.

Schools are made by chance, twice: once with everything, once with other things in the other rooms.
Every token of a room must get the same answers, so none of them can have a name, an identity or a
time of another room in it. And what one person asks for changes nothing for the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any

import pytest

from models.domain import ownership
from models.domain.event import Event
from models.domain.facts import Rules
from tests.build import Words, joined, left, room_finished, room_started
from tests.doors import (
    GROWS,
    GROWS_IN_CLASS,
    Rollcall,
    ago,
    bearer,
    on_sqlite,
    ops_token,
    token,
    without,
)

pytestmark = on_sqlite

NAMES = ("a", "98", "side-1", "side-2")
IDS = ("97", "98", "99", "a", "u")
USERS = ("5", "6", "7")
TODAY = ownership.made_id("a", ago(), Rules())
NAMED = (*IDS, *NAMES, TODAY, "x")

SEEDS = range(int(os.environ.get("OWN_ROOM_SEEDS", "3")))
"""Some 700 answers each, compared in pairs."""


@dataclass(frozen=True)
class Registration:
    """A session as an operator puts it."""

    id: str
    room_name: str
    rooms: tuple[str, ...]
    scheduled_at: datetime | None
    expected: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """The rooms that it lists."""
        listed = {self.room_name, *self.rooms}
        return listed | ({"side-1", "side-2"} if "side-*" in listed else set())

    def put(self, rollcall: Rollcall) -> None:
        body: dict[str, Any] = {"room_name": self.room_name, "rooms": list(self.rooms)}
        body["expected"] = [{"user_id": each, "name": f"name of {each}"} for each in self.expected]
        if self.scheduled_at is not None:
            body["scheduled_at"] = self.scheduled_at.isoformat()
        assert rollcall.put(self.id, **body).status_code in (200, 201)


@dataclass(frozen=True)
class School:
    """What is registered, and what happened in rooms of each name."""

    registered: list[Registration]
    events: dict[str, list[Event]]
    by_hand: list[tuple[str, str, str]]
    """Of each manual join: the room, the person and the session that it names."""

    def without_others_than(self, room_name: str) -> School:
        """The same for whoever has a token of this room; elsewhere, other people at other times."""
        mine = {name for each in self.registered for name in each.names if room_name in each.names}
        mine |= {room_name}
        return School(
            [each if each.names & mine else _with_others(each) for each in self.registered],
            {
                name: events if name in mine else [*_strangers(name)]
                for name, events in self.events.items()
            },
            [each for each in self.by_hand if each[0] in mine],
        )

    def begin(self, rollcall: Rollcall) -> None:
        rollcall.forget()
        for each in self.registered:
            each.put(rollcall)
        rollcall.put_in(event for events in self.events.values() for event in events)
        rollcall.drain()
        for room_name, user, session in self.by_hand:
            rollcall.join(session, of=token(user, room_name), session_type="group", academy_id=user)


def school(seed: int) -> School:
    dice = Random(seed)
    ids = dice.sample(IDS, dice.randint(0, 4))
    registered = [
        Registration(
            each,
            room_name=dice.choice([*NAMES, each]),
            rooms=dice.choice([(), (), ("side-*",), ("side-1",)]),
            scheduled_at=dice.choice([None, ago(10), ago(30), ago(90)]),
            expected=tuple(dice.sample(USERS, dice.randint(0, 2))),
        )
        for each in ids
    ]
    events = {name: list(_lives(dice, name)) for name in NAMES}
    by_hand = [
        (dice.choice(NAMES), dice.choice(USERS), dice.choice(NAMED))
        for _ in range(dice.randint(0, 6))
    ]
    return School(registered, events, by_hand)


def _lives(dice: Random, name: str) -> Iterator[Event]:
    for number in range(dice.randint(0, 2)):
        created = ago(100 - 50 * number)
        room: Words = {
            "room": f"RM_{name}_{number}",
            "room_name": name,
            "room_created": created,
            "names": dice.choice([None, None, *NAMED]),
        }
        yield room_started(created, **room)
        for visit in range(dice.randint(0, 3)):
            user, came = dice.choice(USERS), ago(dice.randint(5, 99 - 50 * number))
            words = room | Words(
                sid=f"PA_{name}_{number}_{visit}", user=user, name=f"{user} {name}"
            )
            yield joined(came, **words)
            if dice.random() < 0.5:
                yield left(ago(dice.randint(1, 5)), **(words | Words(joined_at=came)))
        if dice.random() < 0.3:
            yield room_finished(ago(1), **room)


def _strangers(name: str) -> Iterator[Event]:
    room: Words = {"room": f"RM_{name}_else", "room_name": name, "room_created": ago(77)}
    for user in (*USERS, "stranger"):
        yield joined(ago(71), **(room | Words(sid=f"PA_{name}_{user}", user=user, name="Somebody")))


def _with_others(registration: Registration) -> Registration:
    return replace(registration, scheduled_at=ago(55), expected=("stranger",))


def answers(rollcall: Rollcall, room_name: str) -> dict[str, Any]:
    """All that tokens of this room get to hear."""
    admin = token("teacher", room_name, roomAdmin=True)
    heard = {}
    for query in ({}, {"user_id": "5"}, {"grid": "1"}):
        listed = {name: value for name, value in query.items() if name != "grid"}
        heard[f"sessions {query}"] = _of(rollcall, "/api/sessions", admin, listed)
        heard[f"report {query}"] = _of(rollcall, "/api/reports/attendance", admin, query)
    for user in (*USERS, "stranger"):
        path = f"/api/users/{user}/attendance"
        heard[f"own list {user}"] = _of(rollcall, path, token(user, room_name), {})
        heard[f"admin's list {user}"] = _of(rollcall, path, admin, {})
    for address in NAMED:
        heard[f"roster {address}"] = _told(rollcall.roster(address, of=admin))
        for user in (*USERS, "stranger"):
            asked = {"own": token(user, room_name), "admin's": admin}
            for whose, of in asked.items():
                answer = rollcall.status(address, of=of, user_id=user)
                heard[f"{whose} {address} {user}"] = _told(answer)
    return heard


def _of(rollcall: Rollcall, path: str, of: str, query: dict[str, str]) -> Any:
    """What a list of sessions or of people says."""
    return _told(rollcall.client.get(path, query_string=query, headers=bearer(of)))


def _told(answer: Any) -> Any:
    """What an answer says, but for what grows by itself."""
    said = answer.json
    for each in (said, *said.get("attendances", ())):
        for name in GROWS | GROWS_IN_CLASS:
            each.pop(name, None)
        for visit in each.get("cycles", ()):
            if visit["source"] == "client":  # two schools begin at two moments
                visit.pop("joined_at")
                visit.pop("visit")  # drawn by lot
        if each.get("confirmed") is False:
            each.pop("first_joined_at")
    return answer.status_code, said


@pytest.mark.parametrize("seed", SEEDS)
def test_no_token_of_a_room_reads_anything_of_rooms_that_are_none_of_its_own(
    rollcall: Rollcall, seed: int
) -> None:
    made = school(seed)
    made.begin(rollcall)
    heard = {name: answers(rollcall, name) for name in NAMES}
    for name in NAMES:
        made.without_others_than(name).begin(rollcall)
        again = answers(rollcall, name)
        differs = [ask for ask in again if again[ask] != heard[name][ask]]
        for ask in differs[:1]:
            assert again[ask] == heard[name][ask], (ask, name, made.registered)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_one_person_asks_for_changes_nothing_for_others(rollcall: Rollcall, seed: int) -> None:
    made, dice = school(seed), Random(seed)
    made.begin(rollcall)
    before = of_others(rollcall)
    for _ in range(12):
        of = token("spy", dice.choice(NAMES), roomAdmin=dice.random() < 0.5)
        address = dice.choice(NAMED)
        answer = rollcall.join(address, of=of, name="Spy", academy_id="spy", session_type="group")
        if answer.status_code in (200, 201) and dice.random() < 0.5:
            rollcall.leave((answer.json or {})["visit"], address, of=of)
    assert of_others(rollcall) == before


def of_others(rollcall: Rollcall) -> dict[str, Any]:
    """Where an operator sees everybody but the spy in what is registered."""
    heard = {}
    for address in IDS:
        for user in USERS:
            answer = rollcall.status(address, of=ops_token(), user_id=user)
            said = without(answer.json or {}, *GROWS, *GROWS_IN_CLASS)
            if said.get("session", {}).get("made_by") == "registered":
                heard[f"{address} {user}"] = said
    return heard
