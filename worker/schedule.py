"""`python -m worker.schedule`: RQ's cron. It has the inbox swept every few seconds and the ledger
pruned every night; and, where ATTENDANCE_WEBHOOK_URL is set, what is final found and sent.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from time import monotonic, sleep

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import cron_scheduler_registry
from rq.cron import CronJob, CronScheduler
from rq.exceptions import StopRequested

from models.settings.settings import Settings, load_or_exit
from models.storage import reasons
from worker.inbox import bell, own_job
from worker.process import logs, memory, metrics_dir, redis_client, shutdown

SWEEP_SECONDS = 5
PRUNE_AT = "30 3 * * *"
"""Half past three at night, by the machine's clock."""

FIND_SECONDS = 60
SEND_SECONDS = 5

MOST_WAITING = 10
"""Jobs that may wait in a queue before no more are added: without a worker nothing piles up."""

RETRY_SECONDS = 1

log = structlog.get_logger()


class TimedJob(CronJob):
    """RQ's. Its interval goes by the time that passed, its crontab by the clock as it is now: a
    clock that is set back delays neither."""

    _enqueued_at: float | None = None
    """By the monotonic clock."""

    def should_run(self) -> bool:
        if self.interval:
            passed = monotonic() - self._enqueued_at if self._enqueued_at is not None else None
            return passed is None or passed >= self.interval
        from_now = CronJob(self.queue_name, func_name=self.func_name, cron=self.cron)
        times = (self.next_enqueue_time, from_now.next_enqueue_time)
        self.next_enqueue_time = min(time for time in times if time)
        return super().should_run()

    def set_enqueue_time(self, time: datetime) -> None:
        super().set_enqueue_time(time)
        self._enqueued_at = monotonic()


class Scheduler(CronScheduler):
    """RQ's scheduler, which enqueues as the bell does, and holds back while nobody works on it."""

    def _install_signal_handlers(self) -> None:
        """RQ's raise an Exception, which a library may suppress, and leave nothing to look at."""

    def enqueue_jobs(self) -> list[CronJob]:
        if shutdown.requested.is_set():
            raise StopRequested
        return [job for job in self.get_jobs() if job.should_run() and self._enqueue(job)]

    def calculate_sleep_interval(self) -> float:
        """Seconds to the next look, whatever the clock says: each look leaves a sign."""
        return SWEEP_SECONDS

    def schedule(self, job: str, *, every: int | None = None, cron: str | None = None) -> None:
        """Have a job of ours (`own_job`) run every so many seconds, or at the times of a crontab.

        RQ's `register` wants the function itself, and with it all that a worker loads: 24 MiB.
        """
        queue = bell.queue_of(job)
        self._cron_jobs.append(TimedJob(queue, func_name=job, interval=every, cron=cron))

    def register_birth(self) -> None:
        super().register_birth()
        cron_scheduler_registry.cleanup(self.connection)  # nobody else removes who was killed

    def register_death(self, pipeline: Pipeline | None = None) -> None:
        # Raised here, Redis's absence would hide that somebody asked us to stop.
        with suppress(RedisError):
            super().register_death(pipeline)

    def _enqueue(self, job: CronJob) -> bool:
        """Whether it could be. If not, an interval begins anew; what a crontab says stays due."""
        full = self._is_full(job.queue_name)
        if not full:
            has_own_queue = job.name in bell.QUEUES
            (bell.enqueue_once if has_own_queue else bell.enqueue)(self.connection, job.name)
        if job.interval or not full:
            job.set_enqueue_time(datetime.now(UTC))
        return not full

    def _is_full(self, queue: str) -> bool:
        """Whether so much waits there that nobody seems to work on it."""
        if bell.queue(self.connection, queue).count < MOST_WAITING:
            return False
        log.warning("schedule.waiting", reason="the queue is not being worked on", queue=queue)
        return True


def main() -> None:
    settings = load_or_exit(database=False)
    if settings.livekit_url:  # the reconciler connects to it
        settings = load_or_exit()
    metrics_dir.prepare(settings)
    logs.configure(settings)
    memory.keep()
    with logs.announced("scheduler", settings), _reconciling(settings):
        run(settings)


def _reconciling(settings: Settings) -> AbstractContextManager[None]:
    """The reconciler beside the scheduler, where there is a LIVEKIT_URL to ask: LiveKit's client,
    protobuf and aiohttp are 12 MiB."""
    if not settings.livekit_url:
        return nullcontext()
    from worker.reconcile import reconcile  # noqa: PLC0415

    return reconcile.running(settings)


def run(settings: Settings) -> None:
    """Schedule until stopped; while Redis is away, keep asking for it."""
    with suppress(SystemExit):
        shutdown.listen()
        made = scheduler(settings)
        while not _scheduled(made):
            sleep(RETRY_SECONDS)


def _scheduled(made: Scheduler) -> bool:
    """Schedule until stopped; False when Redis was lost. What was due then stays so."""
    try:
        made.start()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
    except RedisError as error:
        log.warning("schedule.lost_redis", reason=reasons.of(error))
    return shutdown.requested.is_set()


def scheduler(settings: Settings) -> Scheduler:
    made = Scheduler(
        connection=redis_client.connect(settings.redis_url, Redis), logging_level="WARNING"
    )
    made.schedule(own_job.SWEEP, every=SWEEP_SECONDS)
    made.schedule(own_job.PRUNE, cron=PRUNE_AT)
    if settings.attendance_webhook_url:
        made.schedule(own_job.FIND, every=FIND_SECONDS)
        made.schedule(own_job.SEND, every=SEND_SECONDS)
    return made


if __name__ == "__main__":
    main()
