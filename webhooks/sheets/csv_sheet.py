"""CSV (RFC 4180) for programs and spreadsheets: Arabic shows as Arabic, and nothing is evaluated.

UTF-8 with a byte order mark, without which spreadsheets guess another encoding. A text that a
spreadsheet could take for a formula gets one apostrophe in front of it, and is otherwise left as it
is. A text with any usual separator is quoted, so that a reader that guesses the separator is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from itertools import chain
from typing import IO, Any
from zoneinfo import ZoneInfo

from webhooks.sheets.form import SEPARATORS, Form
from webhooks.sheets.table import Column, Kind, Row, Table

_NEEDS_QUOTES = re.compile(r'[",;|\t\r\n]')


class CsvSheet:
    """The rows of a table as lines of CSV."""

    def __init__(self, text: TextIOWrapper, table: Table, form: Form) -> None:
        self._text = text
        self._separator = SEPARATORS[form.separator]
        cells = cells_of(form)
        self._cells = [cells[column.kind] for column in table.columns]
        self._write(chain.from_iterable(_headings(column, form) for column in table.columns))

    @classmethod
    @contextmanager
    def opened(cls, file: IO[bytes], table: Table, form: Form) -> Iterator[CsvSheet]:
        """A sheet with its headings, for a file that stays open."""
        text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            yield cls(text, table, form)
        finally:
            text.detach()

    def add(self, row: Row) -> None:
        """Write one line."""
        pairs = zip(self._cells, row, strict=True)
        self._write(chain.from_iterable(cells(value) for cells, value in pairs))

    def _write(self, cells: Iterable[str]) -> None:
        self._text.write(self._separator.join(cells) + "\r\n")


Cells = Callable[[Any], tuple[str, ...]]
"""A value as it stands in a line: in one cell, and an instant with a zone in two."""


def cells_of(form: Form) -> dict[Kind, Cells]:
    """How values of each kind are written."""
    begins_formula = _begins_formula(SEPARATORS[form.separator])

    def text(value: str | None) -> tuple[str]:
        return (_quoted(begins_formula.sub("'", value)) if value else "",)

    return {
        Kind.TEXT: text,
        Kind.INSTANT: _instants(form.zone),
        Kind.FLAG: _flag,
        Kind.DURATION: _number,
        Kind.PERCENTAGE: _number,
        Kind.COUNT: _number,
    }


def _headings(column: Column, form: Form) -> tuple[str, ...]:
    if column.kind is Kind.INSTANT and form.zone is not None:
        return column.name, f"{column.name} ({form.zone.key})"
    return (column.name,)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def _begins_formula(own_separator: str) -> re.Pattern[str]:
    """Where one could begin: at the start, and where a spreadsheet that is set to another separator
    begins a cell, since it knows nothing of our quotes."""
    others = re.escape("".join({",", ";", "|", "\t"} - {own_separator}))
    return re.compile(
        rf"(?:\A|(?<=[{others}\t\r\n]))"
        # What programs pass over, and apostrophes, so that adding one can be undone.
        r"(?=[\s\x00-\x1f\"'\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*"
        r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
    )


def _instants(zone: ZoneInfo | None) -> Cells:
    """RFC 3339 in UTC, and where there is a zone, what its clocks show (ISO 8601). Always to the
    millisecond: readers take the form of a column from its first lines."""

    def in_utc(at: datetime | None) -> tuple[str, ...]:
        return (_milliseconds(at.astimezone(UTC)) + "Z" if at else "",)

    def in_both(at: datetime | None) -> tuple[str, ...]:
        return (*in_utc(at), _milliseconds(at.astimezone(zone)) if at else "")

    return in_utc if zone is None else in_both


def _milliseconds(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _flag(value: bool | None) -> tuple[str]:
    return ("" if value is None else "true" if value else "false",)


def _number(value: float | None) -> tuple[str]:
    return ("" if value is None else str(value),)
