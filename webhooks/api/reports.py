"""Reports: everybody's attendance over many sessions, as JSON or as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Response, request
from sqlalchemy import Connection

from models.domain import held
from models.domain.attendance import Attendance
from models.domain.facts import Session
from models.lookup import report
from models.lookup.report import People, SessionOver
from models.lookup.session_list import Wanted
from models.storage import db
from webhooks.api import tables
from webhooks.api.roster import EXPORT_TIMEOUT_SECONDS
from webhooks.door import auth, reading
from webhooks.door.callers import Caller
from webhooks.door.context import backend, present
from webhooks.door.operation import CSV, JSON, Answer, operation
from webhooks.door.reading import Source
from webhooks.door.sending import take_seat
from webhooks.schemas import answers
from webhooks.schemas.fields import ROSTER_LINE
from webhooks.schemas.report_fields import GRID, REPORT_PERSON, REPORT_SESSION
from webhooks.schemas.report_queries import ReportQuery
from webhooks.schemas.report_replies import AttendanceReport

OF_SESSION = ("session_id", "title", "scheduled_at")
FILE_NAME = "attendance-report.csv"

reports = Blueprint("reports", __name__, url_prefix="/api/reports")


@dataclass(frozen=True, slots=True)
class Cell:
    """One person in one session."""

    session: Session
    attendance: Attendance


@reports.get("/attendance")
@operation(
    tokens=("administrator", "operator"),
    query=ReportQuery,
    answers={
        200: Answer(
            "The report. CSV has everybody, and is written as a roster's.",
            {JSON: AttendanceReport, CSV: None},
            {"Content-Disposition": "For CSV: a file name."},
        )
    },
    problems=(429,),
)
def attendance() -> Response:
    """What each person's attendance in many sessions amounts to, people by `user_id`.

    Only sessions that are over count, and hosts are not among the people. The token of a room's
    admin gets the sessions of that room.
    """
    now, caller, asked = present(), auth.administrator(), ReportQuery.of_request()
    take_seat(caller)
    answer = _csv if _is_csv(asked) else _json
    made = reading.from_standby(lambda source: answer(source, caller, asked), now=now)
    made.vary.add("Accept")
    return made


def _is_csv(asked: ReportQuery) -> bool:
    if asked.format is not None:
        return asked.format == "csv"
    return request.accept_mimetypes.best_match([JSON, "text/csv", CSV]) in ("text/csv", CSV)


def _json(source: Source, caller: Caller, asked: ReportQuery) -> Response:
    people, sessions = People(after=asked.after, most=asked.limit + 1), []
    with db.snapshot(source.engine, timeout=EXPORT_TIMEOUT_SECONDS) as conn:
        for over in report.sessions_over(
            conn, _wanted(source, caller, asked), rules=backend().rules
        ):
            sessions.append(orjson.Fragment(orjson.dumps(_session(over))))
            for person, seen in people.add(over):
                if asked.grid:
                    cell = GRID.of(Cell(over.session, seen))
                    person.kept.append(orjson.Fragment(orjson.dumps(cell)))
    *page, beyond = [*people.in_order(), *[None] * (asked.limit + 1)][: asked.limit + 1]
    shown = [_person(each, asked) for each in page if each is not None]
    following = shown[-1]["user_id"] if beyond is not None else None
    return answers.answer({"people": shown, "sessions": sessions, "next": following})


def _person(person: report.Person, asked: ReportQuery) -> dict[str, Any]:
    line = REPORT_PERSON.of(person)
    return line | {"attendances": person.kept} if asked.grid else line


def _session(over: SessionOver) -> dict[str, Any]:
    return REPORT_SESSION.of(over.session) | {"summary": answers.summary(over.people)}


def _wanted(source: Source, caller: Caller, asked: ReportQuery) -> Wanted:
    return asked.wanted(source.as_of, of_room=None if caller.operates else caller.room)


def _csv(source: Source, caller: Caller, asked: ReportQuery) -> Response:
    wanted = _wanted(source, caller, asked)
    columns = (*OF_SESSION, *ROSTER_LINE.columns) if asked.grid else REPORT_PERSON.columns
    rows = _attendance_rows if asked.grid else _person_rows
    with db.snapshot(source.engine, timeout=EXPORT_TIMEOUT_SECONDS) as conn:
        return tables.attachment(
            FILE_NAME, "text/csv", lambda file: tables.write_csv(file, columns, rows(conn, wanted))
        )


def _person_rows(conn: Connection, wanted: Wanted) -> Iterator[dict[str, Any]]:
    people = People()
    for over in report.sessions_over(conn, wanted, rules=backend().rules):
        for _ in people.add(over):
            pass
    yield from map(REPORT_PERSON.of, people.in_order())


def _attendance_rows(conn: Connection, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """A row for each person in each session, hosts not among them."""
    for over in report.sessions_over(conn, wanted, rules=backend().rules):
        of_session = REPORT_SESSION.of(over.session)
        expected = answers.expected_people(over.session)
        when_held = held.held(over.session, over.people)
        for seen in over.people:
            if not seen.is_host:
                yield of_session | answers.roster_line(seen, expected, when_held)
