"""What is waited for, beside an earlier build: with BASE=REV in the environment, in turns in one
run. Without BASE, this tree's figures alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from statistics import median
from time import perf_counter, sleep

import psutil
from redis import Redis

from tests import servers
from tests.bench.checkout import Checkout, checkouts
from tests.bench.load import BenchFailed, drive
from tests.bench.mail import Classes, people_in
from tests.bench.polling import Poller, status_request
from tests.bench.process import procfile, running, serving, until
from tests.bench.receiving import Receiver
from tests.bench.stack import register
from tests.bench.turns import Figure, Goal, Measure, in_turns
from worker.inbox import bell

ROOMS, PEOPLE = 32, 30
PEOPLE_COME = 2_000
"""Events until everybody polls."""

BACKLOG, BACKLOG_ROOMS = 20_000, 100
MISSES = 9
PATIENCE_SECONDS = 120
EVERY_SECONDS = 0.05
PENDING = b"rollcall_events_pending 0.0\n"

ACKNOWLEDGED = "webhooks acknowledged, two processes"
HITS, MISSED = "statuses from the cache", "statuses that are not cached, one after another"
APPLIED = f"{BACKLOG:,} events applied by one worker"
GOALS = {MISSED: 2.5, APPLIED: 1.4, HITS: 1.0}
"""What is to be reached, of the build that ours is compared with."""


def speed(*, rounds: int) -> list[Figure]:
    with ExitStack() as resources:
        compared = resources.enter_context(checkouts())
        builds = [resources.enter_context(_build(each)) for each in compared]
        return [_figure(title, measure, builds, rounds) for title, measure in MEASURES.items()]


class _Build:
    """A checkout's web processes, on a database and a Valkey of their own, and its worker."""

    def __init__(self, checkout: Checkout, database_url: str, redis_url: str) -> None:
        self.checkout, self.redis = checkout, Redis.from_url(redis_url)
        self.environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        self.web = self.two = 0
        self.requests = list[bytes]()
        self.each_class = list[bytes]()
        self.backlog = Classes(rooms=BACKLOG_ROOMS, people=PEOPLE, prefix="backlog")

    def command(self, line: str) -> list[str]:
        return procfile(line, self.checkout.root)

    @contextmanager
    def running(self, line: str) -> Iterator[subprocess.Popen[bytes]]:
        root, venv = self.checkout.root, self.checkout.venv
        command = self.command(line)
        with running(command, self.environment, name="speed", root=root, venv=venv) as process:
            yield process

    @contextmanager
    def listening(self) -> Iterator[int]:
        """A worker that listens; its process id."""
        with self.running("worker") as process:
            until(lambda: self.redis.scard("rq:workers") == 1, process, "speed")
            yield process.pid

    @contextmanager
    def serving(self, **settings: str) -> Iterator[int]:
        root, venv = self.checkout.root, self.checkout.venv
        environment = self.environment | settings
        with serving(self.command("web"), environment, name="speed", root=root, venv=venv) as port:
            yield port

    def fill(self) -> None:
        """Everybody comes into 32 registered classes."""
        classes = Classes(rooms=ROOMS, people=PEOPLE, prefix="class")
        events = classes.next(PEOPLE_COME)
        register(self.web, classes.room_names)
        again = Classes(rooms=ROOMS, people=PEOPLE, prefix="class")
        self.post(again, PEOPLE_COME)
        with self.listening():
            self.apply()
        people = people_in(events)
        self.requests = [status_request(*person) for person in people]
        self.each_class = [status_request(*person) for person in dict(people).items()]

    def post(self, classes: Classes, count: int) -> None:
        drive(self.two, classes.lanes(count), seconds=PATIENCE_SECONDS).only(204)

    def apply(self) -> float:
        """Ring, and wait until nothing is pending; how many seconds that took."""
        began = perf_counter()
        bell.ring(self.redis)
        while PENDING not in _metrics(self.web):
            if perf_counter() > began + PATIENCE_SECONDS:
                raise BenchFailed(f"events were not applied within {PATIENCE_SECONDS} s")
            sleep(EVERY_SECONDS)
        return perf_counter() - began


@contextmanager
def _build(checkout: Checkout) -> Iterator[_Build]:
    name = "speed_" + "".join(filter(str.isalnum, checkout.name))
    with ExitStack() as resources:
        redis_url = resources.enter_context(servers.valkey())
        database_url = resources.enter_context(servers.postgres(name))
        build = _Build(checkout, database_url, redis_url)
        resources.callback(build.redis.close)
        with build.running("release") as release:
            release.wait(PATIENCE_SECONDS)
        build.web = resources.enter_context(build.serving())
        build.two = resources.enter_context(build.serving(WEB_PROCESSES="2"))
        build.fill()
        yield build


def _acknowledged(build: _Build) -> Measure:
    return Receiver(build.two, "received").measure


def _hits(build: _Build) -> Measure:
    return Poller(build.web, build.requests).measure


def _missed(build: _Build) -> Measure:
    """Somebody of each class polls, one after another, and the cache has none of them."""

    def once() -> float:
        build.redis.flushdb()
        return drive(build.web, [iter(build.each_class)], seconds=60).only(200).rate

    return lambda: median(once() for _ in range(MISSES))


def _applied(build: _Build) -> Measure:
    """A worker that listens is halted while the backlog comes."""

    def drain() -> float:
        with build.listening() as pid:
            build.apply()
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            for process in family:
                process.suspend()
            build.post(build.backlog, BACKLOG)
            for process in family:
                process.resume()
            return BACKLOG / build.apply()

    return drain


MEASURES: dict[str, Callable[[_Build], Measure]] = {
    ACKNOWLEDGED: _acknowledged,
    HITS: _hits,
    MISSED: _missed,
    APPLIED: _applied,
}


def _figure(
    title: str, measure: Callable[[_Build], Measure], builds: list[_Build], rounds: int
) -> Figure:
    turns = in_turns({each.checkout.name: measure(each) for each in builds}, rounds=rounds)
    figure = Figure(title, "/s", turns)
    for other in figure.others:
        if title in GOALS:
            bound = GOALS[title]
            figure.goals.append(Goal(f">= {bound:g} of {other}", figure.ratio(other), bound))
    return figure


def _metrics(port: int) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    answer = connection.getresponse().read()
    connection.close()
    return answer
