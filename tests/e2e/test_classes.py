"""Real clients in real rooms: what they saw of their visits is what the roster says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from livekit.api import DeleteRoomRequest, RoomParticipantIdentity

from tests.e2e.conftest import Deployment
from tests.e2e.lesson import Lesson, held
from tests.e2e.people import Diary

PROMPT = timedelta(seconds=2)
"""What a page may wait until it shows who joined."""


async def twenty_come_and_go(lesson: Lesson) -> None:
    dice = Random(20)

    async def pupil(number: int, arrives: float, stays: list[float]) -> None:
        await asyncio.sleep(arrives)
        for seconds in stays:
            await lesson.attend(f"pupil-{number:02d}", seconds=seconds)

    async with asyncio.TaskGroup() as pupils:
        for number in range(20):
            stays = [dice.uniform(0, 4) for _ in range(dice.randint(1, 4))]
            pupils.create_task(pupil(number, dice.uniform(0, 8), stays))


async def one_is_killed(lesson: Lesson) -> None:
    async with lesson.diary.killed("pupil-killed") as visit:
        await lesson.show(visit)


async def one_is_removed(lesson: Lesson) -> None:
    async with lesson.diary.visit("pupil-stays"), lesson.diary.visit("pupil-removed") as visit:
        await lesson.show(visit)
        asked = RoomParticipantIdentity(room=lesson.diary.room, identity=visit.identity)
        visit.leaves()
        await lesson.livekit.room.remove_participant(asked)
        await visit.ended()


async def the_room_is_deleted(lesson: Lesson) -> None:
    diary = lesson.diary
    async with diary.visit("pupil-1"), diary.visit("pupil-2"), diary.visit("pupil-3") as last:
        await lesson.show(last)
        for visit in diary.visits:
            visit.leaves()
        await lesson.livekit.room.delete_room(DeleteRoomRequest(room=diary.room))
        for visit in diary.visits:
            await visit.ended()


async def others_than_people_are_there(lesson: Lesson) -> None:
    others = Diary(lesson.diary.livekit, lesson.diary.room)
    async with (
        others.visit("helper", kind="agent"),
        others.visit("recorder", hidden=True, recorder=True),
        others.visit("observer", hidden=True),
        lesson.diary.visit("pupil-1") as visit,
    ):
        await lesson.show(visit)


SCENARIOS: dict[str, Callable[[Lesson], Coroutine[Any, Any, None]]] = {
    "class": twenty_come_and_go,
    "killed": one_is_killed,
    "removed": one_is_removed,
    "deleted": the_room_is_deleted,
    "others": others_than_people_are_there,
}


@pytest.fixture(scope="module")
def lessons(deployment: Deployment) -> dict[str, Lesson]:
    """All scenarios at once, each in a room of its name."""

    async def teach() -> dict[str, Lesson]:
        async with asyncio.TaskGroup() as together:
            tasks = {
                room: together.create_task(held(deployment, room, happens))
                for room, happens in SCENARIOS.items()
            }
        return {room: task.result() for room, task in tasks.items()}

    return asyncio.run(teach())


@pytest.mark.parametrize("room", SCENARIOS)
def test_the_roster_tells_every_visit_as_its_client_saw_it(
    lessons: dict[str, Lesson], room: str
) -> None:
    lessons[room].is_told_as_seen()


def test_everybody_is_shown_as_present_within_two_seconds(lessons: dict[str, Lesson]) -> None:
    shown_after = [after for lesson in lessons.values() for after in lesson.shown_after]
    assert len(shown_after) > 40
    assert max(shown_after) <= PROMPT


def test_everybody_is_present_while_inside(lessons: dict[str, Lesson]) -> None:
    assert set(lessons["class"].said_inside) == {"present"}
