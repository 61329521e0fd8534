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

from models import changes, db
from models.settings import Settings
from worker import cache, lease, rounds
from worker.backend import PATIENT, Backend
from worker.jobs import NOBODYS_FAULT
from worker.lease import Held

EVERY = 0.25
"""Of CACHE_TTL_SECONDS: a lease outlives three rounds."""

KEPT_FOR = timedelta(minutes=10)
"""Changes are, much longer than a lease lasts: a keeper whose lease lapsed begins anew."""

PRUNE_SECONDS = 60.0


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Keep for as long as the context lasts."""
    with rounds.going(
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
        began = monotonic()
        held = Held.read(self._backend.redis)
        new, keys = self._look(held)
        if not cache.clear(self._backend.redis, keys):
            return False
        life = self._backend.settings.cache_ttl_seconds * lease.LIFE
        left = life - (monotonic() - began)
        granted = lease.grant(self._backend.redis, new, after=held, seconds=left)
        self._prune()
        return granted

    def _look(self, held: Held | None) -> tuple[Held, set[str]]:
        """The next lease, and what has to be cleared first. Of a new epoch nothing is kept yet."""
        with db.snapshot(self._backend.engine, limit=PATIENT.database) as conn:
            mark = changes.mark(conn)
            if held is None or not changes.follows(mark, held.mark):
                return Held(uuid4().hex, mark), set()
            return Held(held.epoch, mark), changes.since(conn, held.mark)

    def _prune(self) -> None:
        if monotonic() < self._prune_at:
            return
        with db.writing(self._backend.engine) as conn:
            changes.prune(conn, before=datetime.now(UTC) - KEPT_FOR)
        self._prune_at = monotonic() + PRUNE_SECONDS
