"""A Redis client for the path of a request: it gives up early, never retries, and has a breaker.

Redis makes things fast, never right, so nobody waits for it. (redis-py would retry ten times and
wait for seconds.) When it is down, every call raises at once until it is back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisDown
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisLate
from redis.retry import Retry

from models.breaker import Breaker


class QuickRedis(Redis):
    """Construct through `connect`. Raises RedisDown at once while its breaker is open."""

    breaker: Breaker

    @classmethod
    def connect(cls, url: str, *, limit: float) -> QuickRedis:
        """A client that gives Redis `limit` seconds for an answer, and for a connection."""
        client = cast(QuickRedis, cls.from_url(url, **_quickly(limit)))
        probe = Redis.from_url(url, **_quickly(limit))
        client.breaker = Breaker("redis", probe.ping, failure=RedisError)
        return client

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with _guarded(self.breaker):
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py's

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> QuickPipeline:
        pipe = QuickPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.breaker = self.breaker
        return pipe


class QuickPipeline(Pipeline):
    """A pipeline of a QuickRedis."""

    breaker: Breaker

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        with _guarded(self.breaker):
            return super().execute(raise_on_error)


@contextmanager
def _guarded(breaker: Breaker) -> Iterator[None]:
    if breaker.is_open:
        raise RedisDown("Redis is down")
    try:
        yield
    except (RedisDown, RedisLate):
        breaker.trip()
        raise


def _quickly(limit: float) -> dict[str, Any]:
    return {
        "socket_timeout": limit,
        "socket_connect_timeout": limit,
        "retry": Retry(NoBackoff(), 0),
    }
