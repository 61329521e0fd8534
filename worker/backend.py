"""What one process works on: its settings, its database, its Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from models.db import make_engine
from models.facts import Rules
from models.settings import Settings

REDIS_TIMEOUT_SECONDS = 0.25
"""Redis makes things fast; what does not answer within this is not asked again for this answer.
(redis-py would retry ten times and wait for seconds.)"""


@dataclass(frozen=True, slots=True)
class Backend:
    """Opened lazily: making one connects to nothing."""

    settings: Settings
    engine: Engine
    redis: Redis
    keys: Mapping[str, str]
    rules: Rules

    @classmethod
    def of(cls, settings: Settings) -> Backend:
        # A thread holds one connection at a time; one more for whoever looks in from outside.
        engine = make_engine(settings.database_url, pool_size=settings.web_threads + 1)
        redis = quick_redis(settings.redis_url)
        return cls(settings, engine, redis, keys=settings.keys, rules=settings.rules)

    def close(self) -> None:
        self.engine.dispose()
        self.redis.close()


def quick_redis(url: str) -> Redis:
    """A client for the path of a request: it gives up early and never retries."""
    return Redis.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
