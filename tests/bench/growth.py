"""The same work with more and more stored: what an event or a poll costs must not depend on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from statistics import median

from tests.bench import crowd, inbox, rush
from tests.bench.grown import grown
from tests.bench.load import BenchFailed, drive, percentile
from tests.bench.mail import Classes
from tests.bench.polling import Poller, people_in_class, status_request
from tests.bench.receiving import Receiver
from tests.bench.seeing import RATES, seen_ms
from tests.bench.stack import Stack, register
from tests.bench.turns import Figure, Goal, Measure, in_turns

SIZES = (1_000, 100_000, 2_000_000)
WITHIN = 0.2

SHAPES = {"many rooms": (100, 30), "one big room": (1, 3_000)}
WORKERS = (1, 2, 4)
EVENTS, BACKLOG, MISSES = 2_000, 10_000, 9
CROWD_MINUTES = 7
"""What is kept lives for five: from an empty cache on, each class is read twice."""

SEEING_SECONDS = 6
RUSH_ROOMS, RUSH_ARRIVAL = 167, timedelta(seconds=10)
"""A sixth of a start of class, at its pace."""

PATIENCE_SECONDS = 120

Measuring = Callable[[Stack], AbstractContextManager[Measure]]
"""What is measured, set up on a stack that has so much stored."""


def growth(*, rounds: int) -> list[Figure]:
    with ExitStack() as resources:
        stored = {size: resources.enter_context(grown(size)) for size in SIZES}

        def rate(what: str, measuring: Measuring) -> Figure:
            return _figure(what, "/s", _turns(stored, measuring, rounds))

        def wait(what: str, measuring: Measuring) -> Figure:
            return _figure(what, "ms", _turns(stored, measuring, rounds), most=True)

        return [
            rate("webhooks acknowledged", _receiving),
            rate("statuses from the cache", _polling),
            rate("statuses that are not cached", _missing),
            *_crowd(stored, rounds),
            *(
                rate(
                    f"a backlog of {BACKLOG:,} drained, {shape}, workers: {workers}",
                    partial(_draining, shape=shape, workers=workers),
                )
                for shape in SHAPES
                for workers in WORKERS
            ),
            *(
                wait(
                    f"webhook to visible status at {pace} events/s, p95",
                    partial(_seeing, pace=pace),
                )
                for pace in RATES
            ),
            wait("a start of class, acknowledged, p99", _rushing),
        ]


@contextmanager
def _receiving(under: Stack) -> Iterator[Measure]:
    with under.web() as web:
        yield Receiver(web, "received").measure


@contextmanager
def _polling(under: Stack) -> Iterator[Measure]:
    with under.web() as web:
        people = people_in_class(under, web, prefix="polled", events=EVENTS)
        yield Poller(web, [status_request(*person) for person in people]).measure


@contextmanager
def _missing(under: Stack) -> Iterator[Measure]:
    """Somebody of each class polls, one after another, and the cache has none of them."""
    with under.web() as web:
        somebody = dict(people_in_class(under, web, prefix="missed", events=EVENTS))
        requests = [status_request(*person) for person in somebody.items()]

        def once() -> float:
            under.redis.flushdb()
            return drive(web, [iter(requests)], seconds=60).only(200).rate

        yield lambda: median(once() for _ in range(MISSES))


@contextmanager
def _draining(under: Stack, *, shape: str, workers: int) -> Iterator[Measure]:
    rooms, people = SHAPES[shape]
    classes = Classes(rooms=rooms, people=people, prefix=f"{shape}-{workers}".replace(" ", "-"))

    def drain() -> float:
        with under.worker(workers=workers):
            inbox.drained(under, within=PATIENCE_SECONDS)
            inbox.fill(under, classes.next(BACKLOG))
            return inbox.rate(under, BACKLOG, within=PATIENCE_SECONDS)

    yield drain


@contextmanager
def _seeing(under: Stack, *, pace: int) -> Iterator[Measure]:
    turns = count(1)
    with under.web() as web, under.worker():
        inbox.drained(under, within=PATIENCE_SECONDS)

        def see() -> float:
            prefix = f"seen-{pace}-{next(turns)}"
            return percentile(seen_ms(web, pace, seconds=SEEING_SECONDS, prefix=prefix), 95)

        yield see


@contextmanager
def _rushing(under: Stack) -> Iterator[Measure]:
    turns = count(1)
    with under.web() as web, under.worker(), under.scheduler():
        inbox.drained(under, within=PATIENCE_SECONDS)

        def begin() -> float:
            start = rush.begin(
                under, web, rooms=RUSH_ROOMS, arrival=RUSH_ARRIVAL, prefix=f"rush-{next(turns)}"
            )
            if start.report.dropped or start.report.retried:
                raise BenchFailed(f"{under.name}: a start of class was told in more than one try")
            return start.p99_ms

        yield begin


def _crowd(stored: dict[int, Stack], rounds: int) -> list[Figure]:
    """How fast it is served, and what it asks of the database, once."""
    with ExitStack() as resources:
        crowds = {
            name: (under, *resources.enter_context(_crowd_before(under)))
            for name, under in _by_name(stored).items()
        }
        served = in_turns(
            {name: crowd.polled_by(web, polls) for name, (_, web, polls) in crowds.items()},
            rounds=rounds,
        )
        asked = {name: [_asked(*one)] for name, one in crowds.items()}
    return [
        _figure("10,000 people poll", "polls/s", served),
        _figure("the same: database queries", "queries/poll", asked, most=True),
    ]


def _asked(under: Stack, web: int, polls: list[bytes]) -> float:
    under.redis.flushdb()
    return crowd.queries_a_poll(under, web, polls, minutes=CROWD_MINUTES)


@contextmanager
def _crowd_before(under: Stack) -> Iterator[tuple[int, list[bytes]]]:
    """The crowd's own stack: its web processes on the faster clock, and what everybody asks."""
    polls = crowd.people_of_300_classes(under)
    with under.scheduler(**crowd.TTL), under.web(WEB_PROCESSES="2", **crowd.TTL) as web:
        register(web, sorted({room for room, _ in polls}))
        yield web, [status_request(*person) for person in polls]


def _turns(stored: dict[int, Stack], measuring: Measuring, rounds: int) -> dict[str, list[float]]:
    with ExitStack() as resources:
        measures = {
            name: resources.enter_context(measuring(under))
            for name, under in _by_name(stored).items()
        }
        return in_turns(measures, rounds=rounds)


def _by_name(stored: dict[int, Stack]) -> dict[str, Stack]:
    """The most first: a figure is told beside the least."""
    return {f"{size:,} stored": stored[size] for size in sorted(stored, reverse=True)}


def _figure(what: str, unit: str, turns: dict[str, list[float]], *, most: bool = False) -> Figure:
    """Each size beside the least. With `most`, what costs more is worse."""
    figure = Figure(f"{what}, by what is stored", unit, turns)
    *more, least = turns
    bound = 1 + WITHIN if most else 1 - WITHIN
    for name in more:
        ratio = figure.ratio(least, of=name)
        figure.goals.append(Goal(f"{name}: within 20% of {least}", ratio, bound, most=most))
    return figure
