"""The keeper: looks for changes whose clearing was lost, and renews the lease of kept facts.

With it, a session that nothing happens in is read from the database every few minutes, however many
poll. Without it, facts live as long as an answer may be old.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import uuid4

from redis.exceptions import RedisError

from models.settings.settings import Settings
from models.storage import db
from models.tables import changes
from models.tables.changes import Mark
from worker.cache import cache
from worker.jobs.draining import NOBODYS_FAULT
from worker.process import lease, periodic
from worker.process.backend import WORKER, Backend
from worker.process.lease import Held

EVERY = 0.25
"""Of CACHE_TTL_SECONDS: a lease outlives three rounds."""

KEPT_FOR = timedelta(minutes=10)
"""Changes are, much longer than a lease lasts: a Redis that is set back may need them again."""

PRUNE_SECONDS, PRUNE_SOME = 60.0, 5_000


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Keep for as long as the context lasts."""
    with periodic.going(
        "keeper",
        settings,
        lambda backend: Keeper(backend).round,
        every=settings.cache_ttl_seconds * EVERY,
        expected=(RedisError, *NOBODYS_FAULT),
    ):
        yield


class Keeper:
    """One round after another. Several keepers do no harm."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._prune_at = backend, 0.0

    def round(self) -> bool:
        """Clear again what changed since the last round; whether there is a lease now.

        Raises what the database and Redis raise: then the lease lapses.
        """
        redis, life = self._backend.redis, self._backend.settings.cache_ttl_seconds * lease.LIFE
        until_ms = cache.clock_ms(redis) + int(life * 1000)
        held = lease.held(redis)
        new, keys = self._look(held)
        # On one connection: a Redis that lost the clearing must not get to see the lease.
        with redis.pipeline(transaction=False) as pipe:
            cache.forget(pipe, keys)
            lease.grant(pipe, new, after=held, until_ms=until_ms)
            granted = bool(pipe.execute()[-1])
        if granted:
            self._prune(new.mark)
        return granted

    def _look(self, held: Held | None) -> tuple[Held, set[str]]:
        """The next lease, and what has to be cleared first. Of a new epoch nothing is kept yet."""
        with db.snapshot(self._backend.engine, timeout=WORKER.database) as conn:
            mark = Mark.of(conn)
            if held is None or not mark.follows(held.mark):
                return Held(uuid4().hex, mark), set()
            return Held(held.epoch, mark), changes.since(conn, held.mark)

    def _prune(self, mark: Mark) -> None:
        """Forget old changes that were seen, some at a time."""
        if monotonic() < self._prune_at:
            return
        self._prune_at = monotonic() + PRUNE_SECONDS
        before = datetime.now(UTC) - KEPT_FOR
        with db.writing(self._backend.engine) as conn:
            if changes.prune(conn, before=before, seen=mark, limit=PRUNE_SOME) == PRUNE_SOME:
                self._prune_at = 0.0
