"""What one operation costs each process, and whether `needs` tells what 10,000 and 50,000 people
cost: each second of a start of class in processor time, beside the model's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import cycle, islice
from math import inf
from random import Random
from time import perf_counter

import psutil

from tests.bench import inbox
from tests.bench.load import Load, drive
from tests.bench.mail import Classes
from tests.bench.needs import MEASURED, MILLISECOND, PACE, Cost, School, load
from tests.bench.polling import people_in_class, status_request
from tests.bench.stack import Stack, register, stack
from tests.bench.turns import Figure, Goal
from tests.servers import VAR

EVENTS_SECONDS, EVENTS_AT_FULL_LOAD = 8, 10_000
HITS_SECONDS = 8
"""Shorter than CACHE_TTL_SECONDS: none is checked meanwhile."""

LANES = 32
COLD_ROUNDS = 30
PEOPLE = (10_000, 50_000)
STARTING_SECONDS = 20
PATIENCE_SECONDS = 120
AGREES = 1.5
"""A model that is off by no more is good enough to buy a server by."""


def sizing(*, rounds: int) -> list[Figure]:
    """One turn: what is measured is processor time, which others' load hardly changes."""
    with ExitStack() as resources:
        measured = resources.enter_context(_running())
        costs = {
            "an event, stored and applied": measured.event(PACE, PACE * EVENTS_SECONDS),
            "the same at full load": measured.event(inf, EVENTS_AT_FULL_LOAD),
            "a status, cache hit": measured.hit(PACE),
            "a hit at full load": measured.hit(inf),
            "a status, checked": measured.cold("rc:*fresh*"),
            "a status, miss": measured.cold("rc:*"),
        }
    with ExitStack() as resources:
        starts = {
            people: resources.enter_context(_running(WEB_PROCESSES="2")).start(people)
            for people in PEOPLE
        }
    return [_of_costs(costs), *(_of_start(people, *start) for people, start in starts.items())]


@contextmanager
def _running(**settings: str) -> Iterator[_Measured]:
    with ExitStack() as resources:
        under = resources.enter_context(stack("postgresql", name="bench_sizing"))
        port = resources.enter_context(under.web(**settings))
        resources.enter_context(under.worker())
        yield _Measured(under, port)


class _Measured:
    """A Rollcall whose processes' time is taken."""

    def __init__(self, under: Stack, port: int) -> None:
        self.under, self.port = under, port
        self.people = people_in_class(under, port, prefix="warm", events=2_000)

    def event(self, rate: float, count: int) -> Cost:
        classes = Classes(rooms=100, people=30, prefix=f"event-{count}")
        lanes = classes.lanes(count)

        def post() -> int:
            drive(self.port, lanes, seconds=60, rate=rate).only(204)
            inbox.drained(self.under, within=PATIENCE_SECONDS)
            return count

        return self._each(post)

    def hit(self, rate: float) -> Cost:
        requests = [status_request(*person) for person in self.people]
        self._poll(requests, PACE, seconds=1)
        return self._each(lambda: self._poll(requests, rate, seconds=HITS_SECONDS).answered)

    def cold(self, forgotten: str) -> Cost:
        """Somebody of each class polls, again and again, and these keys are gone each time."""
        requests = [status_request(*person) for person in dict(self.people).items()]

        def poll() -> int:
            for _ in range(COLD_ROUNDS):
                if keys := list(self.under.redis.scan_iter(forgotten, count=10_000)):
                    self.under.redis.delete(*keys)
                drive(self.port, [iter(requests)], seconds=60).only(200)
            return COLD_ROUNDS * len(requests)

        return self._each(poll)

    def start(self, people: int) -> tuple[Cost, Cost]:
        """What a second of a start of class cost, and what the model says of what was answered."""
        school, done = School(people), dict[str, float]()
        classes = Classes(rooms=school.rooms, people=school.people_a_room, prefix="start")
        register(self.port, classes.room_names)
        events = classes.lanes(round(school.arriving * STARTING_SECONDS))
        polls = [
            status_request(room, f"{number}")
            for room in classes.room_names
            for number in range(school.people_a_room)
        ]
        Random(1).shuffle(polls)

        def begin() -> int:
            began = perf_counter()
            with ThreadPoolExecutor(2) as pool:
                come = pool.submit(
                    drive, self.port, events, seconds=PATIENCE_SECONDS, rate=school.arriving
                )
                done["polls"] = self._poll(polls, school.polls, seconds=STARTING_SECONDS).answered
                done["events"] = come.result().only(204).answered
            inbox.drained(self.under, within=PATIENCE_SECONDS)
            done["seconds"] = perf_counter() - began
            return 1

        measured = self._each(begin).times(1 / done["seconds"])
        rates = {name: done[name] / done["seconds"] for name in ("events", "polls")}
        expected = load(**rates, rooms=school.rooms, ttl_seconds=school.ttl_seconds)
        return measured, expected.cost(MEASURED)

    def _poll(self, requests: list[bytes], rate: float, *, seconds: float) -> Load:
        lanes = [islice(cycle(requests), number, None, LANES) for number in range(LANES)]
        return drive(self.port, lanes, seconds=seconds, rate=rate).only(200)

    def _each(self, operations: Callable[[], int]) -> Cost:
        """Milliseconds that each of these operations takes."""
        before = self._taken()
        count = operations()
        return (self._taken() + before.times(-1)).times(1 / MILLISECOND / count)

    def _taken(self) -> Cost:
        """Seconds of processor time until now."""
        ours = {"webhooks": 0.0, "worker": 0.0}
        for process in psutil.Process().children(recursive=True):
            words = process.cmdline()
            if "-m" in words and (name := words[words.index("-m") + 1]) in ours:
                ours[name] += _seconds(process)
        server = int((VAR / "postgres" / "postmaster.pid").read_text().split()[0])
        redis = int(self.under.redis.info("server")["process_id"])
        return Cost(
            web=ours["webhooks"],
            worker=ours["worker"],
            postgresql=_family_seconds(server),
            redis=_seconds(psutil.Process(redis)),
        )


def _family_seconds(pid: int) -> float:
    """Of a server and its processes, those that ended too."""
    process = psutil.Process(pid)
    ended = process.cpu_times().children_user + process.cpu_times().children_system
    return ended + sum(map(_seconds, [process, *process.children(recursive=True)]))


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _of_costs(costs: dict[str, Cost]) -> Figure:
    turns = {
        f"{name}: {process}": [milliseconds]
        for name, cost in costs.items()
        for process, milliseconds in asdict(cost).items()
    }
    return Figure("what one costs", "ms of processor time", turns, compared=False)


def _of_start(people: int, measured: Cost, modelled: Cost) -> Figure:
    turns = {
        f"{process}, {word}": [milliseconds * MILLISECOND]
        for word, cost in (("measured", measured), ("by the model", modelled))
        for process, milliseconds in asdict(cost).items()
    }
    figure = Figure(f"a start of class of {people:,} people", "cores", turns, compared=False)
    ratio = sum(asdict(measured).values()) / sum(asdict(modelled).values())
    off = max(ratio, 1 / ratio)
    figure.goals.append(Goal(f"the model is off by {AGREES} times at most", off, AGREES, most=True))
    return figure
