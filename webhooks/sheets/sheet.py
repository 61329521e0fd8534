"""The way in: a file is opened for a table, gets its rows as they come, and is ended.

Memory does not grow with the rows. What is written before the end is no file yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

from webhooks.sheets.csv_sheet import CsvSheet
from webhooks.sheets.form import Form
from webhooks.sheets.table import Row, Table

if TYPE_CHECKING:
    from webhooks.sheets.xlsx_sheet import XlsxSheet


class Sheet(Protocol):
    """What takes the rows of one file, in their order."""

    def add(self, row: Row) -> None:
        """Raises Problem 400 for what the format can't hold."""


@contextmanager
def opened(file: IO[bytes], table: Table, form: Form) -> Iterator[Sheet]:
    """A sheet that writes to `file`. The file is whole when the block ends without an error, and
    stays open; after an error nothing of it is of use, and no temporary file is left."""
    with _writer(form).opened(file, table, form) as sheet:
        yield sheet


def _writer(form: Form) -> type[CsvSheet] | type[XlsxSheet]:
    if form.format == "csv":
        return CsvSheet
    from webhooks.sheets.xlsx_sheet import XlsxSheet  # noqa: PLC0415  (most processes write none)

    return XlsxSheet
