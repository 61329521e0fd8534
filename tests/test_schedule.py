"""The schedule: what is due is enqueued, whatever becomes of the clock, the queue and Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rq.cron
from redis import Redis
from redis.exceptions import RedisError
from rq import cron_scheduler_registry

from models.settings.settings import Settings
from tests.doors import on_sqlite
from tests.faults import Valkey
from worker import schedule
from worker.inbox import bell, own_job, workers
from worker.schedule import Scheduler

pytestmark = on_sqlite


class Clock:
    """The machine's clocks, for the schedule: somebody sets the one, and time passes on both."""

    def __init__(self) -> None:
        self.now, self.passed_seconds = datetime(2026, 5, 4, 12, tzinfo=UTC), 0.0

    def set_by(self, span: timedelta) -> None:
        self.now += span

    def wait(self, span: timedelta) -> None:
        self.now += span
        self.passed_seconds += span.total_seconds()

    def wait_until(self, hour: int, minute: int) -> None:
        here = self.now.astimezone()
        then = here.replace(hour=hour, minute=minute)
        self.wait((then if then > here else then + timedelta(days=1)) - here)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(rq.cron, "now", lambda: made.now)
    monkeypatch.setattr(schedule, "monotonic", lambda: made.passed_seconds, raising=False)

    class Now(datetime):
        @classmethod
        def now(cls, *_: object) -> datetime:  # type: ignore[override]
            return made.now

    monkeypatch.setattr(schedule, "datetime", Now)
    return made


@pytest.fixture
def scheduler(clock: Clock, settings: Settings) -> Iterator[Scheduler]:
    made = schedule.scheduler(settings)
    with closing(made.connection):
        yield made


def names(scheduler: Scheduler) -> list[str]:
    """What is due now, and is enqueued."""
    return [job.func_name for job in scheduler.enqueue_jobs()]


def test_a_clock_that_is_set_back_stops_no_sweep(scheduler: Scheduler, clock: Clock) -> None:
    assert names(scheduler) == [own_job.SWEEP]
    clock.set_by(timedelta(hours=-2))
    assert names(scheduler) == []
    clock.wait(timedelta(seconds=schedule.SWEEP_SECONDS))
    assert names(scheduler) == [own_job.SWEEP]


def test_between_two_of_its_signs_it_counts_as_alive(scheduler: Scheduler, clock: Clock) -> None:
    scheduler.enqueue_jobs()
    for set_by in (timedelta(), timedelta(hours=-2), timedelta(hours=4)):
        clock.set_by(set_by)
        assert 0 < scheduler.calculate_sleep_interval() < workers.SCHEDULER_SILENCE_SECONDS


def test_the_prune_goes_by_the_clock_though_it_was_a_year_ahead(
    clock: Clock, settings: Settings
) -> None:
    clock.set_by(timedelta(days=365))
    made = schedule.scheduler(settings)
    with closing(made.connection):
        clock.set_by(timedelta(days=-365))
        assert own_job.PRUNE not in names(made)
        clock.wait_until(3, 30)
        assert own_job.PRUNE in names(made)
        clock.wait(timedelta(hours=1))
        assert own_job.PRUNE not in names(made)


def test_a_prune_that_no_queue_had_room_for_is_enqueued_once_there_is(
    scheduler: Scheduler, clock: Clock
) -> None:
    for _ in range(schedule.MOST_WAITING):
        bell.enqueue(scheduler.connection, own_job.DRAIN)
    clock.wait_until(3, 30)
    assert names(scheduler) == []
    clock.wait(timedelta(hours=1))
    scheduler.connection.delete(bell.queue(scheduler.connection).key)
    assert names(scheduler) == [own_job.SWEEP, own_job.PRUNE]
    clock.wait(timedelta(seconds=schedule.SWEEP_SECONDS))
    assert names(scheduler) == [own_job.SWEEP]


def test_a_prune_that_was_due_while_redis_was_away_is_enqueued_when_it_is_back(
    clock: Clock, settings: Settings, tmp_path: Path
) -> None:
    valkey = Valkey(tmp_path / "valkey")
    made = schedule.scheduler(settings.model_copy(update={"redis_url": valkey.url}))
    with closing(made.connection):
        made.enqueue_jobs()
        valkey.stop()
        clock.wait_until(3, 30)
        with pytest.raises(RedisError):
            made.enqueue_jobs()
        clock.wait(timedelta(hours=1))
        valkey.start()
        assert own_job.PRUNE in names(made)
    valkey.stop()


def test_schedulers_that_were_killed_long_ago_are_removed_when_another_starts(
    settings: Settings,
) -> None:
    def signs(redis: Redis) -> list[str]:
        return cron_scheduler_registry.get_keys(redis)

    killed, lately, living = (schedule.scheduler(settings) for _ in range(3))
    with closing(killed.connection), closing(lately.connection), closing(living.connection):
        killed.register_birth()
        long_ago = datetime.now(UTC) - timedelta(minutes=5)
        killed.connection.zadd(
            cron_scheduler_registry.get_registry_key(), {killed.name: long_ago.timestamp()}
        )
        lately.register_birth()
        assert signs(living.connection) == [lately.name]
        living.register_birth()
        assert set(signs(living.connection)) == {lately.name, living.name}
