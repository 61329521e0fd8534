"""What Redis can do for Rollcall: it writes, reads, runs a script, and throws nothing away.

A replica, a full one and a cluster all answer a ping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from redis import Redis
from redis.exceptions import NoPermissionError, OutOfMemoryError, ResponseError

from models.storage import reasons

KEY = "rollcall:check"
KEY_LIFE_MS = 10_000
SCRIPT = "return redis.call('GET', KEYS[1])"

Hindrance = Literal["cluster", "replica", "full", "rights", "fails"]


@dataclass(frozen=True, slots=True)
class RedisState:
    """Why it can't do its work, None when it can, and its own words for it.

    `eviction_policy` is None when nobody may ask for it.
    """

    hindrance: Hindrance | None
    reason: str
    eviction_policy: str | None


def examine(redis: Redis) -> RedisState:
    """Raises RedisError when it does not answer."""
    info = _info(redis)
    policy = info.get("maxmemory_policy")
    if info.get("cluster_enabled"):
        return RedisState("cluster", "", policy)
    if info.get("role") == "slave":
        return RedisState("replica", "", policy)
    try:
        redis.set(KEY, b"1", px=KEY_LIFE_MS)
        redis.eval(SCRIPT, 1, KEY)
    except ResponseError as error:
        return RedisState(_hindrance(error), reasons.of(error), policy)
    return RedisState(None, "", policy)


def _hindrance(error: ResponseError) -> Hindrance:
    if isinstance(error, OutOfMemoryError):
        return "full"
    return "rights" if isinstance(error, NoPermissionError) else "fails"


def _info(redis: Redis) -> dict[str, Any]:
    """Where CONFIG is renamed or forbidden, INFO mostly is not."""
    try:
        return redis.info()
    except ResponseError:
        return {}
