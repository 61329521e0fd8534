"""The bell: nobody's mail is forgotten, whenever it comes, and few rings are enough."""

from __future__ import annotations

import pytest
from redis import Redis

from models.settings.settings import Settings
from tests.build import joined
from tests.doors import (
    AfterEachBatch,
    Rollcall,
    aside,
    on_sqlite,
    pausing,
    serving,
    wait_for,
    working,
)
from tests.faults import free_port
from worker import jobs
from worker.inbox import bell
from worker.jobs import draining

TAKE = "FROM pending_events ORDER BY"


def jobs_waiting(rollcall: Rollcall) -> int:
    return bell.queue(rollcall.backend.redis).count


def lose_the_queue(redis: Redis) -> None:
    redis.delete(bell.queue(redis).key)


def cycles(rollcall: Rollcall) -> list[str]:
    return [row["cycle_id"] for row in rollcall.facts()["cycles"]]


# --- rings ----------------------------------------------------------------------------------------


def test_many_rings_make_one_job_until_the_bell_is_answered(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        assert [bell.ring(redis) for _ in range(3)] == [True, False, False]
        assert bell.queue(redis).count == 1
        bell.answer(redis)
        assert [bell.ring(redis) for _ in range(3)] == [True, False, False]
        assert bell.queue(redis).count == 2


def test_a_ring_whose_job_was_lost_is_not_heard_for_seconds_only(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        bell.ring(redis)
        lose_the_queue(redis)
        assert 0 < int(str(redis.pttl(bell.BELL))) <= bell.BELL_LIFE_MS
        redis.pexpire(bell.BELL, 1)
        wait_for(lambda: bell.ring(redis))
        assert bell.queue(redis).count == 1


# --- the worst moments ----------------------------------------------------------------------------


def test_an_event_stored_between_the_answer_and_the_snapshot_is_applied_and_rings(
    rollcall: Rollcall,
) -> None:
    rollcall.send(joined(sid="PA_1"))
    bell.answer(rollcall.backend.redis)  # what a drain does first
    rollcall.send(joined(sid="PA_2"))
    assert jobs_waiting(rollcall) == 2, "it rang anew"
    assert rollcall.drain() == 2
    assert cycles(rollcall) == ["PA_1", "PA_2"]


def test_an_event_stored_after_the_drains_snapshot_has_a_drain_of_its_own(
    rollcall: Rollcall, settings: Settings
) -> None:
    rollcall.send(joined(sid="PA_1"))
    lose_the_queue(rollcall.backend.redis)
    batches = AfterEachBatch(lambda: cycles(rollcall))
    with (
        serving(settings) as web,
        pausing(rollcall.backend.engine, after=TAKE) as pause,
        aside(lambda: draining.take_turn(rollcall.backend, batches)) as drained,
    ):
        pause.wait()
        with aside(lambda: web.send(joined(sid="PA_2"))) as sent:
            if rollcall.backend.engine.dialect.name == "postgresql":
                assert sent.result(20) == [204], "receiving waits for no drain"
            pause.over()
            assert sent.result(20) == [204]
        drained.result(20)
    assert batches.seen[0] == ["PA_1"]
    assert jobs_waiting(rollcall) == 1, "it rang anew"
    rollcall.drain()
    assert cycles(rollcall) == ["PA_1", "PA_2"]


# --- lost rings -----------------------------------------------------------------------------------


def test_the_sweep_rings_for_mail_whose_drain_was_lost(
    rollcall: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollcall.send(joined())
    rollcall.backend.redis.flushall()
    with working(settings, monkeypatch):
        jobs.sweep()
        assert jobs_waiting(rollcall) == 1
        jobs.sweep()
        assert jobs_waiting(rollcall) == 1, "sweeps do not pile up"
        jobs.drain()
        rollcall.backend.redis.flushall()
        jobs.sweep()
    assert cycles(rollcall) == ["PA_1"]
    assert jobs_waiting(rollcall) == 0, "nothing waits, nothing rings"


@on_sqlite
def test_a_drain_that_failed_rings_once_for_another_try(
    settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/rollcall"
    with (
        working(settings.model_copy(update={"database_url": away}), monkeypatch),
        Redis.from_url(redis_url) as redis,
    ):
        jobs.drain()
        assert bell.queue(redis).count == 1
        jobs.sweep()
        assert bell.queue(redis).count == 1
