"""XLSX for people: times, durations and shares that can be calculated with, texts as texts, and for
the words of machines those of the pages.

XlsxWriter keeps one row in memory and the others in a temporary file. A spreadsheet's time has no
zone: the heading names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from tempfile import TemporaryDirectory
from typing import IO, Any
from zoneinfo import ZoneInfo

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from webhooks.door.problems import Problem
from webhooks.sheets.form import Form
from webhooks.sheets.table import Column, Kind, Row, Table
from webhooks.sheets.words import heading, values

MAX_ROWS = 1_048_576
"""Of a sheet, with its headings: Excel's limit. What is more goes on in another sheet."""

MAX_CELL_UNITS = 32_767
"""Of UTF-16 in a cell: Excel's limit."""

MAX_SHEET_NAME_UNITS = 31

DAY_SECONDS = 86_400

NUMBER_FORMATS = {
    Kind.TEXT: "@",
    Kind.INSTANT: "yyyy-mm-dd hh:mm:ss",
    Kind.DURATION: "[h]:mm:ss",
    Kind.PERCENTAGE: "0.0%",
    Kind.COUNT: "0",
    Kind.FLAG: "General",
}
"""Of the cells of each kind; the program that opens the file shows them as its language does."""

WIDTHS = {
    Kind.TEXT: 20,
    Kind.INSTANT: 20,
    Kind.DURATION: 12,
    Kind.PERCENTAGE: 12,
    Kind.COUNT: 12,
    Kind.FLAG: 12,
}
"""In characters."""

Write = Callable[[Worksheet, int, int, Any, Format], object]


class XlsxSheet:
    """The rows of a table as rows of a workbook."""

    def __init__(self, book: Workbook, table: Table, form: Form, *, max_rows: int) -> None:
        self._book, self._table, self._form = book, table, form
        self._max_rows = max_rows
        self._zone = form.zone or ZoneInfo("UTC")
        self._heading_format = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        formats = {kind: book.add_format({"num_format": NUMBER_FORMATS[kind]}) for kind in Kind}
        self._formats = [formats[column.kind] for column in table.columns]
        writes, words = _writes(self._zone), values(form.language)
        self._writes = [
            _worded(words[column.name]) if column.name in words else writes[column.kind]
            for column in table.columns
        ]
        self._sheet, self._next_row = self._begin_sheet(), 1

    @classmethod
    @contextmanager
    def opened(
        cls, file: IO[bytes], table: Table, form: Form, *, max_rows: int = MAX_ROWS
    ) -> Iterator[XlsxSheet]:
        """A sheet with its headings; the file is written at the end, and stays open."""
        with TemporaryDirectory() as folder:
            book = Workbook(file, {"constant_memory": True, "tmpdir": folder, "use_zip64": True})
            try:
                sheet = cls(book, table, form, max_rows=max_rows)
                yield sheet
                sheet._end_sheet()
                book.close()
            finally:
                _close_temporary_files(book)

    def add(self, row: Row) -> None:
        """Write one row. Raises Problem 400 for a text that no cell holds."""
        if self._next_row == self._max_rows:
            self._end_sheet()
            self._sheet, self._next_row = self._begin_sheet(), 1
        at, sheet = self._next_row, self._sheet
        cells = zip(self._writes, row, self._formats, strict=True)
        for column, (write, value, formatted) in enumerate(cells):
            if value is not None:
                write(sheet, at, column, value, formatted)
        self._next_row += 1

    def _begin_sheet(self) -> Worksheet:
        sheet = self._book.add_worksheet(self._sheet_name())
        if self._form.language == "ar":
            sheet.right_to_left()
        sheet.freeze_panes(1, 0)
        for number, (column, cells) in enumerate(
            zip(self._table.columns, self._formats, strict=True)
        ):
            sheet.set_column(number, number, WIDTHS[column.kind], cells)
            sheet.write_string(0, number, self._heading(column), self._heading_format)
        return sheet

    def _end_sheet(self) -> None:
        last_row, last_column = self._next_row - 1, len(self._table.columns) - 1
        self._sheet.autofilter(0, 0, last_row, last_column)
        # Else each id of digits alone is marked as a mistake.
        self._sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})

    def _sheet_name(self) -> str:
        number = len(self._book.worksheets()) + 1
        return sheet_name(heading(self._table.name, self._form.language), number)

    def _heading(self, column: Column) -> str:
        words = heading(column.heading or column.name, self._form.language)
        return f"{words} ({self._zone.key})" if column.kind is Kind.INSTANT else words


def sheet_name(words: str, number: int) -> str:
    """A name that Excel takes for the sheet of this number, from 1."""
    ending = "" if number == 1 else f" ({number})"
    plain = "".join("_" if char in "[]:*?/\\" else char for char in words if char.isprintable())
    room = MAX_SHEET_NAME_UNITS - len(ending)
    begun = plain.encode("utf-16-le")[: 2 * room].decode("utf-16-le", errors="ignore")
    begun = begun.strip(" '") or "_"
    # Excel keeps this name for itself.
    return (f"{begun}_" if begun.casefold() == "history" else begun) + ending


def _writes(zone: ZoneInfo) -> dict[Kind, Write]:
    """How a value of each kind is written."""

    def instant(sheet: Worksheet, row: int, column: int, value: datetime, cells: Format) -> object:
        local = value.astimezone(zone).replace(tzinfo=None)
        return sheet.write_datetime(row, column, local, cells)

    return {
        Kind.TEXT: _text,
        Kind.INSTANT: instant,
        Kind.DURATION: _share_of(DAY_SECONDS),
        Kind.PERCENTAGE: _share_of(100),
        Kind.COUNT: _share_of(1),
        Kind.FLAG: Worksheet.write_boolean,
    }


def _text(sheet: Worksheet, row: int, column: int, value: str, cells: Format) -> object:
    if len(value) * 2 > MAX_CELL_UNITS:
        _check_length(value)
    if value.startswith("<r>"):
        # XlsxWriter takes a text that also ends with `</r>` for XML of its own, and would write it
        # unescaped (findings/xlsxwriter-text-as-xml.sh). Of two parts it makes such XML itself.
        return sheet.write_rich_string(row, column, value[0], cells, value[1:], cells)
    return sheet.write_string(row, column, value, cells)


def _worded(words: Mapping[str, str]) -> Write:
    def text(sheet: Worksheet, row: int, column: int, value: str, cells: Format) -> object:
        return _text(sheet, row, column, words.get(value, value), cells)

    return text


def _share_of(whole: int) -> Write:
    def number(sheet: Worksheet, row: int, column: int, value: float, cells: Format) -> object:
        return sheet.write_number(row, column, value / whole, cells)

    return number


def _check_length(value: str) -> None:
    if len(value.encode("utf-16-le")) // 2 > MAX_CELL_UNITS:
        detail = (
            f"A text has more than the {MAX_CELL_UNITS} characters that a cell of XLSX holds. "
            "Ask for CSV or JSON."
        )
        raise Problem(400, "too-long-for-xlsx", detail)


def _close_temporary_files(book: Workbook) -> None:
    """Those of the rows, which XlsxWriter closes only when it writes the workbook."""
    for sheet in book.worksheets():
        sheet.row_data_fh.close()
