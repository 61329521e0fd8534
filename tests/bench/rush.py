"""A start of class: 10,000 people come into 1,000 rooms in a minute, told by LiveKit's rules."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from time import perf_counter

from tests.bench import inbox
from tests.bench.load import BenchFailed
from tests.bench.mail import KEY, SECRET
from tests.bench.stack import stack
from tests.bench.turns import Figure, Goal
from webhooks.livekit_plan import Plan, plan_classes
from webhooks.livekit_sender import Report, Target
from webhooks.simulate import run

ROOMS, PEOPLE = 1_000, 10
ARRIVAL = timedelta(seconds=60)
LASTING = ARRIVAL * 5
"""People arrive in the first fifth of a simulated class."""

PATIENCE_SECONDS = 60


def rush(*, rounds: int) -> list[Figure]:
    """The whole Procfile at work; one turn, which is a minute long already."""
    with ExitStack() as resources:
        under = resources.enter_context(stack("postgresql"))
        port = resources.enter_context(under.web())
        resources.enter_context(under.worker())
        resources.enter_context(under.scheduler())
        plan = _plan()
        target = Target.parse(f"http://127.0.0.1:{port}/webhooks/livekit", key=KEY, secret=SECRET)
        report = asyncio.run(run(plan, target=target))
        began = perf_counter()
        inbox.drained(under, within=PATIENCE_SECONDS)
        applied_ms = (perf_counter() - began) * 1000
    return [_figure(plan, report, applied_ms)]


def _plan() -> Plan:
    starts_at = datetime.now(UTC) + timedelta(seconds=2)
    names = [f"rush-{number:04d}" for number in range(ROOMS)]
    whole = plan_classes(names, people=PEOPLE, lasting=LASTING, seed=1, starts_at=starts_at)
    events = tuple(one for one in whole.events if one.at <= starts_at + ARRIVAL)
    return Plan(events=events, visits=whole.visits)


def _figure(plan: Plan, report: Report, applied_ms: float) -> Figure:
    if report.p50_ms is None or report.p99_ms is None or report.failed:
        raise BenchFailed(f"{report.failed} of {report.events} events were not acknowledged")
    turns = {
        "acknowledged, p50": [report.p50_ms],
        "acknowledged, p99": [report.p99_ms],
        "last acknowledged to all applied": [applied_ms],
    }
    goals = [
        Goal("none dropped", report.dropped, 0, most=True),
        Goal("none retried", report.retried, 0, most=True),
        Goal("p99 < 150 ms", report.p99_ms, 150, most=True),
        Goal("all applied within 5 s", applied_ms, 5_000, most=True),
    ]
    notes: dict[str, float | str] = {
        "events": report.events,
        "events/s": round(report.events / ARRIVAL.total_seconds()),
    }
    title = "a start of class: 10,000 people, 1,000 rooms, 60 s"
    return Figure(title, "ms", turns, goals, notes, compared=False)
