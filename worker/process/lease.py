"""The lease: the keeper's word that kept facts are still true, for the next few seconds.

It is one key, `epoch mark`, that lapses by itself. Facts that were kept under its epoch may be
served while it lasts. The mark tells which changes the keeper saw; whoever holds no lease any more
cannot know what was missed before, and begins a new epoch. When it lapses is a moment of Redis's
own clock, however late Redis comes to hear of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import cast

from redis import Redis

from models.tables.changes import Mark

KEY = "rc:lease"

LIFE, LOOK = 0.8, 0.1
"""Of CACHE_TTL_SECONDS: what a lease lasts from when the changes were looked for, and how often a
process looks at it. A process that can't look goes on for as long again: together the whole."""

GRANT = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as it stands in Redis."""

    epoch: str
    mark: Mark

    @classmethod
    def read(cls, said: str) -> Held:
        epoch, mark = said.split(" ", 1)
        return cls(epoch, Mark.read(mark))

    def __str__(self) -> str:
        return f"{self.epoch} {self.mark}"


def held(redis: Redis) -> Held | None:
    """The lease that there is."""
    value = cast("bytes | None", redis.get(KEY))
    return None if value is None else Held.read(value.decode())


def grant(pipe: Redis, new: Held, *, after: Held | None, until_ms: int) -> None:
    """Put the new lease, until that moment of Redis's clock, in the place of the one it was made
    from; the pipeline answers 0 when that is not there any more.

    So of two keepers one wins, and what one saw is never lost to one who saw less.
    """
    pipe.eval(GRANT, 1, KEY, str(after or ""), str(new), until_ms)


class Lease:
    """The lease as one process knows it, which looks at it now and then."""

    def __init__(self, ttl_seconds: float) -> None:
        self._every = ttl_seconds * LOOK
        self._known, self._look_at = _Known("", 0.0), 0.0

    def epoch(self, redis: Redis) -> str:
        """The epoch whose facts may be served now; "" when there is none.

        Raises RedisError, to one caller each time it is due.
        """
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + self._every
            self._known = self._look(redis, now)
        return self._known.epoch if now < self._known.until else ""

    def _look(self, redis: Redis, now: float) -> _Known:
        with redis.pipeline(transaction=True) as pipe:  # the life of this very lease
            pipe.get(KEY)
            pipe.pttl(KEY)
            value, life_ms = pipe.execute()
        if value is None:
            return _Known("", 0.0)
        until = now + min(life_ms / 1000, 2 * self._every)
        return _Known(Held.read(value.decode()).epoch, until)


@dataclass(frozen=True, slots=True)
class _Known:
    epoch: str
    until: float
