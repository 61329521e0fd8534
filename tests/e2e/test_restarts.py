"""A LiveKit server with Redis is killed and comes back: not everybody who was inside does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import servers
from tests.e2e import livekit_binary
from tests.e2e.asking import Rollcall, eventually
from tests.e2e.conftest import Deployment
from tests.e2e.livekit_server import LiveKit
from tests.e2e.people import EXACT, Diary, Visit

SECOND = timedelta(seconds=1)
LIVED = timedelta(seconds=3)
"""A start that is sent within two seconds of the room's creation would be its first."""


@dataclass(frozen=True, slots=True)
class Restart:
    """What happened, and what the roster said after."""

    goes: Visit
    comes_back: Visit
    killed_at: datetime
    back_at: datetime
    cycles: dict[str, list[dict[str, Any]]]


@pytest.fixture
def livekit(deployment: Deployment, tmp_path: Path) -> Iterator[LiveKit]:
    """A server that keeps its rooms in a Redis."""
    with servers.valkey() as redis:
        binary, port = livekit_binary.built(), deployment.door.port
        server = LiveKit(binary, tmp_path, webhooks_to=port, redis=redis)
        server.start()
        yield server
        server.stop()


async def a_crash(livekit: LiveKit, rollcall: Rollcall) -> Restart:
    diary = Diary(livekit, "restarted")

    async def cycles() -> dict[str, list[dict[str, Any]]]:
        roster = await rollcall.roster(diary.room)
        return {one["user_id"]: one["cycles"] for one in roster["attendances"]}

    async with diary.visit("comes-back") as comes_back:
        async with diary.killed("goes") as goes:
            for visit in (comes_back, goes):
                await rollcall.shows(diary, visit)
            lived = comes_back.connected_at + LIVED - datetime.now(UTC)
            await asyncio.sleep(lived.total_seconds())
            livekit.kill()
            killed_at = datetime.now(UTC)
        await asyncio.to_thread(livekit.start)
        back_at = datetime.now(UTC)
        await eventually(
            lambda: rollcall.status(diary.room, "comes-back"),
            is_so=lambda told: (told["attendance_status"], told["join_count"]) == ("present", 2),
        )
        status = await rollcall.status(diary.room, "goes")
        assert status["attendance_status"] == "left"
    told = await eventually(cycles, is_so=lambda told: told["comes-back"][-1]["left_at"])
    return Restart(goes, comes_back, killed_at, back_at, told)


def test_who_does_not_come_back_ends_when_the_server_is_back_and_who_does_has_a_new_visit(
    deployment: Deployment, livekit: LiveKit
) -> None:
    async def happens() -> Restart:
        async with aiohttp.ClientSession() as http:
            return await a_crash(livekit, Rollcall(deployment.port, http))

    seen = asyncio.run(happens())
    first, again = seen.cycles["comes-back"]
    [gone] = seen.cycles["goes"]

    assert gone["participant_sid"] == seen.goes.participant_sid
    assert (gone["ended_by"], gone["estimated"]) == ("room_restarted", True)
    assert seen.back_at - SECOND <= instant(gone["left_at"]) <= instant(again["joined_at"])

    assert first["participant_sid"] == seen.comes_back.participant_sid
    assert again["participant_sid"] != first["participant_sid"]
    assert (first["ended_by"], first["left_at"]) == ("rejoined", again["joined_at"])
    assert instant(again["joined_at"]) > seen.killed_at
    assert (again["ended_by"], again["estimated"]) == ("left", False)
    assert seen.comes_back.disconnected_at
    assert abs(instant(again["left_at"]) - seen.comes_back.disconnected_at) <= EXACT


def instant(told: str) -> datetime:
    return datetime.fromisoformat(told)
