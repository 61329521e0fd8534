"""Differences: what the tables have that is not as the ledger tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from models.domain.corrections import Correction
from models.domain.facts import Cycle, Room
from models.repair.derivation import Extent


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in the tables that is not as the ledger tells it.

    Without a `field` the whole row is meant, and `told` says in words what is wrong with it.
    """

    what: str
    key: str
    field: str | None
    has: Any
    told: Any

    def __str__(self) -> str:
        if self.field is None:
            return f"{self.what} {self.key}: {self.told}"
        has, told = _said(self.has), _said(self.told)
        return f"{self.what} {self.key}: {self.field} is {has}, the ledger tells {told}"


@dataclass(slots=True)
class Comparison:
    """What differs in an extent, and what it should be instead.

    `rooms`, `cycles` and `corrections` are to be written; no event tells of the unrecorded ones;
    `kept` are the unverifiable ones, which `checked` does not count; `unreadable` events can't be
    mended.
    `present_rooms` and `present_cycles` are all that the tables have of the extent.
    """

    extent: Extent
    differences: list[Difference] = field(default_factory=list)
    checked: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    rooms: list[Room] = field(default_factory=list)
    cycles: list[Cycle] = field(default_factory=list)
    unrecorded_rooms: list[Room] = field(default_factory=list)
    unrecorded_cycles: list[Cycle] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    unrecorded_corrections: list[Correction] = field(default_factory=list)
    unreadable: int = 0
    unmasked: dict[int, str] = field(default_factory=dict)
    present_rooms: list[Room] = field(default_factory=list)
    present_cycles: list[Cycle] = field(default_factory=list)

    @property
    def unrecorded(self) -> int:
        return (
            len(self.unrecorded_rooms)
            + len(self.unrecorded_cycles)
            + len(self.unrecorded_corrections)
        )

    def mended(self, *, remove: bool) -> int:
        """How many of the differences a rebuild mends, which may remove what no event tells of."""
        return len(self.differences) - self.unreadable - (0 if remove else self.unrecorded)

    def differ(self, what: str, key: str, told: str) -> None:
        self.differences.append(Difference(what, key, None, None, told))


def _said(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "nothing" if value is None else repr(value)
