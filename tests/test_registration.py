"""Registration: a session finds its rooms and manual joins, whenever it is registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

import pytest
from werkzeug.test import TestResponse

from models.domain.event import Event
from models.settings.settings import Settings
from tests.build import at, joined, left, room_finished, room_started
from tests.doors import (
    GROWS,
    GROWS_IN_CLASS,
    Rollcall,
    a_worker,
    ago,
    drain,
    on_postgresql,
    on_sqlite,
    ops_token,
    problem,
    serving,
    together,
    token,
    told,
    without,
)

Step = Callable[[Rollcall], object]
MORNING: dict[str, Any] = {"room": "RM_1", "room_created": "09:55"}
EVENING: dict[str, Any] = {"room": "RM_2", "room_created": "17:55"}


def put(session: str, **words: Any) -> Step:
    def step(rollcall: Rollcall) -> None:
        assert rollcall.put(session, **words).status_code in (200, 201)

    return step


def delete(session: str) -> Step:
    def step(rollcall: Rollcall) -> None:
        assert rollcall.delete(session).status_code == 204

    return step


def deliver(*events: Event) -> Step:
    return lambda rollcall: rollcall.deliver(*events)


def at_clock(clock: str) -> str:
    return at(clock).isoformat()


IN_THE_MORNING = deliver(
    room_started("09:55", **MORNING),
    joined("10:00", sid="PA_1", **MORNING),
    left("10:50", sid="PA_1", joined_at="10:00", **MORNING),
)
IN_THE_EVENING = deliver(joined("18:00", sid="PA_2", **EVENING), room_finished("19:00", **EVENING))
NAMED = deliver(joined("14:00", sid="PA_3", room="RM_3", room_name="elsewhere", names="98"))

# What is registered in which order, and the sessions that the rooms of the day are then in.
REGISTRATIONS: dict[str, tuple[Sequence[Step], Mapping[str, str]]] = {
    "nothing": ((), {"RM_1": "quran-98@2026-11-23", "RM_2": "quran-98@2026-11-23", "RM_3": "98"}),
    "unscheduled, of the room's name": (
        [put("7", room_name="quran-98")],
        {"RM_1": "7", "RM_2": "7", "RM_3": "98"},
    ),
    "the room's name itself": (
        [put("quran-98", room_name="quran-98")],
        {"RM_1": "quran-98", "RM_2": "quran-98", "RM_3": "98"},
    ),
    "the room's name itself, of another room": (
        [put("quran-98", room_name="other")],
        {"RM_1": "quran-98@2026-11-23", "RM_2": "quran-98@2026-11-23", "RM_3": "98"},
    ),
    "scheduled, one of two in its window": (
        [put("7", room_name="quran-98", scheduled_at=at_clock("10:00"))],
        {"RM_1": "7", "RM_2": "quran-98@2026-11-23", "RM_3": "98"},
    ),
    "two classes": (
        [
            put("7", room_name="quran-98", scheduled_at=at_clock("10:00")),
            put("8", room_name="quran-98", scheduled_at=at_clock("18:00")),
        ],
        {"RM_1": "7", "RM_2": "8", "RM_3": "98"},
    ),
    "a schedule that changes": (
        [
            put("7", room_name="quran-98", scheduled_at=at_clock("10:00")),
            put("7", room_name="quran-98", scheduled_at=at_clock("18:00")),
        ],
        {"RM_1": "quran-98@2026-11-23", "RM_2": "7", "RM_3": "98"},
    ),
    "a room name that changes": (
        [put("7", room_name="elsewhere"), put("7", room_name="quran-98")],
        {"RM_1": "7", "RM_2": "7", "RM_3": "98"},
    ),
    "a room name that goes away": (
        [put("7", room_name="quran-98"), put("7", room_name="elsewhere")],
        {"RM_1": "quran-98@2026-11-23", "RM_2": "quran-98@2026-11-23", "RM_3": "98"},
    ),
    "registered and taken back": (
        [put("7", room_name="quran-98"), delete("7")],
        {"RM_1": "quran-98@2026-11-23", "RM_2": "quran-98@2026-11-23", "RM_3": "98"},
    ),
    "the one that another room names": (
        [put("98", room_name="quran-98", scheduled_at=at_clock("10:00"))],
        {"RM_1": "98", "RM_2": "quran-98@2026-11-23", "RM_3": "elsewhere@2026-11-23"},
    ),
    "the one that a room names, which lists it": (
        [put("98", room_name="quran-98", scheduled_at=at_clock("10:00"), rooms=["else*"])],
        {"RM_1": "98", "RM_2": "quran-98@2026-11-23", "RM_3": "98"},
    ),
    "the one that a room names, taken back": (
        [put("98", room_name="quran-98"), delete("98")],
        {"RM_1": "quran-98@2026-11-23", "RM_2": "quran-98@2026-11-23", "RM_3": "98"},
    ),
}


def orders(registered: Sequence[Step], happened: Sequence[Step]) -> list[list[Step]]:
    """Registrations in their order, and what happened before, after and between them."""
    first, *rest = happened
    return [
        [*registered, *happened],
        [*reversed(happened), *registered],
        [first, *registered, *reversed(rest)],
        [*registered[:1], *happened, *registered[1:]],
    ]


@pytest.mark.parametrize(("registered", "homes"), REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_a_late_registration_comes_to_the_same_as_an_early_one(
    rollcall: Rollcall, registered: Sequence[Step], homes: Mapping[str, str]
) -> None:
    expected = None
    for steps in orders(registered, [IN_THE_MORNING, IN_THE_EVENING, NAMED]):
        rollcall.forget()
        for step in steps:
            step(rollcall)
        facts = rollcall.facts()
        assert {row["sid"]: row["session_id"] for row in facts["rooms"]} == homes
        expected = expected or facts
        assert facts == expected
        made = {row["id"] for row in facts["sessions"] if row["made_by"] != "registered"}
        assert made <= set(homes.values()), "made sessions leave no trace"


# --- manual joins ---------------------------------------------------------------------------------


def answers(rollcall: Rollcall) -> list[Any]:
    """What is seen of the room and of its session, but for how long ago things were."""
    volatile = GROWS | GROWS_IN_CLASS | {"first_joined_at", "last_left_at", "is_late"}
    seen = [told(rollcall.status(address)) for address in ("quran-98", "98")]
    return [without(one, *volatile) for one in seen]


@pytest.mark.parametrize("scheduled", [True, False], ids=["scheduled", "unscheduled"])
def test_a_manual_join_follows_its_room_to_a_session_registered_later(
    rollcall: Rollcall, scheduled: bool
) -> None:
    schedule = {"scheduled_at": ago(5).isoformat()} if scheduled else {}
    rollcall.put("98", room_name="quran-98", **schedule)
    rollcall.leave(told(rollcall.join("quran-98"))["visit"])
    rollcall.join("quran-98", name="Aisha")
    early = answers(rollcall)
    rollcall.forget()
    rollcall.leave(told(rollcall.join("quran-98"))["visit"])
    rollcall.put("98", room_name="quran-98", **schedule)
    rollcall.join("quran-98", name="Aisha")
    assert answers(rollcall) == early
    assert [row["id"] for row in rollcall.facts()["sessions"]] == ["98"]


def test_a_manual_join_and_its_room_fall_back_together_when_the_session_is_taken_back(
    rollcall: Rollcall,
) -> None:
    made = told(rollcall.join("quran-98"))["session_id"]
    rollcall.deliver(joined(ago(0), room_created=ago(0)))
    rollcall.put("98", room_name="quran-98")
    assert told(rollcall.status("quran-98"))["session_id"] == "98"
    rollcall.delete("98")
    seen = told(rollcall.status("quran-98"))
    assert (seen["session_id"], seen["join_count"]) == (made, 1)
    assert [row["id"] for row in rollcall.facts()["sessions"]] == [made]


def test_attendance_outlives_the_registration_of_its_session(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98")
    visit = told(rollcall.join("98"))["visit"]
    rollcall.delete("98")
    seen = told(rollcall.status("98"))
    assert (seen["is_currently_in_meeting"], seen["join_count"]) == (True, 1)
    rollcall.leave(visit)
    assert told(rollcall.status("98"))["attendance_status"] == "left"


def test_a_session_that_nothing_was_in_is_gone_when_it_is_taken_back(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98")
    rollcall.delete("98")
    assert rollcall.facts()["sessions"] == []
    answer = rollcall.status("98", of=ops_token(), user_id="5")
    assert problem(answer) == (404, "no-session")


# --- at the same moment ---------------------------------------------------------------------------

ROOMS = [f"class-{number}" for number in range(5)]


def registering(rollcall: Rollcall, room: str) -> Callable[[], object]:
    tab = rollcall.another()
    return lambda: tab.put(f"session of {room}", room_name=room)


def joining(rollcall: Rollcall, room: str) -> Callable[[], object]:
    tab = rollcall.another()
    return lambda: tab.join(room, of=token("5", room))


@on_postgresql
def test_a_registration_and_a_drain_at_the_same_moment_end_right(
    rollcall: Rollcall, settings: Settings
) -> None:
    with a_worker(settings) as worker:
        for room in ROOMS:
            rollcall.send(joined(sid=f"PA_{room}", room=f"RM_{room}", room_name=room))
            together(lambda: drain(worker), registering(rollcall, room))
            rollcall.drain()
    facts = rollcall.facts()
    assert {row["session_id"] for row in facts["rooms"]} == {f"session of {it}" for it in ROOMS}
    assert {row["made_by"] for row in facts["sessions"]} == {"registered"}


@on_postgresql
def test_a_withdrawal_and_a_drain_at_the_same_moment_end_right(
    rollcall: Rollcall, settings: Settings
) -> None:
    def withdrawing(room: str) -> Callable[[], object]:
        return lambda: rollcall.delete(f"session of {room}")

    with a_worker(settings) as worker:
        for room in ROOMS:
            rollcall.put(f"session of {room}", room_name=room)
            rollcall.send(joined(sid=f"PA_{room}", room=f"RM_{room}", room_name=room))
            together(lambda: drain(worker), withdrawing(room))
            rollcall.drain()
    facts, homes = rollcall.facts(), {f"{room}@2026-11-23" for room in ROOMS}
    assert {row["session_id"] for row in facts["rooms"]} == homes
    assert {row["id"] for row in facts["sessions"]} == homes


@on_postgresql
def test_a_registration_and_a_manual_join_at_the_same_moment_end_right(
    rollcall: Rollcall,
) -> None:
    for room in ROOMS:
        together(registering(rollcall, room), joining(rollcall, room))
        seen = told(rollcall.status(room, of=token("5", room)))
        assert (seen["session_id"], seen["join_count"]) == (f"session of {room}", 1)
    assert {row["made_by"] for row in rollcall.facts()["sessions"]} == {"registered"}


@on_postgresql
def test_registrations_of_one_session_at_the_same_moment_make_one(rollcall: Rollcall) -> None:
    def putting(room: str) -> Callable[[], TestResponse]:
        tab = rollcall.another()
        return lambda: tab.put("98", room_name=room)

    answers = together(*map(putting, ROOMS))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len(rollcall.facts()["sessions"]) == 1


# --- dates ----------------------------------------------------------------------------------------


@on_postgresql
def test_sessions_that_change_rooms_at_the_same_moment_do_not_wait_for_each_other(
    rollcall: Rollcall,
) -> None:
    def move(seed: int) -> set[int]:
        mine, dice = rollcall.another(), Random(seed)
        asked = [(dice.choice("12"), dice.choice("abcd")) for _ in range(40)]
        return {mine.put(session, room_name=name).status_code for session, name in asked}

    answers = together(*(partial(move, seed) for seed in range(4)))
    assert set().union(*answers) <= {200, 201}


@pytest.mark.parametrize(
    ("timezone", "date"), [("UTC", "2026-11-23"), ("Asia/Riyadh", "2026-11-24")]
)
@on_sqlite
def test_the_day_that_a_made_session_is_named_after_is_the_deployments(
    settings: Settings, timezone: str, date: str
) -> None:
    with serving(settings.model_copy(update={"timezone": timezone})) as rollcall:
        rollcall.deliver(joined("23:30", room_created="23:20"))
        assert [row["id"] for row in rollcall.facts()["sessions"]] == [f"quran-98@{date}"]
