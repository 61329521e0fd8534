"""Real clients in real rooms: what they saw of their visits is what the roster says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from time import monotonic
from typing import Any

import aiohttp
import pytest
from livekit.api import DeleteRoomRequest, LiveKitAPI, RoomParticipantIdentity

from tests.e2e.asking import Rollcall
from tests.e2e.conftest import Deployment
from tests.e2e.door import Door
from tests.e2e.livekit_server import KEY, SECRET
from tests.e2e.people import EXACT, Diary, Visit

SIGNALLING = timedelta(seconds=2)
"""A visit begins when signalling does: this long before the client's "connected", at most."""

PROMPT = timedelta(seconds=2)
"""What a page may wait until it shows who joined."""

OUTAGE_SECONDS = 10
POLL_SECONDS = 0.5


@dataclass(slots=True)
class Lesson:
    """What happened in one room: by its clients' diary, to those who polled, by the roster."""

    diary: Diary
    rollcall: Rollcall
    livekit: LiveKitAPI
    shown_after: list[timedelta] = field(default_factory=list)
    said_inside: Counter[str] = field(default_factory=Counter)
    roster: dict[str, Any] = field(default_factory=dict)

    async def attend(self, identity: str, *, seconds: float) -> None:
        """A visit of that many seconds, polling one's status, after Rollcall has shown it."""
        async with self.diary.visit(identity) as visit:
            await self.show(visit)
            leaves_at = monotonic() + seconds
            while monotonic() < leaves_at:
                told = await self.rollcall.status(self.diary.room, identity)
                self.said_inside[told["attendance_status"]] += 1
                await asyncio.sleep(POLL_SECONDS)

    async def show(self, visit: Visit) -> None:
        self.shown_after.append(await self.rollcall.shows(self.diary, visit))

    def is_told_as_seen(self) -> None:
        """Every visit is one cycle, with the times that its client saw; and nobody else's is."""
        told = {
            cycle["participant_sid"]: (person["user_id"], cycle)
            for person in self.roster["attendances"]
            for cycle in person["cycles"]
        }
        assert set(told) == {visit.participant_sid for visit in self.diary.visits}
        for visit in self.diary.visits:
            user_id, cycle = told[visit.participant_sid]
            assert user_id == visit.identity
            assert (cycle["ended_by"], cycle["estimated"]) == ("left", False)
            before = visit.connected_at - datetime.fromisoformat(cycle["joined_at"])
            assert timedelta() <= before <= SIGNALLING
            assert visit.disconnected_at is not None
            after = datetime.fromisoformat(cycle["left_at"]) - visit.disconnected_at
            assert -EXACT <= after <= visit.told_within


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
        await lesson.livekit.room.remove_participant(asked)
        await visit.over.wait()


async def the_room_is_deleted(lesson: Lesson) -> None:
    diary = lesson.diary
    async with diary.visit("pupil-1"), diary.visit("pupil-2"), diary.visit("pupil-3") as last:
        await lesson.show(last)
        await lesson.livekit.room.delete_room(DeleteRoomRequest(room=diary.room))
        for visit in diary.visits:
            await visit.over.wait()


async def others_than_people_are_there(lesson: Lesson) -> None:
    others = Diary(lesson.diary.livekit, lesson.diary.room)
    async with (
        others.visit("helper", kind="agent"),
        others.visit("recorder", hidden=True, recorder=True),
        others.visit("observer", hidden=True),
        lesson.diary.visit("pupil-1") as visit,
    ):
        await lesson.show(visit)


async def the_receiver_is_away(lesson: Lesson, door: Door) -> None:
    """Ten seconds in which some leave, some come and one does both."""
    diary = lesson.diary
    async with AsyncExitStack() as stay, AsyncExitStack() as leave:
        for number in range(3):
            await lesson.show(await stay.enter_async_context(diary.visit(f"stays-{number}")))
            await lesson.show(await leave.enter_async_context(diary.visit(f"leaves-{number}")))
        door.close()
        away_until = monotonic() + OUTAGE_SECONDS
        try:
            await leave.aclose()
            for name in ("comes-1", "comes-2", "leaves-1"):
                await stay.enter_async_context(diary.visit(name))
            async with diary.visit("passes-by"):
                await asyncio.sleep(away_until - monotonic())
        finally:
            door.open()
        for visit in diary.visits[-4:-1]:
            await lesson.rollcall.shows(diary, visit)


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


async def held(
    deployment: Deployment, room: str, happens: Callable[[Lesson], Awaitable[None]]
) -> Lesson:
    """A lesson in that room, and its roster once all of it has been told."""
    async with (
        aiohttp.ClientSession() as http,
        LiveKitAPI(deployment.livekit.http, KEY, SECRET) as api,
    ):
        diary = Diary(deployment.livekit, room)
        lesson = Lesson(diary, Rollcall(deployment.port, http), api)
        await happens(lesson)
        lesson.roster = await lesson.rollcall.complete_roster(diary)
        return lesson


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


def test_nothing_is_lost_while_the_receiver_is_away(deployment: Deployment) -> None:
    happens = partial(the_receiver_is_away, door=deployment.door)
    lesson = asyncio.run(held(deployment, "away", happens))
    lesson.is_told_as_seen()
