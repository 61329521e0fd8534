"""Reports: everybody's attendance over many sessions, as JSON, CSV or XLSX."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Response
from sqlalchemy import Connection

from models.domain import held
from models.domain.attendance import Attendance
from models.domain.facts import Session
from models.lookup import report
from models.lookup.report import People, SessionOver
from models.lookup.session_list import Wanted
from models.storage import db
from webhooks.api import exports
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
from webhooks.sheets.form import XLSX, Form
from webhooks.sheets.sheet import Sheet
from webhooks.sheets.table import Row, Table

PEOPLE_TABLE = Table("report", REPORT_PERSON.columns)
GRID_TABLE = Table("report", (*REPORT_SESSION.columns, *ROSTER_LINE.columns))
MOST_CELLS = 200_000
"""Of a grid as JSON, which is made whole in memory: 50 MB. A page with more has fewer people."""

EVERYTHING = "all"
"""What a file is named by that no filter narrows."""

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
            "The report. CSV and XLSX have everybody, and are written as a roster's.",
            {JSON: AttendanceReport, CSV: None, XLSX: None},
            {"Content-Disposition": "For CSV and XLSX: a file name."},
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
    form = exports.form_of(asked)
    if form is None:
        return reading.from_standby(lambda source: _json(source, caller, asked), now=now)
    return reading.from_standby(lambda source: _file(source, caller, asked, form), now=now)


def _json(source: Source, caller: Caller, asked: ReportQuery) -> Response:
    people, sessions, cells = People(after=asked.after, most=asked.limit + 1), [], 0
    with db.snapshot(source.engine, timeout=exports.TIMEOUT_SECONDS) as conn:
        for over in report.sessions_over(
            conn, _wanted(source, caller, asked), rules=backend().rules
        ):
            sessions.append(orjson.Fragment(orjson.dumps(_session(over))))
            for person, seen in people.add(over):
                if asked.grid:
                    cell = GRID.of(Cell(over.session, seen))
                    person.kept.append(orjson.Fragment(orjson.dumps(cell)))
                    cells += 1
            if cells > MOST_CELLS:
                cells = people.fit(MOST_CELLS // 2)
    listed = people.in_order()
    shown = [_person(each, asked) for each in listed[: asked.limit]]
    following = shown[-1]["user_id"] if people.is_cut or len(listed) > asked.limit else None
    made = answers.answer({"people": shown, "sessions": sessions, "next": following})
    made.vary.add("Accept")
    return made


def _person(person: report.Person, asked: ReportQuery) -> dict[str, Any]:
    line = REPORT_PERSON.of(person)
    return line | {"attendances": person.kept} if asked.grid else line


def _session(over: SessionOver) -> dict[str, Any]:
    return REPORT_SESSION.of(over.session) | {"summary": answers.summary(over.people)}


def _wanted(source: Source, caller: Caller, asked: ReportQuery) -> Wanted:
    return asked.wanted(source.as_of, of_room=None if caller.operates else caller.room)


def _file(source: Source, caller: Caller, asked: ReportQuery, form: Form) -> Response:
    wanted = _wanted(source, caller, asked)
    rows = _attendance_rows if asked.grid else _person_rows

    def fill(sheet: Sheet) -> str:
        with db.snapshot(source.engine, timeout=exports.TIMEOUT_SECONDS) as conn:
            for row in rows(conn, wanted):
                sheet.add(row)
        return asked.course_id or asked.academy_id or asked.room_name or EVERYTHING

    return exports.answer(GRID_TABLE if asked.grid else PEOPLE_TABLE, form, fill)


def _person_rows(conn: Connection, wanted: Wanted) -> Iterator[Row]:
    people = People()
    for over in report.sessions_over(conn, wanted, rules=backend().rules):
        for _ in people.add(over):
            pass
    yield from map(REPORT_PERSON.cells, people.in_order())


def _attendance_rows(conn: Connection, wanted: Wanted) -> Iterator[Row]:
    """A row for each person in each session, hosts not among them."""
    for over in report.sessions_over(conn, wanted, rules=backend().rules):
        of_session = REPORT_SESSION.cells(over.session)
        expected = over.meeting.expected
        when_held = held.held(over.session, over.people)
        for seen in over.people:
            if not seen.is_host:
                line = answers.Line(seen, expected.get(seen.user_id), when_held)
                yield [*of_session, *ROSTER_LINE.cells(line)]
