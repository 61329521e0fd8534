"""Refused webhooks, counted in Redis by reason and by issuer, for the doctor.

An issuer is an API key, which is no secret, but anybody can write one: few are counted by name. A
process adds its counts up and writes them once a second, so that refusing costs no round trip.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from redis import Redis
from redis.exceptions import RedisError

from models.storage import reasons

FLUSH_SECONDS = 1.0
MAX_ISSUERS = 20
"""Named by one process, besides the configured ones."""

ISSUER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
NOBODY, OTHERS = "-", "others"

TEN_MINUTES, HOUR, DAY = timedelta(minutes=10), timedelta(hours=1), timedelta(days=1)

log = structlog.get_logger()

Refusal = tuple[str, str]
"""The reason and the issuer."""


@dataclass(frozen=True, slots=True)
class Refused:
    """How many webhooks were refused, in the last hour (to ten minutes) and day (to an hour)."""

    last_hour: Counter[Refusal]
    last_day: Counter[Refusal]


class Rejections:
    """One for all threads of a process."""

    def __init__(self, redis: Redis, keys: Collection[str]) -> None:
        self._redis, self._named = redis, set(keys)
        self._most = len(self._named) + MAX_ISSUERS
        self._lock = threading.Lock()
        self._counts: Counter[Refusal] = Counter()
        self._is_due = False
        """Whether a thread is there that will write them."""

    def count(self, reason: str, issuer: str | None, *, now: datetime) -> None:
        """Returns at once; a thread writes it within a second."""
        with self._lock:
            self._counts[reason, self._name(issuer)] += 1
            self._is_due = self._is_due or self._flush_soon(now)

    def flush(self, now: datetime) -> None:
        """Write what was counted. Without Redis it is lost: the metrics have it too."""
        with self._lock:
            counts, self._counts, self._is_due = self._counts, Counter(), False
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for span, kept in ((TEN_MINUTES, HOUR), (HOUR, DAY)):
                    key = _key(span, now)
                    for refusal, number in counts.items():
                        pipe.hincrby(key, " ".join(refusal), number)
                    pipe.expire(key, kept + 2 * span)
                pipe.execute()
        except RedisError as error:
            log.warning("rejections.lost", reason=reasons.of(error))

    def _flush_soon(self, now: datetime) -> bool:
        """Have a thread do it; False when the system gives none: the next count asks again."""
        timer = threading.Timer(FLUSH_SECONDS, self.flush, (now,))
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            return False
        return True

    def _name(self, issuer: str | None) -> str:
        if issuer is None or not ISSUER.fullmatch(issuer):
            return NOBODY
        if issuer not in self._named and len(self._named) >= self._most:
            return OTHERS
        self._named.add(issuer)
        return issuer


def refused(redis: Redis, *, now: datetime) -> Refused:
    """What all processes refused of late. Raises RedisError."""
    hour = [_key(TEN_MINUTES, now - number * TEN_MINUTES) for number in range(6)]
    day = [_key(HOUR, now - number * HOUR) for number in range(24)]
    with redis.pipeline(transaction=False) as pipe:
        for key in (*hour, *day):
            pipe.hgetall(key)
        counts = pipe.execute()
    return Refused(_sum(counts[: len(hour)]), _sum(counts[len(hour) :]))


def _sum(counts: list[dict[bytes, bytes]]) -> Counter[Refusal]:
    total: Counter[Refusal] = Counter()
    for each in counts:
        for refusal, number in each.items():
            reason, _, issuer = refusal.decode().partition(" ")
            total[reason, issuer] += int(number)
    return total


def _key(span: timedelta, at: datetime) -> str:
    seconds = int(span.total_seconds())
    return f"rollcall:refused:{seconds}:{int(at.timestamp()) // seconds}"
