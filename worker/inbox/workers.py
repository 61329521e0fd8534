"""Live workers and schedulers, by the signs that they leave in Redis."""

from __future__ import annotations

from time import time

from redis import Redis
from rq import Worker, cron_scheduler_registry

from worker.inbox import bell

SCHEDULER_SILENCE_SECONDS = 30
"""A scheduler gives a sign every five seconds or so; after this it is gone."""


def alive(redis: Redis) -> int:
    """How many workers are alive. Raises RedisError.

    RQ's set keeps the names of those that were killed; the key of each of them expires.
    """
    keys = Worker.all_keys(queue=bell.queue(redis))
    return sum(1 for key in keys if redis.exists(key))


def schedulers(redis: Redis) -> int:
    """How many schedulers gave a sign lately. Raises RedisError."""
    since = time() - SCHEDULER_SILENCE_SECONDS
    return int(redis.zcount(cron_scheduler_registry.get_registry_key(), since, "+inf"))
