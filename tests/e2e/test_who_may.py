"""Whoever administers a room can give it any metadata, through LiveKit itself: it opens nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp

from tests.e2e.asking import Rollcall, eventually
from tests.e2e.conftest import Deployment
from tests.e2e.people import Diary, token

VICTIM, ATTACKER = "who-may-victim", "who-may-attacker"
OPEN, SPY = "who-may-open", "who-may-spy"


async def set_metadata(
    http: aiohttp.ClientSession, deployment: Deployment, room: str, session: str
) -> None:
    """What the admin of a room may ask LiveKit for, with the token of that room alone."""
    url = f"{deployment.livekit.http}/twirp/livekit.RoomService/UpdateRoomMetadata"
    body = {"room": room, "metadata": json.dumps({"session_id": session})}
    headers = {"Authorization": f"Bearer {token(room, admin=True)}"}
    async with http.post(url, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert (await answer.json())["metadata"] == body["metadata"]


@asynccontextmanager
async def two_rooms(
    deployment: Deployment, session: str, victims: str, attackers: str
) -> AsyncIterator[aiohttp.ClientSession]:
    """A pupil in each room. The attacker's room has the metadata of the other's session, and a
    second pupil joined it since: LiveKit's webhooks say so."""
    victim, attacker = (Diary(deployment.livekit, room) for room in (victims, attackers))
    async with (
        aiohttp.ClientSession() as http,
        victim.visit("pupil-of-victim"),
        attacker.visit("first-of-attacker"),
    ):
        await set_metadata(http, deployment, attackers, session)
        async with attacker.visit("second-of-attacker") as visit:
            await Rollcall(deployment.port, http).shows(attacker, visit)
            yield http


async def ask(
    http: aiohttp.ClientSession, deployment: Deployment, session: str, room: str
) -> tuple[int, Any]:
    """The roster of a session, for the admin of a room."""
    url = f"http://127.0.0.1:{deployment.port}/api/sessions/{session}/attendance"
    headers = {"Authorization": f"Bearer {token(room, admin=True)}"}
    async with http.get(url, headers=headers) as answer:
        return answer.status, await answer.json()


def people(roster: Any) -> set[str]:
    return {line["user_id"] for line in roster["attendances"]}


def test_metadata_brings_nobody_into_the_registered_session_of_another_room(
    deployment: Deployment,
) -> None:
    async def attack() -> None:
        async with aiohttp.ClientSession() as operator:
            await Rollcall(deployment.port, operator).register("victims-class", room_name=VICTIM)
        async with two_rooms(deployment, "victims-class", VICTIM, ATTACKER) as http:
            status, refusal = await ask(http, deployment, "victims-class", ATTACKER)
            assert (status, refusal["reason"]) == (403, "forbidden")
            rollcall = Rollcall(deployment.port, http)
            inside = await eventually(
                lambda: rollcall.visits("victims-class"), is_so=lambda visits: visits
            )
            assert set(inside) == {"pupil-of-victim"}, "as an operator sees it"
            seen = await rollcall.status(ATTACKER, "second-of-attacker")
            assert seen["session_id"].startswith(f"{ATTACKER}@")

    asyncio.run(attack())


def test_in_a_session_that_nobody_registered_metadata_shows_nobody_else(
    deployment: Deployment,
) -> None:
    """One that both rooms name, and the one that was made on the spot for the other room."""

    async def attack() -> None:
        async with two_rooms(deployment, "open-class", OPEN, SPY) as http:
            await set_metadata(http, deployment, OPEN, "open-class")
            diary = Diary(deployment.livekit, OPEN)
            async with diary.visit("late-pupil") as visit:
                await Rollcall(deployment.port, http).shows(diary, visit)
                _, roster = await ask(http, deployment, "open-class", SPY)
                assert people(roster) == {"first-of-attacker", "second-of-attacker"}
                assert roster["session"]["room_name"] == SPY
                _, roster = await ask(http, deployment, "open-class", OPEN)
                assert people(roster) == {"pupil-of-victim", "late-pupil"}
                made = f"{OPEN}@{datetime.now(UTC).date()}"
                assert (await ask(http, deployment, made, SPY))[0] == 403

    asyncio.run(attack())
