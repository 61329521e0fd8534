"""A table as a file: rows of values under their columns' names, written as they come.

How a file is written stands here alone, so that another format is another writer.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from flask import Response, send_file

from webhooks.api import exports

IN_MEMORY_BYTES = 1024 * 1024
"""A larger file is written to a temporary one."""


def write_csv(file: IO[bytes], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A line for each row, as `exports` writes rosters: UTF-8 with a byte order mark."""
    text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([exports.cell(row[column]) for column in columns])
    text.flush()
    text.detach()


def attachment(name: str, media_type: str, write: Callable[[IO[bytes]], None]) -> Response:
    """What `write` writes, as a file to be saved by this name: all of it, or an error."""
    with ExitStack() as unless_sent:
        file = unless_sent.enter_context(SpooledTemporaryFile(IN_MEMORY_BYTES))
        write(file)
        size = file.tell()
        file.seek(0)
        sent = send_file(
            file, media_type, as_attachment=True, download_name=name, conditional=False
        )
        unless_sent.pop_all()
    sent.content_length = size
    sent.headers["Cache-Control"] = "private, no-store"
    sent.headers["X-Content-Type-Options"] = "nosniff"
    return sent
