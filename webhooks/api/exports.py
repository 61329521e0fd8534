"""A roster as CSV (RFC 4180), for spreadsheets: Arabic shows as Arabic, and nothing is evaluated.

Fields, words and times are those of the JSON. A text that a spreadsheet could take for a formula
gets one apostrophe in front of it, and is otherwise left as it is.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime
from io import TextIOWrapper
from typing import IO, Any

from models.domain.attendance import Attendance
from models.domain.facts import Session
from models.domain.held import Held
from webhooks.schemas import answers
from webhooks.schemas.fields import ROSTER_LINE, VISIT, instant

PERSONS = ROSTER_LINE.columns
VISITS = ("user_id", "name", *VISIT.columns)

MAX_FILE_NAME_BYTES = 180
"""Of the session's id in a file's name; file systems allow 255 for all of it."""

_BEGINS_FORMULA = re.compile(
    # Where a cell begins: a spreadsheet may be set to another separator than the comma, and then
    # it knows nothing of our quotes.
    r"(?:\A|(?<=[;|\t\r\n]))"
    # What programs pass over, and apostrophes, so that adding one can be undone.
    r"(?=[\s\x00-\x1f\"'\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*"
    r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
)
_NOT_IN_A_FILE_NAME = frozenset("<>:\"/\\|?*%;'")


def write(
    file: IO[bytes],
    session: Session,
    people: Iterable[Attendance],
    *,
    when_held: Held,
    now: datetime,
    visits: bool,
) -> None:
    """Write everybody's attendance, one line a person or one a visit, as they come.

    UTF-8 with a byte order mark, without which spreadsheets guess another encoding.
    """
    text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    columns = VISITS if visits else PERSONS
    writer.writerow(("session_id", *columns, "as_of"))
    session_id, as_of = cell(session.id), instant(now)
    for line in _lines(session, people, when_held=when_held, visits=visits):
        writer.writerow((session_id, *(cell(line[column]) for column in columns), as_of))
    text.flush()
    text.detach()


def cell(value: str | float | None) -> str | float:
    """A value as it stands in a cell: nothing for null, and never a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _BEGINS_FORMULA.sub("'", value) if isinstance(value, str) else value


def file_name(session_id: str, *, visits: bool) -> str:
    """A name that any file system takes and nobody can be misled by."""
    text = "".join(
        char if char.isprintable() and char not in _NOT_IN_A_FILE_NAME else "_"
        for char in unicodedata.normalize("NFC", session_id)
    )
    text = text.encode()[:MAX_FILE_NAME_BYTES].decode(errors="ignore").strip(" .")
    return f"{'visits' if visits else 'attendance'}-{text}.csv"


def _lines(
    session: Session, people: Iterable[Attendance], *, when_held: Held, visits: bool
) -> Iterator[dict[str, Any]]:
    expected = answers.expected_people(session)
    for attendance in people:
        line = answers.roster_line(attendance, expected, when_held)
        if visits:
            yield from (line | VISIT.of(visit) for visit in attendance.visits)
        else:
            yield line
