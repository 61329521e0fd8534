"""What a frontend and a teacher do: ask Rollcall's API, with LiveKit tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aiohttp

from tests.e2e.people import Diary, Visit, server_token, token

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 40

Found = TypeVar("Found")


async def eventually(
    ask: Callable[[], Awaitable[Found]],
    *,
    is_so: Callable[[Found], object],
    seconds: float = PATIENCE_SECONDS,
) -> Found:
    """Ask until it is so; what was found then. TimeoutError when it takes longer."""
    async with asyncio.timeout(seconds):
        while not is_so(found := await ask()):
            await asyncio.sleep(POLL_SECONDS)
        return found


class Rollcall:
    """A running Rollcall, asked over HTTP."""

    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self._at = f"http://127.0.0.1:{port}"
        self._http = http

    async def status(self, room: str, identity: str) -> dict[str, Any]:
        """One's own status."""
        return await self._get(f"/api/sessions/{room}/attendance-status", token(room, identity))

    async def roster(self, room: str) -> dict[str, Any]:
        """Everybody's attendance."""
        return await self._get(f"/api/sessions/{room}/attendance", token(room, admin=True))

    async def status_of(self, session: str, identity: str) -> dict[str, Any]:
        """Somebody's status, as a server may ask for it by the session's id."""
        path = f"/api/sessions/{session}/attendance-status?user_id={identity}"
        return await self._get(path, server_token())

    async def visits(self, session: str) -> dict[str, list[dict[str, Any]]]:
        """The visits of each person in a session, as a server may ask for them by its id."""
        told = await self._get(f"/api/sessions/{session}/attendance", server_token())
        return {one["user_id"]: one["cycles"] for one in told["attendances"]}

    async def register(self, session: str, **told: Any) -> None:
        """Register a session, as a school's own server does."""
        headers = {"Authorization": f"Bearer {server_token()}"}
        url = f"{self._at}/api/sessions/{session}"
        async with self._http.put(url, json=told, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()

    async def shows(self, diary: Diary, visit: Visit) -> timedelta:
        """Poll the visitor's status until it tells of this visit; how long after connecting."""
        visits = [one.identity for one in diary.visits].count(visit.identity)

        def is_present(told: dict[str, Any]) -> bool:
            return (told["attendance_status"], told["join_count"]) == ("present", visits)

        await eventually(lambda: self.status(diary.room, visit.identity), is_so=is_present)
        return datetime.now(UTC) - visit.connected_at

    async def complete_roster(self, diary: Diary) -> dict[str, Any]:
        """The roster, once every visit of it that the diary knows has ended."""
        sids = {visit.participant_sid for visit in diary.visits}

        def is_complete(told: dict[str, Any]) -> bool:
            return sids <= {
                cycle["participant_sid"]
                for person in told["attendances"]
                for cycle in person["cycles"]
                if cycle["left_at"]
            }

        return await eventually(lambda: self.roster(diary.room), is_so=is_complete)

    async def _get(self, path: str, access_token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}"}
        async with self._http.get(self._at + path, headers=headers) as answer:
            told: dict[str, Any] = await answer.json()
            assert answer.status == 200, told
            return told
