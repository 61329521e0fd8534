"""Webhooks of our own by the real processes: a worker that is killed, and a Redis that is wiped."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
from redis import Redis

from models.settings.settings import Settings
from tests.doors import Rollcall, on_sqlite, wait_for
from tests.hooked import SIGNING_SECRET, Receiver
from tests.processes import environment, running
from tests.test_deliveries import a_class, kept, make_due, to
from tests.test_worker_process import stop, workers_alive
from webhooks.outgoing import finding
from worker.inbox import bell, own_job

pytestmark = on_sqlite


@pytest.fixture
def settings(settings: Settings, receiver: Receiver) -> Settings:
    return to(settings, receiver.url())


@pytest.fixture
def env(settings: Settings, receiver: Receiver, tmp_path: Path) -> dict[str, str]:
    hooks = {"ATTENDANCE_WEBHOOK_SECRET": SIGNING_SECRET, "ATTENDANCE_WEBHOOK_URL": receiver.url()}
    return environment(settings, tmp_path, LOG_LEVEL="warning", **hooks)


def ring(settings: Settings) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        bell.enqueue(redis, own_job.SEND)


def test_the_scheduler_and_a_worker_tell_what_is_final_and_stop_cleanly(
    rollcall: Rollcall, settings: Settings, receiver: Receiver, env: dict[str, str]
) -> None:
    a_class(rollcall)
    with running("worker", env) as pool, running("worker.schedule", env):
        wait_for(lambda: len(receiver.received) == 1)
        wait_for(lambda: [row["status"] for row in kept(rollcall.backend)] == ["sent"])
        wait_for(lambda: workers_alive(settings.redis_url) == 1)
        assert len(psutil.Process(pool.pid).children()) == 2, "one drains, one sends"
        assert stop(pool) == 0


def test_redis_wiped_loses_no_delivery(
    rollcall: Rollcall, settings: Settings, receiver: Receiver, env: dict[str, str]
) -> None:
    a_class(rollcall)
    receiver.answers = [(500, {})]
    with running("worker", env), running("worker.schedule", env):
        wait_for(lambda: [row["error"] for row in kept(rollcall.backend)] == ["HTTP 500"])
        with Redis.from_url(settings.redis_url) as redis:
            redis.flushall()
        wait_for(lambda: [row["status"] for row in kept(rollcall.backend)] == ["sent"])
    assert len({got.delivery_id for got in receiver.received}) == 1


def test_a_worker_that_is_killed_while_a_receiver_answers_sends_it_again_under_the_same_id(
    rollcall: Rollcall, settings: Settings, receiver: Receiver, env: dict[str, str]
) -> None:
    a_class(rollcall)
    finding.look_around(rollcall.backend)
    receiver.going.clear()
    with running("worker", env) as pool:
        ring(settings)
        wait_for(lambda: len(receiver.received) == 1)
        for process in [psutil.Process(pool.pid), *psutil.Process(pool.pid).children()]:
            process.send_signal(signal.SIGKILL)
        pool.wait()
    receiver.going.set()
    [row] = kept(rollcall.backend)
    assert (row["status"], row["attempts"]) == ("pending", 1)
    make_due(rollcall.backend)  # the minute for which it was taken is over
    with running("worker", env):
        ring(settings)
        wait_for(lambda: [row["status"] for row in kept(rollcall.backend)] == ["sent"])
    first, second = receiver.received
    assert first == second


def test_a_sender_that_was_killed_is_replaced(
    rollcall: Rollcall, settings: Settings, receiver: Receiver, env: dict[str, str]
) -> None:
    """And the others go on: whoever is started anew takes its place."""
    a_class(rollcall)
    finding.look_around(rollcall.backend)
    receiver.going.clear()
    with running("worker", env) as pool:
        wait_for(lambda: workers_alive(settings.redis_url) == 1)
        ring(settings)
        wait_for(lambda: len(receiver.received) == 1)
        sender = min(psutil.Process(pool.pid).children(), key=lambda each: each.pid)
        sender.kill()
        receiver.going.set()
        make_due(rollcall.backend)
        ring(settings)
        wait_for(lambda: [row["status"] for row in kept(rollcall.backend)] == ["sent"])
        assert len(psutil.Process(pool.pid).children()) == 2
