"""`python -m worker`: WORKERS RQ workers on the queue. SIGTERM lets each finish its batch."""

from __future__ import annotations

import sys

from redis import Redis
from rq import SimpleWorker
from rq.worker_pool import WorkerPool

from models import logs
from models.settings import BadSettings, Settings, load
from worker import metrics_dir
from worker.bell import QUEUE


class Worker(SimpleWorker):
    """RQ's worker without a fork: the jobs are ours and short."""

    max_connection_wait_time = 2.0
    """Seconds between two tries to reach Redis; RQ's minute would leave mail waiting that long."""


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
    redis = Redis.from_url(settings.redis_url)
    if settings.workers == 1:
        Worker([QUEUE], connection=redis).work(logging_level="WARNING")
    else:
        pool = WorkerPool(
            [QUEUE], connection=redis, num_workers=settings.workers, worker_class=Worker
        )
        pool.start(logging_level="WARNING")


if __name__ == "__main__":
    main()
