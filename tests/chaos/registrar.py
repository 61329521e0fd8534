"""The registrar: while the storm rages, classes of the rooms are registered, moved and deleted.

Whatever it does, who is inside stays so, and a room's name means a session in which they are. No
class of its ends while somebody is inside: what is left open would go stale, as it should.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Any

import orjson

from tests.doors import bearer, ops_token, session_url

PAUSE_SECONDS = (0.02, 0.2)
MINUTES = 300
EARLIEST, LATEST = timedelta(minutes=-30), timedelta(minutes=50)
"""From now, for a start: near enough to own what happens now."""


class Registrar:
    """Works from `at_work` until its end; `answers` counts what it was answered."""

    def __init__(self, port: int, rooms: Sequence[str], seed: int) -> None:
        self._port, self._rooms, self._dice = port, rooms, random.Random(f"registrar-{seed}")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.answers: Counter[int | str] = Counter()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    def ids(self) -> list[str]:
        """All that it may have registered beside the sessions that have their rooms' names."""
        return [_class_of(room) for room in self._rooms]

    def _work(self) -> None:
        while not self._over.wait(self._dice.uniform(*PAUSE_SECONDS)):
            room = self._dice.choice(self._rooms)
            session_id = self._dice.choice([room, _class_of(room)])
            if self._dice.random() < 0.25:
                self._ask("DELETE", session_id)
            else:
                self._ask("PUT", session_id, self._body(room))

    def _body(self, room: str) -> dict[str, Any]:
        body: dict[str, Any] = {"room_name": room, "duration_minutes": MINUTES}
        if self._dice.random() < 0.8:
            span = (LATEST - EARLIEST) * self._dice.random()
            body["scheduled_at"] = (datetime.now(UTC) + EARLIEST + span).isoformat()
        return body

    def _ask(self, method: str, session_id: str, body: dict[str, Any] | None = None) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            headers = bearer(ops_token()) | {"Content-Type": "application/json"}
            sent = None if body is None else orjson.dumps(body)
            connection.request(method, session_url(session_id), body=sent, headers=headers)
            self.answers[connection.getresponse().status] += 1
        except (OSError, HTTPException):
            self.answers["none"] += 1
        finally:
            connection.close()


def _class_of(room: str) -> str:
    return f"lesson of {room}"
