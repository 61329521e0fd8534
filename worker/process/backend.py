"""What one process works on: its settings, its database, its Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Engine

from models.domain.facts import Rules
from models.lookup.places import Places
from models.settings.settings import Settings, load
from models.storage.engine import make_engine
from models.storage.standby import Standby
from worker.process.quick_redis import QuickRedis


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that the database and Redis have for one answer."""

    database: float
    redis: float


REQUEST = Timeouts(database=0.7, redis=0.25)
"""On the path of a request. LiveKit sends a room's events one after another and has no timeout: a
hung answer would block the room."""

WORKER = Timeouts(database=30.0, redis=2.0)
"""For a worker; RQ gives its job twice that."""

UNHURRIED = Timeouts(database=3600.0, redis=2.0)
"""For a command: whoever waits for it can stop it."""

LEAST_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Backend:
    """Opened lazily: making one connects to nothing."""

    settings: Settings
    engine: Engine
    standby: Standby | None
    redis: QuickRedis
    keys: Mapping[str, str]
    rules: Rules
    places: Places

    @classmethod
    def of(cls, settings: Settings, timeouts: Timeouts = WORKER) -> Backend:
        engine = _engine(settings.database_url, settings, timeouts, name="database")
        return cls(
            settings=settings,
            engine=engine,
            standby=_standby(engine, settings, timeouts),
            redis=QuickRedis.connect(settings.redis_url, timeout=timeouts.redis),
            keys=settings.keys,
            rules=settings.rules,
            places=Places(),
        )

    def close(self) -> None:
        self.engine.dispose()
        if self.standby is not None:
            self.standby.dispose()
        self.redis.close()


@cache
def own_backend() -> Backend:
    """This process's backend, made of its environment once."""
    return Backend.of(load())


def _standby(primary: Engine, settings: Settings, timeouts: Timeouts) -> Standby | None:
    if settings.read_database_url is None:
        return None
    engine = _engine(settings.read_database_url, settings, timeouts, name="standby")
    return Standby(engine, primary)


def _engine(url: str, settings: Settings, timeouts: Timeouts, *, name: str) -> Engine:
    """Half of the threads may hold a connection, and eight at least: webhooks share one, and most
    statuses need none. One more is for whoever looks in from outside."""
    return make_engine(
        url,
        pool_size=max(LEAST_CONNECTIONS, settings.web_threads // 2) + 1,
        timeout=timeouts.database,
        prepared_statements=settings.prepared_statements,
        name=name,
    )
