"""The way in: a file is opened for a table, gets its rows as they come, and is ended.

Memory does not grow with the rows. What is written before the end is no file yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from webhooks.sheets.csv_sheet import CsvSheet
from webhooks.sheets.form import Form
from webhooks.sheets.table import Row, Table
from webhooks.sheets.xlsx_sheet import XlsxSheet


class Sheet(Protocol):
    """What takes the rows of one file, in their order."""

    def add(self, row: Row) -> None:
        """Raises Problem 400 for what the format can't hold."""


@contextmanager
def opened(file: IO[bytes], table: Table, form: Form) -> Iterator[Sheet]:
    """A sheet that writes to `file`. The file is whole when the block ends without an error, and
    stays open; after an error nothing of it is of use, and no temporary file is left."""
    writer = CsvSheet if form.format == "csv" else XlsxSheet
    with writer.opened(file, table, form) as sheet:
        yield sheet
