"""The roster: everybody's attendance in one session, as JSON or as CSV."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from tempfile import SpooledTemporaryFile

from flask import Blueprint, Response, request, send_file
from sqlalchemy import Connection

from models.domain.facts import Cycle, Meeting, Session
from models.lookup import reach as reaching
from models.lookup import session_facts
from models.lookup.meetings import Facts
from models.lookup.reach import Reach
from models.storage import db
from webhooks.api import exports
from webhooks.door import address, auth, reading
from webhooks.door.callers import Caller
from webhooks.door.context import backend, context, present
from webhooks.door.operation import CSV, JSON, Answer, operation
from webhooks.door.reading import Source
from webhooks.door.sending import take_seat
from webhooks.schemas import answers
from webhooks.schemas.bodies import RosterQuery
from webhooks.schemas.replies import Roster

EXPORT_TIMEOUT_SECONDS = 10.0
"""What the database has for the first row of an export: it sorts everybody's visits before."""

IN_MEMORY_BYTES = 1024 * 1024
"""A larger export is written to a temporary file."""

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
            {JSON: Roster, CSV: None},
            {"Content-Disposition": "For CSV: a file name."},
        )
    },
    problems=(429,),
)
def attendance_roster(session: str) -> Response:
    """Everyone expected, or with a counted visit."""
    now, caller, asked = present(), auth.caller(), address.of_path(session)
    wanted = RosterQuery.of_request()
    context().room_access.check(caller, asked, None, now=now)
    is_csv = _is_csv(wanted)
    if is_csv:
        take_seat(caller)
    answer = _csv if is_csv else _json
    return reading.from_standby(lambda source: answer(source, caller, asked, wanted), now=now)


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


def _is_csv(wanted: RosterQuery) -> bool:
    if wanted.format is not None:
        return wanted.format == "csv"
    # Two spellings of one type: werkzeug compares parameters as well.
    return request.accept_mimetypes.best_match([JSON, "text/csv", CSV]) in ("text/csv", CSV)


def _csv(source: Source, caller: Caller, asked: str, wanted: RosterQuery) -> Response:
    """All of it or an error: it is written before it is sent.

    Sent while it is read, it would seem complete where the database broke off (the server ends
    such an answer as it ends any other), and a slow reader would hold a connection of the pool.
    """
    now, visits = source.as_of, wanted.cycles
    with ExitStack() as unless_sent:
        file = unless_sent.enter_context(SpooledTemporaryFile(IN_MEMORY_BYTES))
        with db.snapshot(source.engine, timeout=EXPORT_TIMEOUT_SECONDS) as conn:
            known = _facts(conn, source, caller, asked) or _nothing(asked)
            meeting, cycles = known.meeting, reaching.by_user(conn, known.reach)
            when_held = session_facts.when_held(conn, known, now=now, rules=backend().rules)
            people = session_facts.everyone(known, cycles, now=now, rules=backend().rules)
            exports.write(
                file, meeting.session, people, when_held=when_held, now=now, visits=visits
            )
        size = file.tell()
        file.seek(0)
        name = exports.file_name(meeting.session.id, visits=visits)
        # No ranges: another part of another moment's file would not fit.
        sent = send_file(
            file, "text/csv", as_attachment=True, download_name=name, conditional=False
        )
        unless_sent.pop_all()
    sent.content_length = size
    sent.headers["Cache-Control"] = "private, no-store"
    sent.headers["X-Content-Type-Options"] = "nosniff"
    sent.vary.add("Accept")
    return sent


def _facts(conn: Connection, source: Source, caller: Caller, asked: str) -> Facts | None:
    """The session's facts, as far as this caller may see them; None when nothing is known of it
    yet. What a standby does not know may not have come to it: NotThere."""
    now, rules = source.as_of, backend().rules
    known = session_facts.facts_at(conn, asked, user_id=None, now=now, rules=rules)
    if address.is_another_rooms(caller, known.meeting if known else None, asked):
        known = session_facts.facts_of_name(conn, asked, user_id=None, now=now, rules=rules)
    meeting = address.visible(caller, known.meeting if known else None, asked, None, now=now)
    if meeting is None and source.is_standby:
        raise reading.NotThere
    return replace(known, meeting=meeting) if known and meeting else None


def _nothing(asked: str) -> Facts:
    return Facts(Meeting(Session(asked, asked)), Reach(asked, frozenset()))
