"""What is waited for, beside an earlier build: with BASE=REV in the environment, in turns in one
run. Without BASE, this tree's figures alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from time import perf_counter

from redis import Redis

from tests import servers
from tests.bench.checkout import Checkout, checkouts
from tests.bench.load import BenchFailed, drive
from tests.bench.mail import Classes, people_in
from tests.bench.polling import Poller, status_request
from tests.bench.process import running, serving
from tests.bench.process import procfile as line_of
from tests.bench.receiving import Receiver
from tests.bench.stack import register
from tests.bench.turns import Figure, Goal, Measure, in_turns
from tests.bench.weight import drained
from worker.inbox import bell

ROOMS, PEOPLE = 32, 30
PEOPLE_COME = 2_000
"""Events until everybody polls."""

BACKLOG, BACKLOG_ROOMS = 20_000, 100
MISSES = 9
PATIENCE_SECONDS = 120

GOALS = {
    "statuses that are not cached, one after another": 2.5,
    "a backlog applied by one worker": 1.4,
    "statuses from the cache": 1.0,
}
"""What is to be reached, of the build that ours is compared with."""


def speed(*, rounds: int) -> list[Figure]:
    with ExitStack() as resources:
        compared = resources.enter_context(checkouts())
        builds = {each.name: _Build(resources, each) for each in compared}
        return [
            _figure(title, {name: measure(build) for name, build in builds.items()}, rounds)
            for title, measure in MEASURES.items()
        ]


class _Build:
    """A checkout's processes on a database and a Valkey of their own."""

    def __init__(self, resources: ExitStack, checkout: Checkout) -> None:
        self.checkout = checkout
        name = "speed_" + "".join(filter(str.isalnum, checkout.name))
        self.redis_url = resources.enter_context(servers.valkey())
        self.redis = resources.enter_context(Redis.from_url(self.redis_url))
        self.environment = {
            "DATABASE_URL": resources.enter_context(servers.postgres(name)),
            "REDIS_URL": self.redis_url,
        }
        self._tree = {"root": checkout.root, "venv": checkout.venv}
        with running(self._line("release"), self.environment, name=name, **self._tree) as release:
            release.wait(PATIENCE_SECONDS)
        self.name = name
        self.web = resources.enter_context(self._web())
        self.two = resources.enter_context(self._web(WEB_PROCESSES="2"))
        self.people = self._people()

    def _line(self, line: str) -> list[str]:
        return line_of(line, self.checkout.root)

    def _web(self, **settings: str):
        environment = self.environment | settings
        return serving(self._line("web"), environment, name=self.name, **self._tree)

    def worker(self):
        return running(self._line("worker"), self.environment, name=self.name, **self._tree)

    def _people(self) -> list[tuple[str, str]]:
        """Everybody who came into 32 registered classes."""
        classes = Classes(rooms=ROOMS, people=PEOPLE, prefix="class")
        events = classes.next(PEOPLE_COME)
        register(self.web, classes.room_names)
        self.post(Classes(rooms=ROOMS, people=PEOPLE, prefix="class"), PEOPLE_COME)
        with self.worker():
            self.apply()
        return people_in(events)

    def post(self, classes: Classes, count: int) -> None:
        drive(self.two, classes.lanes(count), seconds=PATIENCE_SECONDS).only(204)

    def apply(self) -> None:
        bell.ring(self.redis)
        drained(self.web)
