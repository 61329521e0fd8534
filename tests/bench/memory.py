"""The memory of every process over half a million events."""

from __future__ import annotations

from contextlib import ExitStack

import psutil

from tests.bench import inbox
from tests.bench.load import drive
from tests.bench.mail import Classes
from tests.bench.stack import stack
from tests.bench.turns import Figure, Goal

EVENTS, FIRST, CHUNK = 500_000, 10_000, 10_000
ROOMS, PEOPLE = 200, 50
PATIENCE_SECONDS = 120
GROWTH = 1.1
MEBIBYTE = 1024 * 1024


def memory(*, rounds: int) -> list[Figure]:
    """Every process of the Procfile, drained as it goes; one long turn."""
    with ExitStack() as resources:
        under = resources.enter_context(stack("postgresql"))
        port = resources.enter_context(under.web())
        resources.enter_context(under.worker())
        resources.enter_context(under.scheduler())
        classes = Classes(rooms=ROOMS, people=PEOPLE, prefix="class")
        told, seen = 0, list[dict[str, float]]()
        while told < EVENTS:
            told += drive(port, classes.lanes(CHUNK), seconds=600).only(204).answered
            inbox.drained(under, within=PATIENCE_SECONDS)
            seen.append(_resident())
    return [_figure(seen)]


def _resident() -> dict[str, float]:
    """Mebibytes by process; a process of several, such as a server and its worker, is one."""
    found: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        words = process.cmdline()
        if "-m" in words and (name := words[words.index("-m") + 1]).startswith(("web", "work")):
            found[name] = found.get(name, 0.0) + process.memory_info().rss / MEBIBYTE
    return found


def _figure(seen: list[dict[str, float]]) -> Figure:
    first, last = seen[FIRST // CHUNK - 1], seen[-1]
    turns = {f"python -m {name}": [one[name] for one in seen] for name in first}
    goals = [
        Goal(f"python -m {name}: flat within 10%", last[name] / first[name], GROWTH, most=True)
        for name in first
    ]
    notes: dict[str, float | str] = {
        f"python -m {name}, after {FIRST:,} and after all": f"{first[name]:.0f}, {last[name]:.0f}"
        for name in first
    }
    title = f"resident memory over {EVENTS:,} events"
    return Figure(title, "MiB", turns, goals, notes, compared=False)
