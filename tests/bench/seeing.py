"""How long after a webhook was posted a poll shows it: receiver, bell, drain, cache, status."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable
from time import perf_counter

from tests.bench.load import BenchFailed, percentile
from tests.bench.mail import Classes, get, pupil_token, webhook
from tests.bench.stack import register, stack
from tests.bench.turns import Figure, Goal
from webhooks.simulator.event import Event

RATES = (100, 300)
SECONDS = 15
ROOMS, PEOPLE = 100, 40
PROBES_A_SECOND = 25
"""Joins that are watched: every poll is load too."""

POLL_SECONDS = 0.004
PATIENCE_SECONDS = 15


class _Connection:
    """One keep-alive connection, one request in flight."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        _, named, rest = head.partition(b"content-length: ")
        length = int(rest.partition(b"\r\n")[0]) if named else 0
        return int(head[9:12]), await reader.readexactly(length)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


class _Watch:
    """The sender of one room after another's events, and the pages that wait to see them."""

    def __init__(self, port: int) -> None:
        self.port, self.seen_ms = port, list[float]()
        self._queues: dict[str, deque[tuple[Event, bytes, bool]]] = defaultdict(deque)
        self._idle: list[_Connection] = []

    async def run(self, events: Iterable[Event], rate: int) -> None:
        """Post `rate` events a second, one in flight a room as LiveKit does; watch some joins."""
        ready = [
            (one, webhook(one.body()), probed)
            for one, probed in _probed(events, rate // PROBES_A_SECOND)
        ]
        began = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number, (event, request, probed) in enumerate(ready):
                await asyncio.sleep(max(0, began + number / rate - perf_counter()))
                queue = self._queues[event.room.name]
                queue.append((event, request, probed))
                if len(queue) == 1:
                    tasks.create_task(self._send(queue, tasks))
        for connection in self._idle:
            connection.close()

    async def _send(
        self, queue: deque[tuple[Event, bytes, bool]], tasks: asyncio.TaskGroup
    ) -> None:
        connection = self._connection()
        while queue:
            event, request, probed = queue[0]
            if probed:
                tasks.create_task(self._see(event, perf_counter()))
            status, _ = await connection.ask(request)
            if status != 204:
                raise BenchFailed(f"a webhook was answered {status}")
            queue.popleft()
        self._idle.append(connection)

    async def _see(self, event: Event, posted_at: float) -> None:
        assert event.visit is not None
        room, user_id = event.room.name, event.visit.identity
        path = f"/api/sessions/{room}/attendance-status"
        poll, connection = get(path, pupil_token(room, user_id)), self._connection()
        while True:
            _, body = await connection.ask(poll)
            if b'"is_currently_in_meeting":true' in body:
                break
            if perf_counter() - posted_at > PATIENCE_SECONDS:
                raise BenchFailed(f"a join was not seen within {PATIENCE_SECONDS} s")
            await asyncio.sleep(POLL_SECONDS)
        self.seen_ms.append((perf_counter() - posted_at) * 1000)
        self._idle.append(connection)

    def _connection(self) -> _Connection:
        return self._idle.pop() if self._idle else _Connection(self.port)


def seeing(*, rounds: int) -> list[Figure]:
    """Web and worker as the Procfile runs them; one long turn for each rate."""
    with stack("postgresql") as under, under.web() as port, under.worker():
        return [
            _figure(rate, seen_ms(port, rate, seconds=SECONDS, prefix=f"at-{rate}"))
            for rate in RATES
        ]


def seen_ms(port: int, rate: int, *, seconds: int, prefix: str) -> list[float]:
    """New classes begin in rooms of that prefix; how long each watched join took to be seen."""
    classes = Classes(rooms=ROOMS, people=PEOPLE, prefix=prefix)
    register(port, classes.room_names)
    watch = _Watch(port)
    asyncio.run(watch.run(classes.next(rate * seconds), rate))
    return watch.seen_ms


def _figure(rate: int, seen: list[float]) -> Figure:
    p50, p95, p99 = (percentile(seen, percent) for percent in (50, 95, 99))
    turns = {"p50": [p50], "p95": [p95], "p99": [p99]}
    goals = [Goal("p95 < 60 ms", p95, 60, most=True), Goal("p99 < 150 ms", p99, 150, most=True)]
    notes: dict[str, float | str] = {"joins watched": len(seen)}
    return Figure(
        f"webhook to visible status at {rate} events/s", "ms", turns, goals, notes, compared=False
    )


def _probed(events: Iterable[Event], every: int) -> Iterable[tuple[Event, bool]]:
    """One in so many first joins: those can't be seen before they are posted."""
    came: set[str] = set()
    for one in events:
        first = one.kind == "participant_joined" and one.visit and one.visit.identity not in came
        if first and one.visit is not None:
            came.add(one.visit.identity)
        yield one, bool(first) and len(came) % every == 0
