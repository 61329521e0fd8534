"""The processes for real: they work together, outlive an absent Redis, and stop when asked."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError

from models.settings.settings import Settings
from models.storage import db
from tests.build import joined, left, signed, webhook
from tests.doors import Rollcall, ago, bearer, on_sqlite, token, wait_for
from tests.faults import Valkey, free_port
from tests.processes import environment, listens, running
from worker import __main__ as worker_process
from worker.inbox import bell, workers

pytestmark = on_sqlite

MODULES = ("webhooks", "worker", "worker.schedule")
LOSSES = 4
SOON_SECONDS = 30
"""Within which a platform expects a process to be gone; they need a fraction of one."""


ASKED_IN_VAIN = """
import os, signal, threading, time

def sleep_and_ask(seconds):
    if threading.current_thread() is threading.main_thread():
        time.sleep = sleep
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            pass
    sleep(seconds)

sleep, time.sleep = time.sleep, sleep_and_ask
"""
"""A sitecustomize.py: the process is asked to stop when RQ lets it sleep for the first time, where
what is raised then is suppressed. Logging does that while it formats a line, and a `__del__`."""


def workers_alive(url: str) -> int:
    with Redis.from_url(url) as redis:
        try:
            return workers.alive(redis)
        except RedisError:
            return 0


def schedulers(url: str) -> int:
    with Redis.from_url(url) as redis:
        try:
            return workers.schedulers(redis)
        except RedisError:
            return 0


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask it to stop; its exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(SOON_SECONDS)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey that the test may take away."""
    valkey = Valkey(tmp_path / "valkey")
    yield valkey
    valkey.stop()


# --- together -------------------------------------------------------------------------------------


def test_a_webhook_goes_all_the_way_and_each_process_stops_cleanly(
    settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    env = environment(settings, tmp_path, PORT=str(port), LOG_LEVEL="warning")
    with ExitStack() as stack:
        processes = {name: stack.enter_context(running(name, env)) for name in MODULES}
        wait_for(lambda: listens(port))
        livekit = stack.enter_context(closing(HTTPConnection("127.0.0.1", port, timeout=60)))
        for event in (joined(ago(3)), left(ago(1), joined_at=ago(3))):
            body, signature = signed(webhook(event))
            livekit.request("POST", "/webhooks/livekit", body, {"Authorization": signature})
            answer = livekit.getresponse()
            assert (answer.status, answer.read()) == (204, b"")

        def has_left() -> bool:
            path = "/api/sessions/quran-98/attendance-status"
            livekit.request("GET", path, headers=bearer(token()))
            status: str = json.loads(livekit.getresponse().read())["attendance_status"]
            return status == "left"

        wait_for(has_left)
        wait_for(lambda: schedulers(settings.redis_url) == 1)
        livekit.close()
        assert {name: stop(process) for name, process in processes.items()} == dict.fromkeys(
            MODULES, 0
        )
    assert (workers_alive(settings.redis_url), schedulers(settings.redis_url)) == (0, 0)


def test_mail_that_nobody_rang_for_is_swept_up(
    rollcall: Rollcall, settings: Settings, tmp_path: Path
) -> None:
    rollcall.put_in([joined()])
    env = environment(settings, tmp_path, LOG_LEVEL="warning")
    with running("worker", env), running("worker.schedule", env):
        wait_for(lambda: [row["status"] for row in rollcall.ledger()] == ["applied"])


def test_several_workers_work_and_stop_as_one(
    rollcall: Rollcall, settings: Settings, tmp_path: Path
) -> None:
    env = environment(settings, tmp_path, WORKERS="2", LOG_LEVEL="warning")
    with running("worker", env) as pool:
        wait_for(lambda: workers_alive(settings.redis_url) == 2)
        children = psutil.Process(pool.pid).children(recursive=True)
        assert len(children) == 2, "one process a worker"
        rollcall.send(joined())
        wait_for(lambda: [row["status"] for row in rollcall.ledger()] == ["applied"])
        assert stop(pool) == 0
        assert [child for child in children if child.is_running()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells that a parent has ended")
def test_workers_end_with_a_parent_that_was_killed(settings: Settings, tmp_path: Path) -> None:
    with running("worker", environment(settings, tmp_path, WORKERS="2")) as pool:
        wait_for(lambda: workers_alive(settings.redis_url) == 2)
        children = psutil.Process(pool.pid).children()
        pool.kill()
        _, alive = psutil.wait_procs(children, timeout=SOON_SECONDS)
        for child in alive:
            child.kill()
        assert alive == []
    assert workers_alive(settings.redis_url) == 0, "they took leave"


def test_a_worker_that_was_killed_is_replaced(settings: Settings, tmp_path: Path) -> None:
    env = environment(settings, tmp_path, WORKERS="2", LOG_LEVEL="error")
    with running("worker", env) as pool:
        wait_for(lambda: workers_alive(settings.redis_url) == 2)
        before = {child.pid for child in psutil.Process(pool.pid).children()}
        psutil.Process(min(before)).kill()

        def replaced() -> bool:
            now = {child.pid for child in psutil.Process(pool.pid).children()}
            return len(now) == 2 and now != before

        wait_for(replaced)
        assert stop(pool) == 0


@pytest.mark.skipif(not Path("/proc/self/wchan").exists(), reason="Linux tells what it waits for")
def test_a_worker_that_still_starts_hears_that_it_is_asked_to_stop(
    settings: Settings, tmp_path: Path
) -> None:
    """Also where a library suppresses every exception: redis-py asks for its own version, and
    importlib.metadata opens all of PYTHONPATH as zip files. A pipe makes it wait there.
    """
    pipe, times = tmp_path / "pipe", count()
    os.mkfifo(pipe)
    env = environment(settings, tmp_path, PYTHONPATH=str(pipe), LOG_LEVEL="error")
    with running("worker", env) as worker:
        process = Path(f"/proc/{worker.pid}")

        def waits_with_a_way_to_stop() -> bool:
            [caught] = re.findall(r"SigCgt:\t(\w+)", (process / "status").read_text())
            waits = (process / "wchan").read_text() == "wait_for_partner"
            if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
                return waits
            if waits:  # it imports redis-py, which asks as well, and asks anew what has changed
                os.utime(pipe, (0, next(times)))
                with suppress(OSError):
                    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            return False

        wait_for(waits_with_a_way_to_stop)
        assert stop(worker) == 0


def test_a_scheduler_hears_that_it_is_asked_to_stop_where_exceptions_are_suppressed(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(ASKED_IN_VAIN)
    env = environment(settings, tmp_path, PYTHONPATH=str(tmp_path), LOG_LEVEL="error")
    with running("worker.schedule", env) as scheduler:
        assert scheduler.wait(SOON_SECONDS) == 0


# --- without Redis --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", ["1", "2"])
def test_workers_come_back_to_a_redis_that_was_away(
    rollcall: Rollcall, settings: Settings, own_valkey: Valkey, tmp_path: Path, count: str
) -> None:
    here = settings.model_copy(update={"redis_url": own_valkey.url})
    own_valkey.stop()
    env = environment(here, tmp_path, WORKERS=count, LOG_LEVEL="error")
    rollcall.put_in([joined()])
    log = tmp_path / "log"
    with (
        running("worker", env, log=log) as worker,
        running("worker.schedule", env, log=log) as scheduler,
    ):
        own_valkey.start()
        wait_for(lambda: [row["status"] for row in rollcall.ledger()] == ["applied"])
        own_valkey.stop()
        own_valkey.start()
        rollcall.put_in([left()])
        wait_for(lambda: {row["status"] for row in rollcall.ledger()} == {"applied"})
        own_valkey.stop()
        assert [stop(worker), stop(scheduler)] == [0, 0], "asked while Redis is away"
    assert "Traceback" not in log.read_text()


def test_a_worker_that_is_made_while_redis_is_away_is_made_again(settings: Settings) -> None:
    """As in a failover, right after the worker before it was lost."""
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    assert not worker_process._worked(away)


def test_a_worker_hears_that_it_is_asked_to_stop_where_exceptions_are_suppressed(
    settings: Settings, own_valkey: Valkey, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(ASKED_IN_VAIN)
    here = settings.model_copy(update={"redis_url": own_valkey.url})
    env = environment(here, tmp_path, PYTHONPATH=str(tmp_path), LOG_LEVEL="error")
    with running("worker", env, log=tmp_path / "log") as worker:
        wait_for(lambda: workers_alive(own_valkey.url) == 1)
        own_valkey.stop()
        assert worker.wait(SOON_SECONDS) == 0


def test_a_worker_that_loses_redis_in_a_job_keeps_nothing_of_what_it_had(
    rollcall: Rollcall, settings: Settings, own_valkey: Valkey, tmp_path: Path
) -> None:
    """Neither a thread nor a connection: some come and go, but not one more with each loss."""
    here = settings.model_copy(update={"redis_url": own_valkey.url})
    env = environment(here, tmp_path, LOG_LEVEL="error")
    with running("worker", env) as worker, Redis.from_url(own_valkey.url) as redis:
        process, held = psutil.Process(worker.pid), []

        def holds() -> tuple[int, int]:
            return process.num_threads(), len(process.net_connections("all"))

        for number in range(LOSSES + 1):
            wait_for(lambda: workers_alive(own_valkey.url) == 1)
            held.append(holds())
            rollcall.put_in([joined(sid=f"PA_{number}")])
            with db.writing(rollcall.backend.engine):  # the drain waits for it
                bell.ring(redis)
                wait_for(lambda: bell.queue(redis).started_job_registry.count == 1)
                own_valkey.stop()
            wait_for(lambda: {row["status"] for row in rollcall.ledger()} == {"applied"})
            own_valkey.start()
        wait_for(lambda: workers_alive(own_valkey.url) == 1)
        threads, connections = held[1]  # since its first job it has what jobs need
        wait_for(lambda: holds()[0] < threads + LOSSES and holds()[1] < connections + LOSSES)


# --- a bad environment ----------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_a_bad_environment_stops_the_start_with_a_sentence(
    settings: Settings, tmp_path: Path, module: str
) -> None:
    env = environment(settings, tmp_path, WORKERS="many", LIVEKIT_API_SECRET="")
    command = [sys.executable, "-m", module]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert [line.partition(":")[0] for line in ended.stderr.splitlines()] == [
        "LIVEKIT_API_SECRET",
        "WORKERS",
    ]
    assert ended.stdout == ""
