"""LiveKit's room service, spoken by a server of ours (Twirp over protobuf): for what a real one
cannot be made to do, such as failing half way. tests/e2e asks a real one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from aiohttp import web
from livekit.api import (
    ListParticipantsRequest,
    ListParticipantsResponse,
    ListRoomsResponse,
    TokenVerifier,
)
from livekit.protocol.models import ParticipantInfo, Room

from models.domain.json_fields import EPOCH
from tests.build import KEY, SECRET, Instant, at

Answer = Callable[[web.Request], Awaitable[web.Response]]


def millis(instant: datetime) -> int:
    return int((instant - EPOCH).total_seconds() * 1000)


class FakeLiveKit:
    """A LiveKit with these rooms and people inside; `rule` may answer in its place.

    `rule` is called with the method ("ListRooms") and how often it was called; None lets it be.
    """

    def __init__(self) -> None:
        self.url = ""
        self.rooms: dict[str, Room] = {}
        self.people: dict[str, dict[str, ParticipantInfo]] = {}
        self.calls: list[str] = []
        self.rule: Callable[[str, int], web.Response | Awaitable[web.Response] | None] = (
            lambda _method, _count: None
        )

    def opens(self, sid: str = "RM_1", name: str = "quran-98", *, created: Instant) -> None:
        """A room begins; one of its name that was there is over."""
        self.rooms[name] = Room(
            sid=sid, name=name, creation_time_ms=millis(at(created)), turn_password="turn-secret"
        )
        self.people[name] = {}

    def enters(
        self,
        sid: str = "PA_1",
        user: str = "5",
        name: str = "quran-98",
        *,
        joined: Instant,
        state: ParticipantInfo.State = ParticipantInfo.ACTIVE,
        kind: ParticipantInfo.Kind = ParticipantInfo.STANDARD,
        hidden: bool = False,
    ) -> None:
        """LiveKit keeps one connection an identity and room."""
        person = ParticipantInfo(
            sid=sid,
            identity=user,
            state=state,
            joined_at_ms=millis(at(joined)),
            kind=kind,
            metadata="private",
        )
        person.permission.hidden = hidden
        self.people[name][user] = person

    def leaves(self, user: str = "5", name: str = "quran-98") -> None:
        del self.people[name][user]

    def crashes(self) -> None:
        """And starts again: it knows of no room."""
        self.rooms.clear()
        self.people.clear()

    async def answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        self.calls.append(method)
        ruled = self.rule(method, self.calls.count(method))
        if isinstance(ruled, web.Response):
            return ruled
        if ruled is not None:
            return await ruled
        grants = TokenVerifier(KEY, SECRET).verify(request.headers["Authorization"].split()[1])
        assert grants.video is not None
        if method == "ListRooms":
            assert grants.video.room_list
            for room in self.rooms.values():
                room.num_participants = len(self.people[room.name])
            return _proto(ListRoomsResponse(rooms=self.rooms.values()).SerializeToString())
        asked = ListParticipantsRequest.FromString(await request.read())
        assert grants.video.room_admin
        assert grants.video.room == asked.room
        people = self.people.get(asked.room, {}).values()
        return _proto(ListParticipantsResponse(participants=people).SerializeToString())


def _proto(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/protobuf")


@contextmanager
def running() -> Iterator[FakeLiveKit]:
    """A fake LiveKit on a free port, served by a thread."""
    fake, loop = FakeLiveKit(), asyncio.new_event_loop()
    app = web.Application()
    app.router.add_post("/twirp/livekit.RoomService/{method}", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def serve() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    loop.run_until_complete(serve())
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(runner.cleanup())
        loop.close()
