"""Jobs: whoever can write to Redis can have us drain, and can have no code of theirs run."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue, Retry
from rq.serializers import JSONSerializer
from rq.webhook import Webhook

from models.settings.settings import Settings
from tests.build import joined
from tests.doors import Rollcall, on_sqlite, working
from worker import schedule
from worker.__main__ import make_worker
from worker.inbox import bell, own_job
from worker.inbox.own_job import OURS, OwnJob
from worker.jobs import draining

pytestmark = on_sqlite


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    with Redis.from_url(settings.redis_url) as client:
        yield client


@pytest.fixture
def work(
    rollcall: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], bool]]:
    """Has a worker do what is in the queue, until that is empty."""
    with working(settings, monkeypatch):
        worker = make_worker(settings)
        yield lambda: worker.work(burst=True, logging_level="ERROR")
        worker.connection.close()


class Harm:
    """Whoever unpickles it makes a file of that name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def statuses(rollcall: Rollcall) -> list[str]:
    return [row["status"] for row in rollcall.ledger()]


def test_what_we_enqueue_is_json(redis: Redis, settings: Settings) -> None:
    bell.ring(redis)
    made = schedule.scheduler(settings)
    made.enqueue_jobs()
    made.connection.close()
    jobs = bell.queue(redis).get_jobs()
    assert len(jobs) == 2
    stored = [json.loads(zlib.decompress(redis.hget(job.key, "data"))) for job in jobs]  # type: ignore[arg-type]
    assert [name for name, *_ in stored] == ["worker.jobs.drain", "worker.jobs.sweep"]
    assert {str(more) for _, *more in stored} == {"[None, [], {}]"}


def test_each_of_our_names_is_a_function(redis: Redis) -> None:
    for name in OURS:
        bell.enqueue(redis, name)
    queues = [
        Queue(name, connection=redis, job_class=OwnJob, serializer=JSONSerializer)
        for name in (bell.QUEUE, bell.FINDING, bell.DELIVERIES)
    ]
    jobs = [job for queue in queues for job in queue.get_jobs()]
    assert {job.func_name for job in jobs if callable(job.func)} == OURS
    names = [[job.func_name for job in queue.get_jobs()] for queue in queues[1:]]
    assert names == [[own_job.FIND], [own_job.SEND]]


def test_a_job_that_an_earlier_version_pickled_is_not_lost_and_stops_nobody(
    rollcall: Rollcall, redis: Redis, work: Callable[[], bool]
) -> None:
    rollcall.put_in([joined()])
    Queue(bell.QUEUE, connection=redis).enqueue("worker.jobs.drain", result_ttl=0)
    assert work()
    assert statuses(rollcall) == ["applied"]
    assert bell.queue(redis).count == 0


def test_nothing_is_unpickled(
    rollcall: Rollcall, redis: Redis, work: Callable[[], bool], tmp_path: Path
) -> None:
    here = tmp_path / "here"
    Queue(bell.QUEUE, connection=redis).enqueue("os.getpid", Harm(here), meta={"m": Harm(here)})
    [job] = bell.queue(redis).get_jobs()
    redis.hset(job.key, "result", pickle.dumps(Harm(here)))
    rollcall.put_in([joined()])
    work()
    assert not here.exists()
    assert statuses(rollcall) == ["applied"]


def test_a_job_that_names_somebody_elses_function_only_drains(
    rollcall: Rollcall, redis: Redis, work: Callable[[], bool], tmp_path: Path
) -> None:
    here = tmp_path / "here"
    bell.queue(redis).enqueue("os.mkdir", str(here), result_ttl=0, retry=Retry(max=1))
    rollcall.put_in([joined()])
    work()
    assert not here.exists()
    assert statuses(rollcall) == ["applied"]


called: list[object] = []


def called_back(*arguments: object) -> None:
    called.append(arguments)


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and the paths that somebody asked it for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", paths
        server.shutdown()


def test_a_jobs_callbacks_are_not_called_and_nothing_is_sent_to_its_addresses(
    rollcall: Rollcall, redis: Redis, work: Callable[[], bool]
) -> None:
    with listening() as (address, paths):
        bell.queue(redis).enqueue(
            own_job.DRAIN,
            on_success=Callback(called_back),
            on_failure=Callback(called_back),
            webhooks=[Webhook(address, "finished"), Webhook(address, "failed")],
        )
        assert work()
    assert (called, paths) == ([], [])


def test_why_a_job_failed_is_not_kept_in_redis(
    rollcall: Rollcall, redis: Redis, work: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a row of Maryam's")

    monkeypatch.setattr(draining, "take_turn", fail)
    bell.ring(redis)
    work()
    failed = bell.queue(redis).failed_job_registry
    [job] = [OwnJob.fetch(job_id, redis, JSONSerializer) for job_id in failed.get_job_ids()]
    result = job.latest_result()
    assert result is not None
    assert result.exc_string == ""


@pytest.mark.parametrize("field", ["timeout", "created_at", "status"])
def test_a_job_that_is_not_even_one_is_passed_over(
    rollcall: Rollcall, redis: Redis, work: Callable[[], bool], field: str
) -> None:
    job = bell.queue(redis).enqueue(own_job.DRAIN)
    redis.hset(job.key, field, "no such value")
    bell.ring(redis)
    rollcall.put_in([joined()])
    assert work()
    assert statuses(rollcall) == ["applied"]
