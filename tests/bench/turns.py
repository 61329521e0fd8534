"""Turns: what is compared is measured A B A B, because a shared machine is never the same twice.

A ratio is the median of the rounds' own ratios; an absolute figure is the median of its turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

ROUNDS = 5

Measure = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is to reach: at least, or with `most` at most, this."""

    said: str
    value: float
    bound: float
    most: bool = False

    @property
    def reached(self) -> bool:
        return self.value <= self.bound if self.most else self.value >= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured in turns with what it is to be compared with; the first is ours.

    Not `compared`: several values of one measurement, such as percentiles.
    """

    title: str
    unit: str
    turns: dict[str, list[float]]
    goals: list[Goal] = field(default_factory=list)
    notes: dict[str, float | str] = field(default_factory=dict)
    compared: bool = True

    @property
    def ours(self) -> str:
        return next(iter(self.turns))

    def median(self, name: str) -> float:
        return median(self.turns[name])

    @property
    def others(self) -> list[str]:
        """What ours is compared with."""
        return list(self.turns)[1:] if self.compared else []

    def ratio(self, beside: str, *, of: str | None = None) -> float:
        """Ours, or that of another name, over the other's, round by round; the median of that."""
        pairs = zip(self.turns[of or self.ours], self.turns[beside], strict=True)
        return median(mine / other for mine, other in pairs)


def in_turns(measures: Mapping[str, Measure], *, rounds: int) -> dict[str, list[float]]:
    """Measure each once a round; the order of the names is the order of the turns.

    A first round is not counted: it opens connections and compiles statements.
    """
    for measure in measures.values():
        measure()
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found
