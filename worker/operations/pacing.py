"""The backlog that a command makes: it keeps it short, since what LiveKit sends comes after it."""

from __future__ import annotations

import contextlib
from time import monotonic, sleep

from redis.exceptions import RedisError

from models.storage import db
from models.tables import webhook_event
from worker.inbox import bell, workers
from worker.jobs.draining import BATCH
from worker.process.backend import Backend

SHORT = 3 * BATCH
"""Events that may wait: a worker always finds a full batch."""

POLL_SECONDS = 0.03
PATIENCE_SECONDS = 5.0
"""How long nothing may be applied before a command goes on all the same."""


def give_way(backend: Backend) -> None:
    """Ring, and wait until the backlog is short; not for workers that are away or stand still."""
    ring(backend)
    waiting, since = _waiting(backend), monotonic()
    while waiting > SHORT and workers_alive(backend) and monotonic() < since + PATIENCE_SECONDS:
        sleep(POLL_SECONDS)
        before, waiting = waiting, _waiting(backend)
        if waiting < before:
            since = monotonic()
        ring(backend)


def workers_alive(backend: Backend) -> int | None:
    """How many workers are alive; None when Redis, which knows, does not answer."""
    try:
        return workers.alive(backend.redis)
    except RedisError:
        return None


def ring(backend: Backend) -> None:
    """Ring the bell. Nobody hears it without Redis: the sweep does later."""
    with contextlib.suppress(RedisError):
        bell.ring(backend.redis)


def _waiting(backend: Backend) -> int:
    with db.reading(backend.engine) as conn:
        return webhook_event.pending(conn)
