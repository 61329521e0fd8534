"""What one process works on: its settings, its database, its Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from models.engine import PATIENCE_SECONDS, make_engine
from models.facts import Rules
from models.settings import Settings
from worker.quick_redis import QuickRedis

REQUEST_LIMIT_SECONDS = 0.7
"""What the database has for one answer on the path of a request. LiveKit sends a room's events one
after another and has no timeout: a hung answer would block the room."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Opened lazily: making one connects to nothing."""

    settings: Settings
    engine: Engine
    redis: QuickRedis
    keys: Mapping[str, str]
    rules: Rules

    @classmethod
    def of(cls, settings: Settings, *, limit: float = PATIENCE_SECONDS) -> Backend:
        """`limit`: the seconds that the database has for an answer; Redis always has little."""
        # A thread holds one connection at a time; one more for whoever looks in from outside.
        size = settings.web_threads + 1
        return cls(
            settings=settings,
            engine=make_engine(settings.database_url, pool_size=size, limit=limit),
            redis=QuickRedis.connect(settings.redis_url),
            keys=settings.keys,
            rules=settings.rules,
        )

    def close(self) -> None:
        self.engine.dispose()
        self.redis.close()
