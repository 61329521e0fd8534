"""`python -m worker`: WORKERS RQ workers on the queue, and with ATTENDANCE_WEBHOOK_URL one more on
the queues of our own webhooks. SIGTERM lets each finish its batch."""

from __future__ import annotations

import os
import signal
from contextlib import closing, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from time import sleep
from typing import Any

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import SimpleWorker, worker_registration
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import DequeueStrategy, WorkerStatus
from rq.worker_pool import WorkerPool

from models.settings.settings import Settings, load_or_exit
from models.storage import reasons
from worker.inbox.bell import DELIVERIES, FINDING, QUEUE
from worker.inbox.own_job import OwnJob
from worker.process import logs, memory, metrics_dir, redis_client, shutdown
from worker.process.parents import end_with

RETRY_SECONDS = 1

OUTGOING = (FINDING, DELIVERIES)
"""The queues of our own webhooks."""

log = structlog.get_logger()


class Worker(SimpleWorker):
    """RQ's worker without a fork: the jobs are ours and short. It serves its queues by turns, a job
    of each: a long queue delays no other."""

    max_connection_wait_time = 2.0
    """Seconds between two tries to reach Redis; RQ's minute would leave mail waiting that long."""

    @property
    def dequeue_timeout(self) -> int:
        """Seconds for which a worker without mail hears nothing; RQ has minutes."""
        return 5

    def work(self, *args: Any, **options: Any) -> bool:
        by_turns = {"dequeue_strategy": DequeueStrategy.ROUND_ROBIN}
        return super().work(*args, **by_turns | options)

    def handle_warm_shutdown_request(self) -> None:
        shutdown.requested.set()
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # RQ's

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """RQ would log the error's message as well, in which a driver may quote a row."""
        log.error("job.failed", job=job.func_name, exc_info=exc_info)

    def handle_job_failure(self, *args: Any, exc_string: str = "", **options: Any) -> None:
        """RQ would keep the message in Redis, for a day, too."""
        super().handle_job_failure(*args, **options)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's. A Redis that was wiped meanwhile has forgotten that this worker is at work."""
        if shutdown.requested.is_set() and self.get_state() != WorkerStatus.BUSY:
            raise StopRequested  # as RQ did at once, where it may have been suppressed
        super().heartbeat(timeout, pipeline)
        worker_registration.register(self, pipeline)

    def subscribe(self) -> None:
        """RQ's workers take commands by Redis. Ours take signals alone: a subscription is a thread
        and a connection, which RQ leaves behind when Redis is away at a worker's end."""

    def teardown(self) -> None:
        with suppress(RedisError):  # when Redis is away, there is nobody to take leave of
            super().teardown()  # type: ignore[no-untyped-call]  # RQ's


class Pool(WorkerPool):
    """RQ's pool, which starts anew who ends unasked, of workers that outlive Redis.

    One of them sends our webhooks, where there are receivers: the first, and whoever replaces it.
    """

    settings: Settings
    _sender: BaseProcess | None = None

    def start(self, *args: Any, **options: Any) -> None:
        with shutdown.held():  # asked while it starts, it would leave its workers behind
            super().start(*args, **options)

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]  # RQ's
        signal.pthread_sigmask(signal.SIG_UNBLOCK, shutdown.SIGNALS)

    def check_workers(self, *args: Any, **options: Any) -> None:
        # Asked while it replaces a worker, it would not tell the new one; and a fork has its
        # parent's way to stop until it has its own.
        with shutdown.held():
            super().check_workers(*args, **options)

    def get_worker_process(self, name: str, *_: Any, **__: Any) -> Any:
        lacks_sender = self._sender is None or not self._sender.is_alive()
        sends = bool(self.settings.attendance_webhook_url) and lacks_sender
        arguments = (os.getpid(), self.settings, *(OUTGOING if sends else (QUEUE,)))
        made = get_context("fork").Process(target=_work_as_child, args=arguments, name=name)
        if sends:
            self._sender = made
        return made


def main() -> None:
    memory.pause_collector()
    settings = load_or_exit()
    metrics_dir.prepare(settings)
    logs.configure(settings)
    with logs.announced("worker", settings):
        work(settings)


def work(settings: Settings) -> None:
    """Run until stopped."""
    # Or RQ would import it when the first mail waits, which takes half a second.
    from worker.jobs import draining  # noqa: F401, PLC0415  (its counters open files: see metrics_dir)

    memory.keep()
    processes = settings.workers + bool(settings.attendance_webhook_url)
    if processes == 1:
        work_alone(settings)
        return
    redis = redis_client.connect(settings.redis_url, Redis)
    pool = Pool([QUEUE], connection=redis, num_workers=processes)
    pool.settings = settings
    pool.start(logging_level="WARNING")


def _work_as_child(parent: int, settings: Settings, *queues: str) -> None:
    """In the pool's fork, which nobody would stop or replace without its parent."""
    end_with(parent)
    metrics_dir.prepare(settings)  # this may replace a worker that is gone
    work_alone(settings, *queues)


def work_alone(settings: Settings, *queues: str) -> None:
    """One worker on these queues (without any, on QUEUE), until asked to stop; while Redis is away,
    keep asking for it."""
    with suppress(StopRequested, SystemExit):
        shutdown.listen()
        while not _worked(settings, *queues):
            shutdown.listen()  # the lost worker's own way to stop is gone with it
            sleep(RETRY_SECONDS)


def _worked(settings: Settings, *queues: str) -> bool:
    """Work until asked to stop; False when Redis was lost."""
    try:
        worker = make_worker(settings, *queues)  # which asks Redis already
        with closing(worker.connection.connection_pool):
            worker.work(logging_level="WARNING")
    except RedisError as error:
        log.warning("worker.lost_redis", reason=reasons.of(error))
    return shutdown.requested.is_set()


def make_worker(settings: Settings, *queues: str) -> Worker:
    """A worker on these queues (without any, on QUEUE), which takes no job but ours."""
    redis = redis_client.connect(settings.redis_url, Redis)
    names = list(queues) or [QUEUE]
    return Worker(names, connection=redis, job_class=OwnJob, serializer=JSONSerializer)


if __name__ == "__main__":
    main()
