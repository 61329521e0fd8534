"""Counting: whether a cycle is a visit of a person, and why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models.domain.facts import Cycle, Rules

UNANSWERED = frozenset({"USER_UNAVAILABLE", "USER_REJECTED", "SIP_TRUNK_FAILURE", "JOIN_FAILURE"})
"""Reasons of a left of somebody who never came: a phone joins when it begins to ring."""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A cycle that is no visit, with when it began and why it is none."""

    cycle: Cycle
    began_at: datetime
    reason: str


def why_not(cycle: Cycle, rules: Rules) -> str | None:
    """Why this cycle is no visit: `manual` (MANUAL_JOINS is off), `aborted`, `unseen` (no join is
    known), `kind`, `hidden` or `unanswered`; None when it counts."""
    if cycle.provisional and rules.manual_joins == "off":
        return "manual"
    if cycle.joined_at is None:
        return "aborted" if cycle.aborted_at is not None else "unseen"
    if cycle.kind not in rules.person_kinds:
        return "kind"
    if cycle.hidden and not rules.count_hidden:
        return "hidden"
    return "unanswered" if cycle.disconnect_reason in UNANSWERED else None
