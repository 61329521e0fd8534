"""What Redis can do for Rollcall: it writes, reads, runs a script, and throws nothing away.

A replica, a full one and a cluster all answer a ping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError, OutOfMemoryError, ResponseError

from models.storage import reasons

KEY = "rollcall:check"
KEY_LIFE_MS = 10_000
SCRIPT = "return redis.call('GET', KEYS[1])"

CLUSTER = "is a cluster, on which RQ's queues do not run"
REPLICA = "is a replica, which takes no writes"
TO_PRIMARY = "name a single primary in REDIS_URL, with cluster mode off"
TO_MEMORY = "give it more memory (maxmemory): statuses are slower, and nothing can be spooled"
TO_RIGHTS = "give the user of REDIS_URL all keys and commands of its database"


@dataclass(frozen=True, slots=True)
class RedisState:
    """Why it can't do its work, and what to do; empty when it can.

    `eviction_policy` is None when nobody may ask for it.
    """

    hindrance: str
    todo: str
    eviction_policy: str | None


def examine(redis: Redis) -> RedisState:
    """Raises RedisError when it does not answer."""
    info = _info(redis)
    policy = info.get("maxmemory_policy")
    if info.get("cluster_enabled"):
        return RedisState(CLUSTER, TO_PRIMARY, policy)
    if info.get("role") == "slave":
        return RedisState(REPLICA, TO_PRIMARY, policy)
    try:
        redis.set(KEY, b"1", px=KEY_LIFE_MS)
        redis.eval(SCRIPT, 1, KEY)
    except ResponseError as error:
        return RedisState(reasons.of(error), _todo(error), policy)
    return RedisState("", "", policy)


def _todo(error: ResponseError) -> str:
    if isinstance(error, OutOfMemoryError):
        return TO_MEMORY
    return TO_RIGHTS if isinstance(error, NoPermissionError) else "look into the log of Redis"


def _info(redis: Redis) -> dict[str, Any]:
    """Where CONFIG is renamed or forbidden, INFO mostly is not."""
    try:
        return redis.info()
    except ResponseError:
        return {}
