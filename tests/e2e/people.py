"""People with real LiveKit clients: they come and go, and write down when."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

from livekit import rtc
from livekit.api import AccessToken, VideoGrants

from tests.build import KEY, SECRET
from tests.e2e.livekit_server import LiveKit

EXACT = timedelta(seconds=1.6)
"""LiveKit's left carries whole seconds, rounded down: up to one before the real end."""

MISSED = timedelta(seconds=22)
"""LiveKit misses a client that was killed after some 19 s."""

CLIENT_SECONDS = 60
"""How long a client may take to come in, to leave or to learn that it is out. LiveKit's own client
(1.2.1) waits without an end for each."""


class Kind(TypedDict, total=False):
    """What a participant is, when no ordinary one."""

    kind: AccessToken.ParticipantKind
    hidden: bool
    recorder: bool


@dataclass(slots=True)
class Visit:
    """What a client saw of one visit, by its own clock."""

    identity: str
    participant_sid: str
    asked_at: datetime
    connected_at: datetime
    leaving_at: datetime | None = None
    disconnected_at: datetime | None = None
    told_within: timedelta = EXACT
    """How much later than the client LiveKit may know of its end."""

    over: asyncio.Event = field(default_factory=asyncio.Event)

    def leaves(self) -> None:
        """Its end is asked for, now or before."""
        self.leaving_at = self.leaving_at or _now()

    def end(self) -> None:
        """The client is out, now or before."""
        self.leaves()
        self.disconnected_at = self.disconnected_at or _now()
        self.over.set()

    async def ended(self) -> None:
        """Wait until the client is out."""
        async with asyncio.timeout(CLIENT_SECONDS):
            await self.over.wait()


@dataclass(slots=True)
class Diary:
    """The visits of a room, as those who made them saw them."""

    livekit: LiveKit
    room: str
    visits: list[Visit] = field(default_factory=list)

    @asynccontextmanager
    async def visit(self, identity: str, **token_of: Unpack[Kind]) -> AsyncIterator[Visit]:
        """Be in the room; leave at the end of the `with`, unless one was thrown out by then."""
        client, asked_at = rtc.Room(), _now()
        async with asyncio.timeout(CLIENT_SECONDS):
            await client.connect(self.livekit.ws, token(self.room, identity, **token_of))
        visit = Visit(identity, client.local_participant.sid, asked_at, _now())
        self.visits.append(visit)
        client.on("disconnected", lambda _reason: visit.end())
        try:
            yield visit
        finally:
            visit.leaves()
            async with asyncio.timeout(CLIENT_SECONDS):
                await client.disconnect()
            visit.end()

    @asynccontextmanager
    async def killed(self, identity: str) -> AsyncIterator[Visit]:
        """Be in the room in a process of its own, which is killed with -9 at the end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.e2e.people"),
            *(self.livekit.ws, token(self.room, identity)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(CLIENT_SECONDS):
            sid, *instants = json.loads(await process.stdout.readline())
        asked_at, connected_at = map(datetime.fromisoformat, instants)
        visit = Visit(identity, sid, asked_at, connected_at, told_within=MISSED)
        self.visits.append(visit)
        try:
            yield visit
        finally:
            visit.leaves()
            process.kill()
            await process.wait()
            visit.end()


def token(
    room: str, identity: str | None = None, *, admin: bool = False, **kind: Unpack[Kind]
) -> str:
    """A token for a room, as a project's own server gives it out."""
    grants = VideoGrants(
        room=room,
        room_join=identity is not None,
        room_admin=admin,
        hidden=kind.get("hidden", False),
        recorder=kind.get("recorder", False),
    )
    made = AccessToken(KEY, SECRET).with_grants(grants).with_kind(kind.get("kind", "standard"))
    return (made.with_identity(identity) if identity else made).to_jwt()


def server_token() -> str:
    """A token of a project's own server."""
    grants = VideoGrants(room_list=True, room_create=True)
    return AccessToken(KEY, SECRET).with_grants(grants).to_jwt()


def _now() -> datetime:
    return datetime.now(UTC)


async def _stay(url: str, access_token: str) -> None:
    """Connect, say so, and stay until killed."""
    client, asked_at = rtc.Room(), _now()
    await client.connect(url, access_token)
    told = [client.local_participant.sid, asked_at.isoformat(), _now().isoformat()]
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_stay(*sys.argv[1:]))
