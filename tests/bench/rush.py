"""A start of class: 10,000 people come into 1,000 rooms in a minute, told by LiveKit's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter

from tests.bench import inbox
from tests.bench.load import BenchFailed
from tests.bench.stack import Stack, stack
from tests.bench.turns import Figure, Goal
from tests.build import KEY, SECRET
from webhooks.simulator.plan import Plan, plan_classes
from webhooks.simulator.run import run
from webhooks.simulator.sender import Report, Target

ROOMS, PEOPLE = 1_000, 10
ARRIVAL = timedelta(seconds=60)
PATIENCE_SECONDS = 60


def rush(*, rounds: int) -> list[Figure]:
    """The whole Procfile at work; one turn, which is a minute long already."""
    with ExitStack() as resources:
        under = resources.enter_context(stack("postgresql"))
        port = resources.enter_context(under.web())
        resources.enter_context(under.worker())
        resources.enter_context(under.scheduler())
        start = begin(under, port, rooms=ROOMS, arrival=ARRIVAL)
    return [_figure(start)]


@dataclass(frozen=True, slots=True)
class Start:
    """What came of a start of class, in which every event was acknowledged."""

    report: Report
    p50_ms: float
    p99_ms: float
    applied_ms: float
    """From the last acknowledgement until all are applied."""


def begin(
    under: Stack, port: int, *, rooms: int, arrival: timedelta, prefix: str = "rush"
) -> Start:
    """People come into rooms of that prefix, new ones. Raises BenchFailed unless all are heard."""
    names = [f"{prefix}-{number:04d}" for number in range(rooms)]
    target = Target.parse(f"http://127.0.0.1:{port}/webhooks/livekit", key=KEY, secret=SECRET)
    report = asyncio.run(run(_plan(names, arrival), target=target))
    began = perf_counter()
    inbox.drained(under, within=PATIENCE_SECONDS)
    applied_ms = (perf_counter() - began) * 1000
    if report.p50_ms is None or report.p99_ms is None or report.failed:
        raise BenchFailed(f"{report.failed} of {report.events} events were not acknowledged")
    return Start(report, report.p50_ms, report.p99_ms, applied_ms)


def _plan(names: Sequence[str], arrival: timedelta) -> Plan:
    """People arrive in the first fifth of a class: that is what is told of it."""
    starts_at = datetime.now(UTC) + timedelta(seconds=2)
    whole = plan_classes(names, people=PEOPLE, lasting=arrival * 5, seed=1, starts_at=starts_at)
    events = tuple(one for one in whole.events if one.at <= starts_at + arrival)
    return Plan(events=events, visits=whole.visits)


def _figure(start: Start) -> Figure:
    turns = {
        "acknowledged, p50": [start.p50_ms],
        "acknowledged, p99": [start.p99_ms],
        "last acknowledged to all applied": [start.applied_ms],
    }
    goals = [
        Goal("none dropped", start.report.dropped, 0, most=True),
        Goal("none retried", start.report.retried, 0, most=True),
        Goal("p99 < 150 ms", start.p99_ms, 150, most=True),
        Goal("all applied within 5 s", start.applied_ms, 5_000, most=True),
    ]
    notes: dict[str, float | str] = {
        "events": start.report.events,
        "events/s": round(start.report.events / ARRIVAL.total_seconds()),
    }
    title = "a start of class: 10,000 people, 1,000 rooms, 60 s"
    return Figure(title, "ms", turns, goals, notes, compared=False)
