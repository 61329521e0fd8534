"""Live workers and schedulers, by the signs that they leave in Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import time
from typing import cast

from redis import Redis
from rq import Worker, cron_scheduler_registry

from worker.inbox import bell

WORKER_SILENCE_SECONDS = 25
"""A worker gives a sign every five seconds when idle, and with each job; after this it is gone, or
hangs."""

SCHEDULER_SILENCE_SECONDS = 30
"""A scheduler gives a sign every five seconds or so; after this it is gone."""


def alive(redis: Redis) -> int:
    """How many workers gave a sign lately. Raises RedisError.

    RQ's set keeps the names of those that were killed, and for minutes what they said of
    themselves.
    """
    since = datetime.now(UTC) - timedelta(seconds=WORKER_SILENCE_SECONDS)
    keys = Worker.all_keys(queue=bell.queue(redis))
    signs = (cast("bytes | None", redis.hget(key, "last_heartbeat")) for key in keys)
    return sum(1 for sign in signs if sign and datetime.fromisoformat(sign.decode()) > since)


def schedulers(redis: Redis) -> int:
    """How many schedulers gave a sign lately. Raises RedisError."""
    since = time() - SCHEDULER_SILENCE_SECONDS
    return int(redis.zcount(cron_scheduler_registry.get_registry_key(), since, "+inf"))
