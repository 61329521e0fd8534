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

from models.domain.facts import Session
from models.domain.fold import Attendance
from webhooks.api import answers

PERSON = (
    "user_id",
    "name",
    "attendance_status",
    "is_currently_in_meeting",
    "first_joined_at",
    "last_left_at",
    "duration_minutes",
    "duration_seconds",
    "join_count",
    "is_late",
    "left_early",
    "attendance_percentage",
    "meets_minimum",
    "final",
)
VISIT = (
    "participant_sid",
    "joined_at",
    "left_at",
    "source",
    "disconnect_reason",
    "estimated",
    "ended_by",
)

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
    now: datetime,
    visits: bool,
) -> None:
    """Write everybody's attendance, one line a person or one a visit, as they come.

    UTF-8 with a byte order mark, without which spreadsheets guess another encoding.
    """
    text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    columns = ("user_id", "name", *VISIT) if visits else PERSON
    writer.writerow(("session_id", *columns, "as_of"))
    session_id, as_of = cell(session.id), answers.instant(now)
    for line in _lines(session, people, visits=visits):
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
        one if one.isprintable() and one not in _NOT_IN_A_FILE_NAME else "_"
        for one in unicodedata.normalize("NFC", session_id)
    )
    text = text.encode()[:MAX_FILE_NAME_BYTES].decode(errors="ignore").strip(" .")
    return f"{'visits' if visits else 'attendance'}-{text}.csv"


def _lines(
    session: Session, people: Iterable[Attendance], *, visits: bool
) -> Iterator[dict[str, Any]]:
    names = answers.expected_names(session)
    for one in people:
        line = answers.roster_line(one, names)
        if visits:
            yield from (line | answers.visit(visit) for visit in one.visits)
        else:
            yield line
