"""What a deployment weighs: memory, start, idle work, bytes an event, bytes on the disk.

With BASE=REV in the environment, beside the build at that revision, in turns in one run. EVENTS is
how many events the processes carry before they are weighed again.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from tests.bench import footprint
from tests.bench.checkout import checkouts
from tests.bench.deployed import PATIENCE_SECONDS, Deployed, deployed, until_applied
from tests.bench.load import drive
from tests.bench.mail import Classes, webhook
from tests.bench.process import until
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

LINES = ("web", "worker", "scheduler")

THREE, RUN = "web, worker and scheduler", "make run, with its Valkey"
ACKNOWLEDGED = "web, from its start to the first acknowledged webhook"
GOALS = {f"PSS idle: {THREE}": 0.5, f"PSS idle: {RUN}": 0.45, ACKNOWLEDGED: 0.5}
"""What is to be reached, of the build that ours is compared with."""


def weight(*, rounds: int) -> list[Figure]:
    """Starts take turns; what takes minutes is one turn each."""
    with ExitStack() as resources:
        compared = resources.enter_context(checkouts())
        made = [resources.enter_context(deployed(each, prefix="weight")) for each in compared]
        builds = [
            _Build(each.checkout, each.database_url, each.redis, each.environment) for each in made
        ]
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
class _Build(Deployed):
    """A checkout at work, and what was measured of it: `turns` by title and unit."""

    turns: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    classes: Classes = field(
        default_factory=lambda: Classes(rooms=ROOMS, people=PEOPLE, prefix="class")
    )

    def add(self, title: str, unit: str, value: float) -> None:
        self.turns[title, unit].append(value)

    @contextmanager
    def started(self, line: str, port: int) -> Iterator[int]:
        """A process of the Procfile, once it does its work; its id."""
        began = perf_counter()
        with self.running(self.command(line), PORT=str(port)) as process:
            until(lambda: self._works(line, port), process, "deployed", every=EVERY_SECONDS)
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
            until(lambda: build.acknowledges(port), process, "deployed", every=EVERY_SECONDS)
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
        until_applied(port)
        footprint.vacuum(build.database_url)


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
