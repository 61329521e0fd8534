"""Mail: webhooks of simulated classes, signed beforehand, and requests as bytes on the wire."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import jwt

from tests.build import KEY, SECRET
from webhooks.simulator.event import Event
from webhooks.simulator.plan import endless_classes

GOOD_FOR = timedelta(hours=2)


class Classes:
    """Living classes whose events go on from turn to turn."""

    def __init__(self, *, rooms: int, people: int, prefix: str, seed: int = 1) -> None:
        self.room_names = [f"{prefix}-{number:04d}" for number in range(1, rooms + 1)]
        self._events = endless_classes(
            self.room_names, people=people, seed=seed, starts_at=datetime.now(UTC)
        )

    def next(self, count: int) -> list[Event]:
        """The next events of all rooms, in the order in which LiveKit would tell them."""
        return list(islice(self._events, count))

    def lanes(self, count: int) -> list[Iterator[bytes]]:
        """The next events as requests, a lane for each room: LiveKit has one in flight in each."""
        by_room: dict[str, list[bytes]] = defaultdict(list)
        for event in self.next(count):
            by_room[event.room.name].append(webhook(event.body()))
        return [iter(requests) for requests in by_room.values()]


def webhook(body: bytes) -> bytes:
    """The POST of a webhook as LiveKit sends it."""
    head = (
        "POST /webhooks/livekit HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: LiveKit\r\n"
        f"Content-Length: {len(body)}\r\nAuthorization: {_token(body)}\r\n"
        "Content-Type: application/webhook+json\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    return head.encode() + body


def get(path: str, token: str | None = None) -> bytes:
    """A GET as a polling page sends it."""
    lock = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n{lock}\r\n".encode()


def pupil_token(room: str, user_id: str) -> str:
    """The LiveKit token that a frontend has."""
    return _signed({"sub": user_id, "video": {"roomJoin": True, "room": room}})


def server_token() -> str:
    """The token of an operator."""
    return _signed({"video": {"roomList": True, "roomCreate": True}})


def people_in(events: Iterable[Event]) -> list[tuple[str, str]]:
    """Everyone who came, as room name and user id, each once."""
    found = {(one.room.name, one.visit.identity): None for one in events if one.visit is not None}
    return list(found)


def _token(body: bytes) -> str:
    return _signed({"sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()})


def _signed(claims: dict[str, object]) -> str:
    now = datetime.now(UTC)
    times = {"nbf": int(now.timestamp()), "exp": int((now + GOOD_FOR).timestamp())}
    return jwt.encode({"iss": KEY, **times, **claims}, SECRET, algorithm="HS256")
