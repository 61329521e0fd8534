"""A lesson: people in a LiveKit room, those who poll meanwhile, and what the roster says after."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import aiohttp
from livekit.api import LiveKitAPI

from tests.build import KEY, SECRET
from tests.e2e.asking import Rollcall
from tests.e2e.conftest import Deployment
from tests.e2e.people import EXACT, Diary, Visit

MILLISECOND = timedelta(milliseconds=1)
"""What a time is rounded down to."""

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
            joined_at = datetime.fromisoformat(cycle["joined_at"])
            assert visit.asked_at - MILLISECOND <= joined_at <= visit.connected_at
            assert visit.leaving_at
            assert visit.disconnected_at
            left_at = datetime.fromisoformat(cycle["left_at"])
            assert visit.leaving_at - EXACT <= left_at <= visit.disconnected_at + visit.told_within


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
