"""Redis behind Sentinel: the primary dies under load, and its replica takes over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from threading import Event as Flag

import pytest
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisLate

from models.settings.settings import Settings
from tests.doors import Rollcall, ago, aside, on_sqlite, serving
from tests.faults import until
from tests.processes import environment, running
from tests.sentinels import Deployment, sentinels
from tests.test_not_taken import named
from worker.inbox import bell, spool, workers
from worker.process.quick_redis import QuickRedis


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with sentinels(tmp_path) as made:
        yield made


def sent_until(rollcall: Rollcall, stop: Flag) -> list[int]:
    """Webhooks, one after another; how each was answered."""
    answers: list[int] = []
    for number in count():
        answers += rollcall.send(named(number, at=ago()))
        if stop.is_set():
            return answers
    raise AssertionError


@contextmanager
def ending(stop: Flag) -> Iterator[None]:
    """However this ends, who looks at `stop` ends too."""
    try:
        yield
    finally:
        stop.set()


def alive(redis: QuickRedis) -> tuple[int, int]:
    """Workers and schedulers, as the primary knows them now."""
    try:
        return workers.alive(redis), workers.schedulers(redis)
    except RedisError:
        return 0, 0


@on_sqlite
def test_a_failover_under_load_loses_no_event_and_workers_go_on(
    settings: Settings, deployment: Deployment, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"redis_url": deployment.url})
    env = environment(settings, tmp_path, LOG_LEVEL="error")
    with ExitStack() as stack:
        for module in ("worker", "worker.schedule"):
            stack.enter_context(running(module, env))
        rollcall = stack.enter_context(serving(settings))
        redis, stop = rollcall.backend.redis, Flag()
        until(lambda: alive(redis) == (1, 1))
        with aside(lambda: sent_until(rollcall.another(), stop)) as sending, ending(stop):
            until(lambda: len(rollcall.ledger()) > 20)
            deployment.primary.kill()
            until(lambda: deployment.leader() == deployment.replica.port)
            until(lambda: alive(redis) == (1, 1))
        assert set(sending.result()) == {204}
        assert bell.ring(redis) or redis.exists(bell.BELL)
        until(lambda: {row["status"] for row in rollcall.ledger()} == {"applied"})
        assert len(rollcall.ledger()) == len(sending.result())
        assert spool.length(redis) == 0
        assert rollcall.client.get("/readyz").json["checks"]["redis"]["well"]  # type: ignore[index]


def test_nobody_stays_with_a_primary_that_was_demoted(deployment: Deployment) -> None:
    def written() -> bool:
        try:
            return bool(redis.set("written", "1"))
        except RedisError:
            return False

    with closing(QuickRedis.connect(deployment.url, timeout=0.25)) as redis:
        assert written()
        with deployment.primary.hung():
            until(lambda: deployment.leader() == deployment.replica.port)
        until(written)
        with closing(QuickRedis.connect(deployment.replica.url, timeout=5)) as leader:
            until(lambda: leader.get("written") == b"1")


def test_an_answer_that_came_too_late_is_nobody_elses(deployment: Deployment) -> None:
    """redis-py leaves such a connection open when Sentinel manages it."""
    with closing(QuickRedis.connect(deployment.url, timeout=0.25)) as redis:
        with pytest.raises(RedisLate):
            redis.blpop(["nothing"], timeout=1)
        until(lambda: not redis.breaker.is_open)
        assert redis.echo("mine") == b"mine"
