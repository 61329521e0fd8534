"""A table with typed columns: what a writer needs to know to write a value as what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import AwareDatetime

Cell = datetime | str | float | bool | None
"""A value; None is an empty cell."""

Row = Sequence[Cell]
"""The values of a line, as many as the table has columns."""


class Kind(Enum):
    """What the values of a column are."""

    TEXT = "text"
    """Any text: ids, names, words. Never a number, a formula or a link."""
    INSTANT = "instant"
    """An aware date-time."""
    DURATION = "duration"
    """Whole seconds."""
    PERCENTAGE = "percentage"
    """From 0 to 100."""
    COUNT = "count"
    """A whole number."""
    FLAG = "flag"
    """True or false."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `name` is the machine's name of it, which no language changes. `heading` is its
    word of `headings`, where that is not the name."""

    name: str
    kind: Kind
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """What a file is of. `name` is a word of `headings`, and begins the file's name."""

    name: str
    columns: tuple[Column, ...]


def kind_of(declared: Any) -> Kind:
    """The kind of column for values of a type: what its `Annotated` says, else what it is."""
    declared = _without_none(declared)
    if get_origin(declared) is Annotated:
        base, *marks = get_args(declared)
        return next((mark for mark in marks if isinstance(mark, Kind)), None) or kind_of(base)
    if declared is AwareDatetime or declared is datetime:
        return Kind.INSTANT
    return {bool: Kind.FLAG, int: Kind.COUNT}.get(declared, Kind.TEXT)


def _without_none(declared: Any) -> Any:
    kinds = get_args(declared)
    if NoneType not in kinds:
        return declared
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return kind
