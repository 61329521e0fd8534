"""More workers on one backlog: they share batches by row locks, and wait for a room's name."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from tests.bench import inbox
from tests.bench.mail import Classes
from tests.bench.stack import Stack, stack
from tests.bench.turns import Figure, Goal, in_turns

BACKLOG = 30_000
SHAPES = {"many rooms": (300, 30), "one big room": (1, 3_000)}
PATIENCE_SECONDS = 120
NEVER_SLOWER = 0.95
"""What two measurements of the same thing differ by here."""


def crew(*, rounds: int) -> list[Figure]:
    figures = []
    for shape, (rooms, people) in SHAPES.items():
        with ExitStack() as resources:
            under = resources.enter_context(stack("postgresql"))
            inbox.fill(under, Classes(rooms=rooms, people=people, prefix=shape).next(BACKLOG))
            inbox.keep(under)
            measures = {f"{count} workers": partial(_drain, under, count) for count in (2, 1, 4)}
            turns = in_turns(measures, rounds=rounds)
        figures.append(_figure(shape, turns))
    return figures


def _drain(under: Stack, workers: int) -> float:
    with under.worker(workers=workers):
        return inbox.timed_drain(under, BACKLOG, within=PATIENCE_SECONDS)


def _figure(shape: str, turns: dict[str, list[float]]) -> Figure:
    figure = Figure(f"a backlog of {BACKLOG:,}, {shape}, PostgreSQL", "events/s", turns)
    two = figure.ratio("1 workers")
    four = two / figure.ratio("4 workers")
    figure.goals.append(Goal("two are never slower than one", two, NEVER_SLOWER))
    figure.goals.append(Goal("four are never slower than one", four, NEVER_SLOWER))
    if shape == "many rooms":
        figure.goals.append(Goal("two >= 1.5 times one", two, 1.5))
    return figure
