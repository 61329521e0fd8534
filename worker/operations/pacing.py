"""The pace of a command that fills the inbox: what LiveKit sends meanwhile waits behind it."""

from __future__ import annotations

import contextlib
from time import monotonic, sleep

from redis.exceptions import RedisError

from models.storage import db
from models.tables import pending_event
from worker.inbox import bell, workers
from worker.jobs.draining import BATCH
from worker.process.backend import Backend

AHEAD = 3
"""Batches that a command stays ahead of the workers, each of whom finds a full one."""

POLL_SECONDS = 0.03
STALLED_SECONDS = 5.0
"""How long nothing may be applied before a command goes on all the same."""


def give_way(backend: Backend) -> None:
    """Ring, and wait for the workers until AHEAD batches are left. Not when none is alive, or when
    they apply nothing for STALLED_SECONDS.
    """
    ring(backend)
    waiting, since, most = _waiting(backend), monotonic(), AHEAD * BATCH
    while waiting > most and workers_alive(backend) and monotonic() < since + STALLED_SECONDS:
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
        return pending_event.count(conn)
