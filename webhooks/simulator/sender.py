"""Posts webhooks as a LiveKit server does: stands in its place, before the receiver.

Promise: its sending, rule by rule, as read in livekit/protocol's resource_url_notifier.go and
hashicorp/go-retryablehttp. Only to this machine: a `Target` elsewhere cannot be made.
"""

import asyncio
import base64
import hashlib
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import Final

import aiohttp
import jwt
from yarl import URL

from webhooks.simulator.event import Event

_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TOKEN_LIFETIME: Final = timedelta(minutes=5)
# Go's defaults: how long it dials, and how long an idle connection is kept.
_DIAL_SECONDS: Final = 30
_IDLE_SECONDS: Final = 90


class NotLoopback(ValueError):
    """The URL of a receiver is not one on this machine."""

    def __init__(self, url: str) -> None:
        super().__init__(
            "Simulated webhooks go to this machine only (http://127.0.0.1, localhost or [::1]), "
            f"not to {url!r}."
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where to post, and the API key to sign with. Raises `NotLoopback` for any other machine."""

    url: URL
    key: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if self.url.scheme not in {"http", "https"} or self.url.host not in _LOOPBACK_HOSTS:
            raise NotLoopback(str(self.url))

    @classmethod
    def parse(cls, url: str, *, key: str, secret: str) -> "Target":
        """Read the URL with the parser that posts to it, so that both see the same host."""
        try:
            parsed = URL(url)
        except ValueError as error:
            raise NotLoopback(url) from error
        return cls(url=parsed, key=key, secret=secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """LiveKit's numbers. `answer_timeout` is ours: LiveKit waits for an answer for ever."""

    retry_delays: tuple[timedelta, ...] = tuple(timedelta(seconds=s) for s in (1, 2, 4, 8))
    queue_limit: int = 200
    max_age: timedelta = timedelta(seconds=30)
    answer_timeout: timedelta | None = None


class Clock:
    """The wall clock, which LiveKit's ages and pauses go by. Another may run faster."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())

    async def until(self, instant: datetime) -> None:
        """Sleep until then; with the instant passed, only let others go first."""
        await self.sleep(max(instant - self.now(), timedelta()))


LIVEKIT_RULES: Final = Rules()
WALL_CLOCK: Final = Clock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of the events: each is acknowledged, refused, dropped, lost or unfinished.

    `sent` were posted at least once; `retried` counts posts beyond the first. `refused` were
    answered with another status than 2xx that LiveKit takes for delivery. `dropped` never left the
    queue (full, or too old); `lost` ran out of retries; `unfinished` were cut off by the run's end.
    Latency is from POST to answer, of acknowledged posts; None without any.
    """

    events: int
    sent: int
    acknowledged: int
    refused: int
    retried: int
    dropped: int
    lost: int
    unfinished: int
    p50_ms: float | None
    p99_ms: float | None
    wall_seconds: float
    acknowledged_ids: tuple[str, ...] = field(repr=False)

    @property
    def failed(self) -> int:
        """Events that the receiver never took, other than by the run's end."""
        return self.refused + self.dropped + self.lost


@dataclass(slots=True)
class Diary:
    """When each event was first posted, and when it was acknowledged, by its id."""

    posted_at: dict[str, datetime] = field(default_factory=dict)
    acknowledged_at: dict[str, datetime] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """A report in the making; it keeps a diary if it is given one."""

    due: int = 0
    sent: int = 0
    refused: int = 0
    retried: int = 0
    dropped: int = 0
    lost: int = 0
    acknowledged_ids: list[str] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    diary: Diary | None = None

    def report(self, *, events: int, wall_seconds: float) -> Report:
        """Sum up a run that had `events` to send."""
        acknowledged = len(self.acknowledged_ids)
        latencies = sorted(self.latencies_ms)
        return Report(
            events=events,
            sent=self.sent,
            acknowledged=acknowledged,
            refused=self.refused,
            retried=self.retried,
            dropped=self.dropped,
            lost=self.lost,
            unfinished=events - acknowledged - self.refused - self.dropped - self.lost,
            p50_ms=_percentile(latencies, 50),
            p99_ms=_percentile(latencies, 99),
            wall_seconds=wall_seconds,
            acknowledged_ids=tuple(self.acknowledged_ids),
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one POST came to; no status means no answer."""

    status: int | None
    retry_after: timedelta | None
    milliseconds: float

    @property
    def asks_again(self) -> bool:
        """go-retryablehttp's policy: no answer, 429, and 5xx except 501."""
        if self.status is None or self.status == 429:
            return True
        return self.status >= 500 and self.status != 501


@asynccontextmanager
async def sending(
    target: Target,
    *,
    tally: Tally,
    rules: Rules = LIVEKIT_RULES,
    clock: Clock = WALL_CLOCK,
) -> AsyncIterator["Sender"]:
    """Open a sender; leaving waits until its queues are empty, cancelling abandons them."""
    seconds = rules.answer_timeout.total_seconds() if rules.answer_timeout else None
    async with (
        aiohttp.ClientSession(
            # A room never waits for another's connection.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=_DIAL_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept",),
            headers={"User-Agent": "LiveKit", "Accept-Encoding": "gzip"},
        ) as http,
        asyncio.TaskGroup() as rooms,
    ):
        yield Sender(target, http=http, rooms=rooms, tally=tally, rules=rules, clock=clock)


class Sender:
    """One queue a room name, one POST in flight in each, in order. Made by `sending`."""

    def __init__(
        self,
        target: Target,
        *,
        http: aiohttp.ClientSession,
        rooms: asyncio.TaskGroup,
        tally: Tally,
        rules: Rules,
        clock: Clock,
    ) -> None:
        self._target = target
        self._http = http
        self._rooms = rooms
        self._tally = tally
        self._rules = rules
        self._clock = clock
        self._queues: dict[str, deque[tuple[datetime, Event]]] = {}

    def offer(self, event: Event) -> None:
        """Queue the event behind its room's others, or drop it when too many wait."""
        self._tally.due += 1
        name = event.room.name
        if name not in self._queues:
            self._queues[name] = deque()
            self._rooms.create_task(self._empty_queue(name))
        if len(self._queues[name]) >= self._rules.queue_limit:
            self._tally.dropped += 1
        else:
            self._queues[name].append((self._clock.now(), event))

    async def send(self, event: Event) -> None:
        """Post one event now, as often as LiveKit would, with the same bytes and token."""
        body = event.body()
        token = self._token(body)
        self._tally.sent += 1
        if self._tally.diary is not None:
            self._tally.diary.posted_at[event.event_id] = self._clock.now()
        answer = await self._post(body, token)
        for delay in self._rules.retry_delays:
            if not answer.asks_again:
                break
            await self._clock.sleep(delay if answer.retry_after is None else answer.retry_after)
            self._tally.retried += 1
            answer = await self._post(body, token)
        self._settle(event, answer)

    async def _empty_queue(self, name: str) -> None:
        queue = self._queues[name]
        while queue:
            queued_at, event = queue.popleft()
            if self._clock.now() - queued_at > self._rules.max_age:
                self._tally.dropped += 1
            else:
                await self.send(event)
        del self._queues[name]

    def _token(self, body: bytes) -> str:
        now = self._clock.now()
        claims = {
            "iss": self._target.key,
            "exp": int((now + _TOKEN_LIFETIME).timestamp()),
            "nbf": int(now.timestamp()),
            "iat": int(now.timestamp()),
            "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }
        return jwt.encode(claims, self._target.secret, algorithm="HS256")

    async def _post(self, body: bytes, token: str) -> _Answer:
        """Post once. The answer's body is not read: one still under way costs the connection."""
        headers = {"Authorization": token, "Content-Type": "application/webhook+json"}
        began = perf_counter()
        try:
            # A redirect may lead off this machine, so it is an answer like any other.
            async with self._http.post(
                self._target.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                milliseconds = (perf_counter() - began) * 1000
                retry_after = self._retry_after(response)
                return _Answer(response.status, retry_after, milliseconds)
        except (aiohttp.ClientError, OSError):
            return _Answer(None, None, (perf_counter() - began) * 1000)

    def _retry_after(self, response: aiohttp.ClientResponse) -> timedelta | None:
        """Seconds or an HTTP date, heeded with 429 and 503 only; nonsense is as if not there."""
        if response.status not in {429, 503}:
            return None
        text = response.headers.get("Retry-After", "")
        try:
            if text.isdecimal():
                return timedelta(seconds=int(text))
            return max(parsedate_to_datetime(text) - self._clock.now(), timedelta())
        except (TypeError, ValueError, OverflowError):
            return None

    def _settle(self, event: Event, answer: _Answer) -> None:
        if answer.asks_again:
            self._tally.lost += 1
        elif answer.status is not None and 200 <= answer.status < 300:
            self._tally.acknowledged_ids.append(event.event_id)
            self._tally.latencies_ms.append(answer.milliseconds)
            if self._tally.diary is not None:
                self._tally.diary.acknowledged_at[event.event_id] = self._clock.now()
        else:
            self._tally.refused += 1


def _percentile(ordered: list[float], percent: int) -> float | None:
    """Return the nearest-rank percentile: a latency that really happened."""
    if not ordered:
        return None
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
