"""What is waited for, beside an earlier build: with BASE=REV in the environment, in turns in one
run. Without BASE, this tree's figures alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

import psutil

from tests.bench.checkout import Checkout, checkouts
from tests.bench.deployed import PATIENCE_SECONDS, Deployed, deployed, until_applied
from tests.bench.load import drive
from tests.bench.mail import Classes, people_in
from tests.bench.polling import Poller, status_request
from tests.bench.process import until
from tests.bench.receiving import Receiver
from tests.bench.stack import register
from tests.bench.turns import Figure, Goal, Measure, in_turns
from worker.inbox import bell

ROOMS, PEOPLE = 32, 30
PEOPLE_COME = 2_000
"""Events until everybody polls."""

BACKLOG, BACKLOG_ROOMS = 20_000, 100
MISSES = 9

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


@dataclass(slots=True)
class _Build:
    """A checkout's two web servers, of one and of two processes, and its worker."""

    here: Deployed
    web: int
    two: int
    requests: list[bytes] = field(default_factory=list)
    each_class: list[bytes] = field(default_factory=list)
    backlog: Classes = field(
        default_factory=lambda: Classes(rooms=BACKLOG_ROOMS, people=PEOPLE, prefix="backlog")
    )

    @contextmanager
    def listening(self) -> Iterator[int]:
        """A worker that listens; its process id."""
        redis = self.here.redis
        with self.here.running(self.here.command("worker")) as process:
            until(lambda: redis.scard("rq:workers") == 1, process, "deployed")
            yield process.pid

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
        bell.ring(self.here.redis)
        until_applied(self.web)
        return perf_counter() - began


@contextmanager
def _build(checkout: Checkout) -> Iterator[_Build]:
    with ExitStack() as resources:
        here = resources.enter_context(deployed(checkout, prefix="speed"))
        web, two = (
            resources.enter_context(here.serving(WEB_PROCESSES=count)) for count in ("1", "2")
        )
        build = _Build(here, web, two)
        build.fill()
        yield build


def _acknowledged(build: _Build) -> Measure:
    return Receiver(build.two, "received").measure


def _hits(build: _Build) -> Measure:
    return Poller(build.web, build.requests).measure


def _missed(build: _Build) -> Measure:
    """Somebody of each class polls, one after another, and the cache has none of them."""

    def once() -> float:
        build.here.redis.flushdb()
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
    turns = in_turns({each.here.name: measure(each) for each in builds}, rounds=rounds)
    figure = Figure(title, "/s", turns)
    for other in figure.others:
        if title in GOALS:
            bound = GOALS[title]
            figure.goals.append(Goal(f">= {bound:g} of {other}", figure.ratio(other), bound))
    return figure
