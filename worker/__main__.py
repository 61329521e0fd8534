"""`python -m worker`: WORKERS RQ workers on the queue. SIGTERM lets each finish its batch."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from time import sleep
from typing import Any, NoReturn

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import SimpleWorker, worker_registration
from rq.exceptions import StopRequested
from rq.job import Job
from rq.worker_pool import WorkerPool

from models import logs
from models.settings import BadSettings, Settings, load
from worker import metrics_dir
from worker.bell import QUEUE

RETRY_SECONDS = 1
STOPS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


class Worker(SimpleWorker):
    """RQ's worker without a fork: the jobs are ours and short."""

    max_connection_wait_time = 2.0
    """Seconds between two tries to reach Redis; RQ's minute would leave mail waiting that long."""

    asked_to_stop = False

    def handle_warm_shutdown_request(self) -> None:
        from worker import jobs  # noqa: PLC0415  (see work)

        self.asked_to_stop = True
        jobs.stopping.set()
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # RQ's

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """RQ would log the error's message as well, in which a driver may quote a row."""
        log.error("job.failed", job=job.func_name, exc_info=exc_info)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's. A Redis that was wiped meanwhile has forgotten that this worker is at work."""
        super().heartbeat(timeout, pipeline)
        worker_registration.register(self, pipeline)

    def teardown(self) -> None:
        with suppress(RedisError):  # when Redis is away, there is nobody to take leave of
            super().teardown()  # type: ignore[no-untyped-call]  # RQ's


class Pool(WorkerPool):
    """RQ's pool, which starts anew who ends unasked, of workers that outlive Redis."""

    settings: Settings

    def start(self, *args: Any, **options: Any) -> None:
        with _held():  # asked to stop while it starts, it would leave its workers behind
            super().start(*args, **options)

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]  # RQ's
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def start_worker(self, *args: Any, **options: Any) -> None:
        with _held():  # a fork has its parent's way to stop until it has its own
            super().start_worker(*args, **options)

    def get_worker_process(self, name: str, *_: Any, **__: Any) -> Any:
        return get_context("fork").Process(target=work_alone, args=(self.settings,), name=name)


def main() -> None:
    try:
        settings = load()
    except BadSettings as error:
        sys.exit(str(error))
    metrics_dir.prepare()
    logs.configure(settings)
    work(settings)


def work(settings: Settings) -> None:
    """Run until stopped."""
    # Or RQ would import it when the first mail waits, which takes half a second.
    from worker import jobs  # noqa: F401, PLC0415  (its counters open files: see metrics_dir)

    if settings.workers == 1:
        work_alone(settings)
        return
    redis = Redis.from_url(settings.redis_url)
    pool = Pool([QUEUE], connection=redis, num_workers=settings.workers)
    pool.settings = settings
    pool.start(logging_level="WARNING")


def work_alone(settings: Settings) -> None:
    """One worker, until it is asked to stop; while Redis is away, keep asking for it."""
    with suppress(StopRequested, SystemExit):
        _stop_when_asked()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        while not _worked(settings):
            _stop_when_asked()  # the lost worker's own way to stop is gone with it
            sleep(RETRY_SECONDS)


def _worked(settings: Settings) -> bool:
    """Work until asked to stop; False when Redis was lost."""
    try:
        worker = Worker([QUEUE], connection=Redis.from_url(settings.redis_url))
        worker.work(logging_level="WARNING")
    except RedisError as error:
        log.warning("worker.lost_redis", error=type(error).__name__)
        return False
    return worker.asked_to_stop


def _stop_when_asked() -> None:
    for asked in STOPS:
        signal.signal(asked, _stop)


@contextmanager
def _held() -> Iterator[None]:
    """Hear that one is asked to stop only afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(*_: object) -> NoReturn:
    """Not an Exception: while the worker starts, libraries suppress those."""
    raise SystemExit


if __name__ == "__main__":
    main()
