"""Events applied by one worker from a backlog: nothing but the drain, as fast as it goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter

from sqlalchemy import func, select

from models.webhook_event import webhook_events
from tests.bench import inbox
from tests.bench.load import BenchFailed
from tests.bench.mail import Classes
from tests.bench.stack import Stack, stack
from tests.bench.turns import Figure, Goal, Measure, in_turns

ROOMS, PEOPLE = 100, 30
BACKLOG = 20_000
PATIENCE_SECONDS = 120


def draining(*, rounds: int) -> list[Figure]:
    """PostgreSQL and SQLite in turns, each with its own worker that waits for the bell."""
    with ExitStack() as resources:
        measures = {
            f"one worker, {name}": resources.enter_context(_backlog(dialect))
            for dialect, name in (("postgresql", "PostgreSQL"), ("sqlite", "SQLite"))
        }
        turns = in_turns(measures, rounds=rounds)
    figure = Figure(f"events applied from a backlog of {BACKLOG:,}", "events/s", turns)
    figure.goals.append(Goal(">= 2,000/s on PostgreSQL", figure.median(figure.ours), 2_000))
    return [figure]


@contextmanager
def _backlog(dialect: str) -> Iterator[Measure]:
    with stack(dialect) as under:
        classes = Classes(rooms=ROOMS, people=PEOPLE, prefix="class")
        inbox.fill(under, classes.next(BACKLOG))
        inbox.keep(under)
        with under.worker():
            yield lambda: _drain(under)


def _drain(stack: Stack) -> float:
    inbox.refill(stack)
    began = perf_counter()
    inbox.drained(stack, within=PATIENCE_SECONDS)
    seconds = perf_counter() - began
    with stack.engine.connect() as conn:
        applied = select(func.count()).where(webhook_events.c.status == "applied")
        count = conn.execute(applied).scalar_one()
    if count != BACKLOG:
        raise BenchFailed(f"{stack.name}: {count} of {BACKLOG} events were applied")
    return BACKLOG / seconds
