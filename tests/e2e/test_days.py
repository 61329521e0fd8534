"""Rooms that outlive a class: one that is older than a day, and two classes one after the other."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from livekit.api import CreateRoomRequest, LiveKitAPI

from models.domain.event import Event
from tests.build import KEY, SECRET, Words, joined, left, room_started, webhook
from tests.e2e.asking import Rollcall, eventually
from tests.e2e.conftest import Deployment
from tests.e2e.people import EXACT, Diary, Visit

LONG = 3600
"""Seconds that a room may be empty."""

PAST_THE_EDGE = 2
"""Seconds. A left is cut to the second: who leaves in that of the edge is told to leave at it."""

AHEAD = timedelta(seconds=8)
"""The edge between two classes comes so long after they are registered."""


@dataclass(slots=True)
class Room:
    """A room, those who come to it, and those who ask about it."""

    diary: Diary
    rollcall: Rollcall
    livekit: LiveKitAPI
    said: list[tuple[str, str]] = field(default_factory=list)

    async def poll(self, identity: str) -> tuple[str, str]:
        """Which session one's status by the room's name is of, and what it says."""
        told = await self.rollcall.status(self.diary.room, identity)
        self.said.append((told["session_id"], told["attendance_status"]))
        return self.said[-1]


@asynccontextmanager
async def entered(deployment: Deployment, name: str) -> AsyncIterator[Room]:
    async with (
        aiohttp.ClientSession() as http,
        LiveKitAPI(deployment.livekit.http, KEY, SECRET) as api,
    ):
        yield Room(Diary(deployment.livekit, name), Rollcall(deployment.port, http), api)


def import_events(deployment: Deployment, told: Iterable[Event], file: Path) -> None:
    """`flask events import`, of a log that was kept somewhere else."""
    file.write_text("".join(json.dumps(webhook(one)) + "\n" for one in told))
    own = {
        "DATABASE_URL": deployment.postgres.url,
        "REDIS_URL": deployment.valkey.url,
        "LIVEKIT_API_KEY": KEY,
        "LIVEKIT_API_SECRET": SECRET,
    }
    command = [sys.executable, "-m", "flask", "events", "import", str(file), "--trusted"]
    subprocess.run(command, env=os.environ | own, check=True)


def instant(told: str) -> datetime:
    return datetime.fromisoformat(told)


# --- a room of yesterday --------------------------------------------------------------------------


async def a_class_in_a_room_of_yesterday(
    deployment: Deployment, tmp_path: Path
) -> tuple[Visit, dict[str, Any], dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """LiveKit has the room from now on. That it has been there since yesterday an import tells."""
    async with entered(deployment, "long-lived") as room:
        made = await room.livekit.room.create_room(
            CreateRoomRequest(name="long-lived", empty_timeout=LONG)
        )
        created_at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=30)
        yesterday = created_at + timedelta(minutes=1)
        words: Words = {"room": made.sid, "room_name": made.name, "room_created": created_at}
        words |= {"user": "was-there", "sid": "PA_yesterday", "joined_at": yesterday}
        told = [
            room_started(created_at, **words),
            joined(yesterday, **words),
            left(yesterday + timedelta(minutes=40), **words),
        ]
        await asyncio.to_thread(import_events, deployment, told, tmp_path / "yesterday.jsonl")
        first = f"long-lived@{created_at.date()}"
        begins_at = datetime.now(UTC) - timedelta(minutes=1)
        class_of = {"room_name": "long-lived", "scheduled_at": begins_at.isoformat()}
        await room.rollcall.register("today", **class_of, duration_minutes=60)
        async with room.diary.visit("pupil") as visit:
            await room.rollcall.shows(room.diary, visit)
            status = await room.rollcall.status("long-lived", "pupil")
        roster = await room.rollcall.complete_roster(room.diary)
        before = await room.rollcall.visits(first)
        return visit, status, roster, before


def test_a_class_in_a_room_that_is_older_than_a_day_has_those_who_are_there_today(
    deployment: Deployment, tmp_path: Path
) -> None:
    happens = a_class_in_a_room_of_yesterday(deployment, tmp_path)
    visit, status, roster, before = asyncio.run(happens)
    assert (status["session_id"], status["attendance_status"]) == ("today", "present")
    assert status["is_late"] is False
    [pupil] = roster["attendances"]
    [cycle] = pupil["cycles"]
    assert (roster["session"]["session_id"], pupil["user_id"]) == ("today", "pupil")
    assert cycle["participant_sid"] == visit.participant_sid
    assert (cycle["ended_by"], cycle["estimated"]) == ("left", False)
    assert visit.asked_at - EXACT <= instant(cycle["joined_at"]) <= visit.connected_at
    assert set(before) == {"was-there"}, "yesterday's are in yesterday's session, and today's not"


# --- two classes, one after the other -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lessons:
    """What happened around the edge of two classes, and what each of them says after."""

    edge: datetime
    stays: Visit
    said: list[tuple[str, str]]
    first: dict[str, Any]
    second: dict[str, Any]
    rosters: list[dict[str, list[dict[str, Any]]]]


async def two_classes(deployment: Deployment) -> Lessons:
    async with entered(deployment, "all-day") as room:
        diary, rollcall = room.diary, room.rollcall
        async with diary.visit("stays") as stays:
            async with diary.visit("goes") as goes:
                for visit in (stays, goes):
                    await rollcall.shows(diary, visit)
            edge = datetime.now(UTC).replace(microsecond=0) + AHEAD
            hour = timedelta(hours=1)
            for name, begins_at in (("morning", edge - hour), ("noon", edge)):
                class_of = {"room_name": "all-day", "scheduled_at": begins_at.isoformat()}
                await rollcall.register(name, **class_of, duration_minutes=60)
            await eventually(lambda: room.poll("stays"), is_so=lambda said: said[0] == "noon")
            async with diary.visit("comes") as comes:
                await rollcall.shows(diary, comes)
            await eventually(
                lambda: rollcall.status_of("noon", "stays"),
                is_so=lambda told: told["duration_seconds"] >= PAST_THE_EDGE,
            )
        sids = {one.participant_sid for one in (stays, comes)}

        async def noon() -> dict[str, list[dict[str, Any]]]:
            return await rollcall.visits("noon")

        def over(told: dict[str, list[dict[str, Any]]]) -> bool:
            ended = [one for cycles in told.values() for one in cycles if one["left_at"]]
            return {one["participant_sid"] for one in ended} == sids

        told = await eventually(noon, is_so=over)
        rosters = [await rollcall.visits("morning"), told]
        first, second = [
            await rollcall.status_of(session, "stays") for session in ("morning", "noon")
        ]
        return Lessons(edge, stays, room.said, first, second, rosters)


def test_who_stays_into_the_next_class_is_present_there_and_their_visit_is_cut_at_its_edge(
    deployment: Deployment,
) -> None:
    seen = asyncio.run(two_classes(deployment))
    assert set(seen.said) == {("morning", "present"), ("noon", "present")}
    assert seen.said == sorted(seen.said), "at the edge, once, and never back"

    morning, noon = seen.rosters
    assert (set(morning), set(noon)) == ({"stays", "goes"}, {"stays", "comes"})
    [before], [after] = morning["stays"], noon["stays"]
    sids = {part["participant_sid"] for part in (before, after)}
    assert sids == {seen.stays.participant_sid}
    assert (before["ended_by"], before["estimated"]) == ("next_session", False)
    assert (after["ended_by"], after["estimated"]) == ("left", False)
    assert instant(before["left_at"]) == seen.edge == instant(after["joined_at"])

    whole = instant(after["left_at"]) - instant(before["joined_at"])
    durations = [told["duration_seconds"] for told in (seen.first, seen.second)]
    assert timedelta(0) <= whole - timedelta(seconds=sum(durations)) < timedelta(seconds=2)
    assert seen.stays.disconnected_at
    assert abs(instant(after["left_at"]) - seen.stays.disconnected_at) <= EXACT
    assert [told["attendance_status"] for told in (seen.first, seen.second)] == [
        "completed",
        "left",
    ]
    assert (seen.second["is_late"], seen.first["left_early"]) == (False, False)
