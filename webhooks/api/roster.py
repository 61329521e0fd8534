"""The roster: everybody's attendance in one session, as JSON, CSV or XLSX."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from flask import Blueprint, Response
from sqlalchemy import Connection

from models.domain.attendance import Attendance
from models.domain.facts import Cycle, Meeting, Session
from models.lookup import reach as reaching
from models.lookup import session_facts
from models.lookup.meetings import Facts
from models.lookup.reach import Reach
from models.storage import db
from webhooks.api import exports, meant
from webhooks.door import address, auth, reading
from webhooks.door.callers import Caller
from webhooks.door.context import backend, context, present
from webhooks.door.operation import CSV, JSON, Answer, operation
from webhooks.door.reading import Source
from webhooks.door.sending import take_seat
from webhooks.schemas import answers
from webhooks.schemas.bodies import RosterQuery
from webhooks.schemas.replies import Roster
from webhooks.sheets.form import XLSX, Form
from webhooks.sheets.sheet import Sheet
from webhooks.sheets.table import Row

SHORT_ROSTER = 1_000
"""Visits, or people who are expected. A longer roster takes a seat, as an export does."""

roster = Blueprint("roster", __name__, url_prefix="/api/sessions")


@roster.get("/<session>/attendance")
@operation(
    tokens=("administrator", "operator"),
    query=RosterQuery,
    answers={
        200: Answer(
            "The roster. CSV is UTF-8 with a byte order mark, and has a header line; a text that "
            "a spreadsheet could take for a formula has an apostrophe in front.",
            {JSON: Roster, CSV: None, XLSX: None},
            {"Content-Disposition": "For CSV and XLSX: a file name."},
        )
    },
    problems=(429,),
)
def attendance_roster(session: str) -> Response:
    """Everyone expected, or with a counted visit."""
    now, caller, asked = present(), auth.caller(), address.of_path(session)
    wanted = RosterQuery.of_request()
    context().room_access.check(caller, asked, None, now=now)
    form = exports.form_of(wanted)
    if form is None:
        return reading.from_standby(lambda source: _json(source, caller, asked, wanted), now=now)
    take_seat(caller)
    return reading.from_standby(lambda source: _file(source, caller, asked, wanted, form), now=now)


def _json(source: Source, caller: Caller, asked: str, wanted: RosterQuery) -> Response:
    now = source.as_of
    with db.reading(source.engine) as conn:
        known = _facts(conn, source, caller, asked)
        cycles = _cycles(conn, known, caller) if known else {}
    people, rules = sorted(cycles.items()), backend().rules
    seen = list(session_facts.everyone(known, people, now=now, rules=rules)) if known else []
    body = answers.roster(known.meeting if known else None, seen, now)
    if wanted.uncounted:
        body["uncounted"] = answers.uncounted(
            session_facts.uncounted(known, people, now=now, rules=rules) if known else ()
        )
    sent = answers.answer(body)
    sent.vary.add("Accept")
    return sent


def _cycles(conn: Connection, known: Facts, caller: Caller) -> dict[str, list[Cycle]]:
    """Everybody's cycles. Raises Problem 429 when they are many and there is no seat for that."""
    cycles = reaching.within(conn, known.reach, most=SHORT_ROSTER + 1)
    if max(len(cycles), len(known.meeting.session.expected)) > SHORT_ROSTER:
        take_seat(caller)
        cycles = reaching.within(conn, known.reach)
    return session_facts.by_user(cycles)


def _file(source: Source, caller: Caller, asked: str, wanted: RosterQuery, form: Form) -> Response:
    now, visits = source.as_of, wanted.cycles

    def fill(sheet: Sheet) -> str:
        with db.snapshot(source.engine, timeout=exports.TIMEOUT_SECONDS) as conn:
            known = _facts(conn, source, caller, asked) or _nothing(asked)
            session = known.meeting.session
            rows = _visit_rows if visits else _person_rows
            for row in rows(conn, known, now):
                sheet.add(row)
        return session.id

    return exports.answer(exports.VISITS if visits else exports.PERSONS, form, fill)


def _person_rows(conn: Connection, known: Facts, now: datetime) -> Iterator[Row]:
    when_held = session_facts.when_held(conn, known, now=now, rules=backend().rules)
    people = _everyone(conn, known, now)
    return exports.person_rows(known.meeting, people, when_held, now=now)


def _visit_rows(conn: Connection, known: Facts, now: datetime) -> Iterator[Row]:
    return exports.visit_rows(known.meeting, _everyone(conn, known, now), now=now)


def _everyone(conn: Connection, known: Facts, now: datetime) -> Iterator[Attendance]:
    """A person at a time, however many there are."""
    cycles = reaching.by_user(conn, known.reach)
    return session_facts.everyone(known, cycles, now=now, rules=backend().rules)


def _facts(conn: Connection, source: Source, caller: Caller, asked: str) -> Facts | None:
    """The session's facts, as far as this caller may see them; None when nothing is known of it
    yet. What a standby does not know may not have come to it: NotThere."""
    known = meant.facts(conn, caller, asked, now=source.as_of)
    if known is None and source.is_standby:
        raise reading.NotThere
    return known


def _nothing(asked: str) -> Facts:
    return Facts(Meeting(Session(asked, asked)), Reach(asked, frozenset()))
