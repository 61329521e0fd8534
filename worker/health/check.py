"""A check: one thing that was looked at, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from worker.health.sentences import SENTENCES

TAKES_EVENTS = {"database.date_style"}
"""Of a database that is not well: it stores events, though nobody can apply them."""

Values = Mapping[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Check:
    """A finding with its values, both for a sentence.

    `seconds`: how long the oldest event waits, or how far apart the clocks are.
    """

    finding: str
    values: Values = field(default_factory=dict)
    seconds: float | None = None

    @property
    def what(self) -> str:
        return self.finding.partition(".")[0]

    @property
    def well(self) -> bool:
        return not SENTENCES[self.finding].todo

    @property
    def seen(self) -> str:
        return SENTENCES[self.finding].seen.format_map(self.values)

    @property
    def todo(self) -> str:
        """What to do when it is not well."""
        return SENTENCES[self.finding].todo.format_map(self.values)

    @property
    def serves(self) -> bool:
        """Whether webhooks can be stored in spite of it: the one thing that readiness is about."""
        takes_none = self.what in {"database", "migrations"} and self.finding not in TAKES_EVENTS
        return self.well or not takes_none

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "well": self.well,
            "seen": self.seen,
            "todo": self.todo,
            "finding": self.finding,
            "values": dict(self.values),
            "seconds": self.seconds,
        }


def keeps_in(seen: Sequence[Check]) -> Literal["database", "spool"] | None:
    """Where a webhook that comes now is kept; None when it can't be, and LiveKit must repeat it."""
    if all(check.serves for check in seen):
        return "database"
    return "spool" if any(check.what == "redis" and check.well for check in seen) else None
