"""Redis: whether it can do its work, and what it has to tell of webhooks and workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from redis import Redis
from redis.exceptions import RedisError

from models.storage import reasons
from worker.health.check import Check, Values
from worker.health.sentences import SENTENCES
from worker.inbox import rejections, spool, workers
from worker.inbox.rejections import Refused
from worker.process import redis_state
from worker.process.redis_state import RedisState

NO_EVICTION = "noeviction"
MOST_NAMED = 5


def checks(redis: Redis, now: datetime, *, takes_events: bool) -> Iterator[Check]:
    """`takes_events`: whether the database does."""
    try:
        state = redis_state.examine(redis)
    except RedisError as error:
        yield Check("redis.down", {"reason": reasons.of(error)})
        return
    yield Check(f"redis.{state.hindrance or 'works'}", {"reason": state.reason})
    yield _eviction(state)
    with suppress(RedisError):  # a cluster answers no more than that
        yield from _kept(redis, now, takes_events=takes_events)


def _kept(redis: Redis, now: datetime, *, takes_events: bool) -> Iterator[Check]:
    """Raises RedisError."""
    yield _refused(rejections.refused(redis, now=now))
    yield _spool(redis, takes_events=takes_events)
    working, scheduling = workers.alive(redis), workers.schedulers(redis)
    yield Check("workers.alive" if working else "workers.none", {"count": working})
    yield Check("scheduler.alive" if scheduling else "scheduler.none", {"count": scheduling})


def _spool(redis: Redis, *, takes_events: bool) -> Check:
    """A spool is there to be used while the database is down: that is no finding of its own."""
    count = spool.length(redis)
    if not count:
        return Check("spool.empty")
    if not takes_events:
        return Check("spool.waits", {"count": count})
    if reason := spool.hindrance(redis):
        return Check("spool.hindered", {"count": count, "reason": reason})
    if entries := spool.unreadable(redis):
        return Check("spool.unreadable", {"count": len(entries), "entry": entries[0]})
    return Check("spool.left", {"count": count})


def _eviction(state: RedisState) -> Check:
    policy = state.eviction_policy
    if policy is None:
        return Check("eviction.hidden")
    return Check("eviction.never" if policy == NO_EVICTION else "eviction.some", {"policy": policy})


def _refused(refused: Refused) -> Check:
    """By reason and issuer, the most frequent first; a finding when there is something to do.

    Other reasons come from strangers and worry nobody.
    """
    hour, day = refused.last_hour, refused.last_day
    if not hour:
        return Check("refused.none", {"day": day.total()})
    most = hour.most_common()
    named = ", ".join(
        f"{number} {reason} of {issuer}" for (reason, issuer), number in most[:MOST_NAMED]
    )
    values: Values = {"hour": hour.total(), "day": day.total(), "named": named}
    for (reason, issuer), _ in most:
        if (finding := f"refused.{reason}") in SENTENCES:
            return Check(finding, {**values, "issuer": issuer})
    return Check("refused.strangers", values)
