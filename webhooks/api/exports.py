"""Tables as files to take away: how any table is answered, and those of a roster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from tempfile import SpooledTemporaryFile
from zoneinfo import ZoneInfo

from flask import Response, request, send_file

from models.domain.attendance import Attendance
from models.domain.facts import Meeting
from models.domain.held import NEVER, Held
from webhooks.door.context import backend
from webhooks.door.operation import CSV, JSON
from webhooks.schemas import answers
from webhooks.schemas.bodies import FileQuery
from webhooks.schemas.fields import ROSTER_LINE, SESSION, VISIT
from webhooks.sheets import sheet
from webhooks.sheets.form import MEDIA_TYPES, XLSX, Form, Format, file_name
from webhooks.sheets.sheet import Sheet
from webhooks.sheets.table import Column, Kind, Row, Table

TIMEOUT_SECONDS = 10.0
"""What the database has for the first row of a file: it sorts everybody's visits before."""

IN_MEMORY_BYTES = 1024 * 1024
"""A larger file is written to disk."""

SESSION_ID = Column("session_id", Kind.TEXT)
AS_OF = Column("as_of", Kind.INSTANT)

PERSONS = Table("attendance", (SESSION_ID, *ROSTER_LINE.columns, *SESSION.columns, AS_OF))
VISITS = Table(
    "visits",
    (
        SESSION_ID,
        Column("user_id", Kind.TEXT),
        Column("name", Kind.TEXT),
        *VISIT.columns,
        *SESSION.columns,
        AS_OF,
    ),
)

_FORMATS: dict[str, Format] = {"text/csv": "csv", CSV: "csv", XLSX: "xlsx"}
"""Two spellings of CSV's type: werkzeug compares parameters as well."""


def form_of(wanted: FileQuery) -> Form | None:
    """In which form the request asks for a file, by its query, else by `Accept`; None for JSON."""
    chosen = wanted.format
    if chosen is None:
        accepted = request.accept_mimetypes.best_match([JSON, *_FORMATS])
        chosen = _FORMATS.get(accepted or JSON)
    if chosen is None or chosen == "json":
        return None
    zone = ZoneInfo(wanted.tz) if wanted.tz else None
    if chosen == "xlsx":
        zone = zone or backend().rules.timezone
    return Form(chosen, zone, wanted.sep, wanted.lang)


def answer(table: Table, form: Form, fill: Callable[[Sheet], str]) -> Response:
    """A file of what `fill` adds to a sheet; it returns what the file is of, for its name.

    All of it or an error: it is written before it is sent. Sent while it is read, it would seem
    complete where the database broke off (the server ends such an answer as it ends any other), and
    a slow reader would hold a connection of the pool.
    """
    with ExitStack() as unless_sent:
        file = unless_sent.enter_context(SpooledTemporaryFile(IN_MEMORY_BYTES))
        with sheet.opened(file, table, form) as opened:
            subject = fill(opened)
        size = file.seek(0, 2)
        file.seek(0)
        # No ranges: another part of another moment's file would not fit.
        sent = send_file(
            file,
            MEDIA_TYPES[form.format],
            as_attachment=True,
            download_name=file_name(table.name, subject, form),
            conditional=False,
        )
        unless_sent.pop_all()
    sent.content_length = size
    sent.headers["Cache-Control"] = "private, no-store"
    sent.headers["X-Content-Type-Options"] = "nosniff"
    sent.vary.add("Accept")
    return sent


def person_rows(
    meeting: Meeting, people: Iterable[Attendance], when_held: Held, *, now: datetime
) -> Iterator[Row]:
    """Everybody's attendance as rows of PERSONS, as people come."""
    session, expected = meeting.session, meeting.expected
    of_session = (*SESSION.cells(session), now)
    for attendance in people:
        line = answers.Line(attendance, expected.get(attendance.user_id), when_held)
        yield session.id, *ROSTER_LINE.cells(line), *of_session


def visit_rows(meeting: Meeting, people: Iterable[Attendance], *, now: datetime) -> Iterator[Row]:
    """Everybody's visits as rows of VISITS, as people come."""
    session, expected = meeting.session, meeting.expected
    of_session = (*SESSION.cells(session), now)
    for attendance in people:
        line = answers.Line(attendance, expected.get(attendance.user_id), NEVER)
        for visit in attendance.visits:
            yield session.id, attendance.user_id, line.name, *VISIT.cells(visit), *of_session
