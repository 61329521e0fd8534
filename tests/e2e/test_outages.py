"""Outages while real clients come and go: LiveKit keeps trying, and every visit is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from time import monotonic

from tests.e2e.conftest import Deployment
from tests.e2e.door import Door
from tests.e2e.lesson import Lesson, held
from tests.e2e.people import Visit

AWAY_SECONDS = 10
"""A refused connection is tried again after 1, 3, 7 and 15 s."""

UNSTORABLE_SECONDS = 25
"""An event that is answered 503 with `Retry-After: 7` is tried for 28 s."""

ROOMS, IN_A_ROOM = 6, 10


async def the_receiver_is_away(lesson: Lesson, door: Door) -> None:
    """Ten seconds in which some leave, some come and one does both."""
    diary = lesson.diary
    async with AsyncExitStack() as stay, AsyncExitStack() as leave:
        for number in range(3):
            await lesson.show(await stay.enter_async_context(diary.visit(f"stays-{number}")))
            await lesson.show(await leave.enter_async_context(diary.visit(f"leaves-{number}")))
        door.close()
        away_until = monotonic() + AWAY_SECONDS
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


@dataclass(slots=True)
class Outage:
    """Neither the database nor Redis answers, once everybody is in."""

    everybody: asyncio.Barrier = field(
        default_factory=lambda: asyncio.Barrier(ROOMS * IN_A_ROOM + 1)
    )
    over: asyncio.Event = field(default_factory=asyncio.Event)
    doorway: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(5))
    """Sixty clients that connect at once are more than two cores can take in."""

    @asynccontextmanager
    async def coming_in(self, lesson: Lesson, identity: str) -> AsyncIterator[Visit]:
        async with AsyncExitStack() as inside:
            async with self.doorway:
                visit = await inside.enter_async_context(lesson.diary.visit(identity))
            yield visit

    async def happens(self, deployment: Deployment) -> None:
        await self.everybody.wait()
        with deployment.postgres.hung(), deployment.valkey.hung():
            await asyncio.sleep(UNSTORABLE_SECONDS)
        self.over.set()


async def half_of_ten_move(lesson: Lesson, outage: Outage) -> None:
    """During the outage five of ten leave, and three of them come back."""
    dice = Random(lesson.diary.room)

    async def pupil(number: int) -> None:
        identity = f"pupil-{number}"
        leaves_after = dice.uniform(0, UNSTORABLE_SECONDS - 5)
        async with outage.coming_in(lesson, identity) as visit:
            await lesson.show(visit)
            await outage.everybody.wait()
            await (asyncio.sleep(leaves_after) if number < 5 else outage.over.wait())
        if number < 3:
            async with outage.coming_in(lesson, identity):
                await outage.over.wait()

    async with asyncio.TaskGroup() as pupils:
        for number in range(IN_A_ROOM):
            pupils.create_task(pupil(number))


def test_nothing_is_lost_while_the_receiver_is_away(deployment: Deployment) -> None:
    happens = partial(the_receiver_is_away, door=deployment.door)
    lesson = asyncio.run(held(deployment, "away", happens))
    lesson.is_told_as_seen()


def test_nothing_of_sixty_people_is_lost_while_there_is_nowhere_to_store(
    deployment: Deployment,
) -> None:
    async def teach() -> list[Lesson]:
        outage = Outage()
        happens = partial(half_of_ten_move, outage=outage)
        rooms = [f"unstorable-{number}" for number in range(ROOMS)]
        async with asyncio.TaskGroup() as together:
            together.create_task(outage.happens(deployment))
            lessons = [together.create_task(held(deployment, room, happens)) for room in rooms]
        return [lesson.result() for lesson in lessons]

    for lesson in asyncio.run(teach()):
        assert len(lesson.diary.visits) == IN_A_ROOM + 3
        lesson.is_told_as_seen()
