"""CSV (RFC 4180) for programs and spreadsheets: Arabic shows as Arabic, and nothing is evaluated.

UTF-8 with a byte order mark, without which spreadsheets guess another encoding. A text that a
spreadsheet could take for a formula gets one apostrophe in front of it, and is otherwise left as it
is. A text with any usual separator is quoted, so that a reader that guesses the separator is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import IO, Any
from zoneinfo import ZoneInfo

from webhooks.sheets.form import SEPARATORS, Form
from webhooks.sheets.table import Column, Kind, Row, Table

Write = Callable[[Any], str]
"""A value as it stands in a line."""

MILLISECONDS_LENGTH = len("2026-11-23T14:10:42.118")

_NOTHING = object()
_IS_SPECIAL = re.compile(r'[",;|\t\r\n=+\-@\uff1d\uff0b\uff0d\uff20]')
"""What a text may need quotes or an apostrophe for."""

_NEEDS_QUOTES = re.compile(r'[",;|\t\r\n]')


class CsvSheet:
    """The rows of a table as lines of CSV."""

    def __init__(self, text: TextIOWrapper, table: Table, form: Form) -> None:
        self._text = text
        self._separator = SEPARATORS[form.separator]
        writes = _writes(form)
        self._writes = [writes[column.kind] for column in table.columns]
        self._empty = [
            self._separator if _is_in_two_cells(column, form) else "" for column in table.columns
        ]
        # Of the line before: much of a line is as it was there, such as the session.
        self._values: list[object] = [_NOTHING] * len(self._writes)
        self._cells = [_heading(column, form, self._separator) for column in table.columns]
        self._write_line()

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
        values, cells = self._values, self._cells
        for number, (value, write) in enumerate(zip(row, self._writes, strict=True)):
            if value is not values[number]:
                values[number] = value
                cells[number] = self._empty[number] if value is None else write(value)
        self._write_line()

    def _write_line(self) -> None:
        self._text.write(self._separator.join(self._cells) + "\r\n")


def _is_in_two_cells(column: Column, form: Form) -> bool:
    return column.kind is Kind.INSTANT and form.zone is not None


def _heading(column: Column, form: Form, separator: str) -> str:
    if form.zone is not None and column.kind is Kind.INSTANT:
        return f"{column.name}{separator}{column.name} ({form.zone.key})"
    return column.name


def _writes(form: Form) -> dict[Kind, Write]:
    """How values of each kind are written."""
    separator = SEPARATORS[form.separator]
    begins_formula = _begins_formula(separator)

    def text(value: str) -> str:
        if not _IS_SPECIAL.search(value):
            return value
        return _quoted(begins_formula.sub("'", value))

    return {
        Kind.TEXT: text,
        Kind.INSTANT: _instants(form.zone, separator),
        Kind.FLAG: lambda value: "true" if value else "false",
        Kind.DURATION: str,
        Kind.PERCENTAGE: str,
        Kind.COUNT: str,
    }


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


def _instants(zone: ZoneInfo | None, separator: str) -> Write:
    """RFC 3339 in UTC. Where there is a zone, what its clocks show (ISO 8601) is one more cell.

    Always to the millisecond: programs take the form of a column from its first lines.
    """

    def in_utc(at: datetime) -> str:
        return _milliseconds(at if at.tzinfo is UTC else at.astimezone(UTC)) + "Z"

    def in_both(at: datetime) -> str:
        return f"{in_utc(at)}{separator}{_milliseconds(at.astimezone(zone))}"

    return in_utc if zone is None else in_both


def _milliseconds(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")[:MILLISECONDS_LENGTH]
