"""Shares in percent, as every status, roster and report says them. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

Size = TypeVar("Size", int, timedelta)


def percentage(part: Size, whole: Size) -> float:
    """Which share of `whole` (more than 0) `part` is, in percent, one decimal, half up."""
    return tenths(part, whole) / 10


def tenths(part: Size, whole: Size) -> int:
    """The same in tenths of a percent."""
    return (2000 * part + whole) // (2 * whole)
