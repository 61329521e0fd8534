"""What a deployment weighs: memory, start, idle work, bytes an event, bytes on the disk.

With BASE=REV in the environment, beside the build at that revision, in turns in one run. EVENTS is
how many events the processes carry before they are weighed again.
"""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from redis import Redis

from tests import servers
from tests.bench import footprint
from tests.bench.checkout import Checkout, checkouts
from tests.bench.load import BenchFailed, drive
from tests.bench.mail import Classes, webhook
from tests.bench.process import procfile, running, until
from tests.bench.turns import Figure, Goal
from tests.faults import free_port
from worker.inbox import workers

EVENTS = int(os.environ.get("EVENTS", "100000"))
RUN_SHARE = 5
"""Of the events, one in so many goes through `make run`, on SQLite."""

CHUNK = 2_000
"""Each is applied before the next comes: rows that were replaced leave their place to new ones."""

ROOMS, PEOPLE = 200, 50

STARTS = 3
SETTLE_SECONDS = 7
"""After a start: a sweep and a sign of each worker are past, and their code is loaded."""

IDLE_SECONDS = 20
EVERY_SECONDS = 0.005
PATIENCE_SECONDS = 120

LINES = ("web", "worker", "scheduler")
PENDING = b"rollcall_events_pending 0.0\n"

THREE, RUN = "web, worker and scheduler", "make run, with its Valkey"
ACKNOWLEDGED = "web, from its start to the first acknowledged webhook"
GOALS = {f"PSS idle: {THREE}": 0.5, f"PSS idle: {RUN}": 0.45, ACKNOWLEDGED: 0.5}
"""What is to be reached, of the build that ours is compared with."""


def weight(*, rounds: int) -> list[Figure]:
    """Starts take turns; what takes minutes is one turn each."""
    with ExitStack() as resources:
        compared = resources.enter_context(checkouts())
        builds = [resources.enter_context(_build(each)) for each in compared]
        for turn in range(min(rounds, STARTS) + 1):
            for build in builds:
                _start_each(build)
                if turn == 0:  # it compiled the tree's own files
                    build.turns.clear()
        for build in builds:
            mib = build.checkout.installed_bytes / footprint.MEBIBYTE
            build.add("a production .venv", "MiB on disk", mib)
            _weigh_processes(build)
        for build in builds:
            _weigh_run(build)
    return [_figure(title, builds) for title in builds[0].turns]


@dataclass(frozen=True, slots=True)
class _Build:
    """A checkout on a database and a Valkey of its own, and what was measured of it.

    `turns` are by title and unit.
    """

    checkout: Checkout
    database_url: str
    redis: Redis
    environment: dict[str, str]
    turns: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    classes: Classes = field(
        default_factory=lambda: Classes(rooms=ROOMS, people=PEOPLE, prefix="class")
    )

    @property
    def name(self) -> str:
        return self.checkout.name

    def add(self, title: str, unit: str, value: float) -> None:
        self.turns[title, unit].append(value)

    @contextmanager
    def running(self, command: list[str], **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        root, venv = self.checkout.root, self.checkout.venv
        environment = self.environment | settings
        with running(command, environment, name="weight", root=root, venv=venv) as process:
            yield process

    @contextmanager
    def started(self, line: str, port: int) -> Iterator[int]:
        """A process of the Procfile, once it does its work; its id."""
        began = perf_counter()
        with self.running(procfile(line, self.checkout.root), PORT=str(port)) as process:
            until(lambda: self._works(line, port), process, "weight", every=EVERY_SECONDS)
            self.add(_start(line), "s", perf_counter() - began)
            taken = footprint.cpu_seconds(process.pid)
            self.add(f"{_start(line)}: processor time", "s", taken)
            yield process.pid

    def _works(self, line: str, port: int) -> bool:
        if line == "web":
            return self.acknowledges(port)
        if line == "worker":
            return self.redis.scard("rq:workers") == 1
        return workers.schedulers(self.redis) == 1

    def acknowledges(self, port: int) -> bool:
        """Whether a web process on that port takes a webhook."""
        [event] = self.classes.next(1)
        try:
            return drive(port, [iter([webhook(event.body())])], seconds=1).only(204).answered == 1
        except OSError:
            return False


def _start(line: str) -> str:
    return ACKNOWLEDGED if line == "web" else f"{line}, from its start until it listens"


@contextmanager
def _build(checkout: Checkout) -> Iterator[_Build]:
    with ExitStack() as resources:
        redis_url = resources.enter_context(servers.valkey())
        name = "".join(filter(str.isalnum, checkout.name))
        database_url = resources.enter_context(servers.postgres(f"weight_{name}"))
        redis = resources.enter_context(Redis.from_url(redis_url))
        metrics = resources.enter_context(TemporaryDirectory(prefix="bench-metrics-"))
        environment = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PROMETHEUS_MULTIPROC_DIR": metrics,
        }
        build = _Build(checkout, database_url, redis, environment)
        with build.running(procfile("release", checkout.root)) as release:
            release.wait(PATIENCE_SECONDS)
        yield build


def _start_each(build: _Build) -> None:
    for line in LINES:
        build.redis.flushdb()  # who was killed is known there still
        with build.started(line, free_port()):
            pass


def _weigh_processes(build: _Build) -> None:
    """The Procfile's three on PostgreSQL: idle, and after the events."""
    build.redis.flushdb()
    with ExitStack() as resources:
        port = free_port()
        pids = {line: resources.enter_context(build.started(line, port)) for line in LINES}
        _be_idle(build, THREE, list(pids.values()))
        _weigh_each(build, "idle", pids)
        _carry(build, port, EVENTS)
        _weigh_each(build, f"after {EVENTS:,} events", pids)
    tables, indexes = footprint.on_postgresql(build.database_url)
    build.add("an event on PostgreSQL, its table", "bytes", tables)
    build.add("an event on PostgreSQL, its indexes", "bytes", indexes)


def _weigh_each(build: _Build, when: str, pids: dict[str, int]) -> None:
    weighed = {line: sum(footprint.pss_mib(pid)) for line, pid in pids.items()}
    build.add(f"PSS {when}: {THREE}", "MiB", sum(weighed.values()))
    for line, mib in weighed.items():
        build.add(f"PSS {when}: {line}", "MiB", mib)


def _weigh_run(build: _Build) -> None:
    """`make run` on its SQLite: idle, and after a part of the events."""
    port, events = free_port(), EVENTS // RUN_SHARE
    with TemporaryDirectory(prefix="bench-run-") as folder:
        command = ["python", "-m", "webhooks.stack", "--data", folder]
        unset = dict.fromkeys(("DATABASE_URL", "REDIS_URL"), "")
        began = perf_counter()
        with build.running(command, PORT=str(port), **unset) as process:
            until(lambda: build.acknowledges(port), process, "weight", every=EVERY_SECONDS)
            title = "make run, from its start to the first acknowledged webhook"
            build.add(title, "s", perf_counter() - began)
            _be_idle(build, RUN, [process.pid])
            build.add(f"PSS idle: {RUN}", "MiB", sum(footprint.pss_mib(process.pid)))
            _carry(build, port, events)
            when = f"after {events:,} events"
            build.add(f"PSS {when}: {RUN}", "MiB", sum(footprint.pss_mib(process.pid)))
        tables, indexes = footprint.on_sqlite(Path(folder) / "rollcall.db")
    build.add("an event on SQLite, its table", "bytes", tables)
    build.add("an event on SQLite, its indexes", "bytes", indexes)


def _be_idle(build: _Build, what: str, pids: list[int]) -> None:
    sleep(SETTLE_SECONDS)
    before = sum(map(footprint.cpu_seconds, pids))
    sleep(IDLE_SECONDS)
    taken = sum(map(footprint.cpu_seconds, pids)) - before
    build.add(f"processor time of an idle minute: {what}", "s", taken * 60 / IDLE_SECONDS)


def _carry(build: _Build, port: int, events: int) -> None:
    """Post so many events, and see them applied as they come."""
    for _ in range(0, events, CHUNK):
        lanes = build.classes.lanes(min(CHUNK, events))
        drive(port, lanes, seconds=PATIENCE_SECONDS).only(204)
        _drained(port)
        footprint.vacuum(build.database_url)


def _drained(port: int) -> None:
    deadline = perf_counter() + PATIENCE_SECONDS
    while PENDING not in _metrics(port):
        if perf_counter() > deadline:
            raise BenchFailed(f"events were not applied within {PATIENCE_SECONDS} s")
        sleep(0.2)


def _metrics(port: int) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    answer = connection.getresponse().read()
    connection.close()
    return answer


def _figure(measured: tuple[str, str], builds: list[_Build]) -> Figure:
    title, unit = measured
    turns = {build.name: build.turns[measured] for build in builds}
    figure = Figure(title, unit, turns)
    for other in figure.others:
        if title in GOALS:
            bound = GOALS[title]
            goal = Goal(f"<= {bound:g} of {other}", figure.ratio(other), bound, most=True)
            figure.goals.append(goal)
    return figure
