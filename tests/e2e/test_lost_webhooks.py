"""A minute in which no webhook arrives, and LiveKit crashes in it: its API tells what it can."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp

from tests import stack
from tests.build import KEY, SECRET
from tests.e2e import livekit_binary
from tests.e2e.asking import Rollcall, eventually
from tests.e2e.conftest import is_ready
from tests.e2e.door import Door
from tests.e2e.livekit_server import LiveKit
from tests.e2e.people import EXACT, Diary, Visit
from tests.faults import free_port, until
from worker.reconcile.reconcile import EVERY_SECONDS

CUT_SECONDS = 60
CRASH_SECONDS = 45
"""After the cut: whoever came in its first seconds has been seen by a sweep."""

TWO_SWEEPS = 2 * EVERY_SECONDS + 5
"""And what they take themselves, on a busy machine."""

MISSED = timedelta(seconds=TWO_SWEEPS)
"""How much later than it was an end is told that nobody told: it is the first of two misses, or
what ended the visit before the second, such as the room's next life."""


async def a_minute_without_webhooks(
    livekit: LiveKit, door: Door, rollcall: Rollcall
) -> tuple[Diary, dict[str, Any], datetime]:
    """Everybody's visits, the roster after, and when the server crashed."""
    diary = Diary(livekit, "cut")
    async with AsyncExitStack() as inside:
        async with AsyncExitStack() as until_the_crash:
            stays = await until_the_crash.enter_async_context(diary.killed("stays"))
            await rollcall.shows(diary, stays)
            async with diary.visit("leaves") as leaves:
                await rollcall.shows(diary, leaves)
                door.close()
                cut_at = monotonic()
            await until_the_crash.enter_async_context(diary.killed("comes"))
            await asyncio.sleep(cut_at + CRASH_SECONDS - monotonic())
            livekit.kill()
            crashed_at = datetime.now(stays.connected_at.tzinfo)
        await asyncio.to_thread(livekit.start)
        for identity in ("stays", "comes-late"):
            await inside.enter_async_context(diary.visit(identity))
        await asyncio.sleep(cut_at + CUT_SECONDS - monotonic())
        door.open()
        await eventually(lambda: rollcall.roster("cut"), is_so=_is_right, seconds=TWO_SWEEPS)
    return diary, await rollcall.complete_roster(diary), crashed_at


def _is_right(roster: dict[str, Any]) -> bool:
    seen = {
        one["user_id"]: (one["attendance_status"], one["join_count"])
        for one in roster["attendances"]
    }
    return seen == {
        "stays": ("present", 2),
        "leaves": ("left", 1),
        "comes": ("left", 1),
        "comes-late": ("present", 1),
    }


def test_what_a_minute_without_webhooks_lost_is_found_within_two_sweeps(tmp_path: Path) -> None:
    async def teach(livekit: LiveKit, door: Door, port: int) -> tuple[Diary, Any, datetime]:
        async with aiohttp.ClientSession() as http:
            return await a_minute_without_webhooks(livekit, door, Rollcall(port, http))

    port = free_port()
    with ExitStack() as until_over:
        door = until_over.enter_context(Door(port))
        livekit = LiveKit(livekit_binary.built(), tmp_path, webhooks_to=door.port)
        livekit.start()
        until_over.callback(livekit.stop)
        keys = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
        started = stack.started(data=tmp_path, PORT=str(port), LIVEKIT_URL=livekit.ws, **keys)
        until_over.enter_context(started)
        until(lambda: is_ready(port), seconds=stack.PATIENCE_SECONDS)
        diary, roster, crashed_at = asyncio.run(teach(livekit, door, port))

    told = {one["participant_sid"]: one for it in roster["attendances"] for one in it["cycles"]}
    assert told.keys() == {one.participant_sid for one in diary.visits}
    for visit in diary.visits:
        cycle = told[visit.participant_sid]
        joined_at, left_at = (datetime.fromisoformat(cycle[it]) for it in ("joined_at", "left_at"))
        assert visit.asked_at - EXACT <= joined_at <= visit.connected_at
        lost = visit.connected_at < crashed_at
        assert cycle["estimated"] is lost
        assert _ended(visit) - EXACT <= left_at <= _ended(visit) + (MISSED if lost else EXACT)


def _ended(visit: Visit) -> datetime:
    assert visit.leaving_at is not None
    return visit.leaving_at
