"""The roster: everybody's attendance in one session."""

from __future__ import annotations

from flask import Blueprint, Response

from models import attendance, db
from webhooks import address, answers, auth
from webhooks.context import backend, present
from webhooks.operation import json, operation
from webhooks.problems import forbidden
from webhooks.replies import Roster

roster = Blueprint("roster", __name__, url_prefix="/api/sessions")


@roster.get("/<session>/attendance")
@operation(tokens=("administrator", "operator"), answers={200: json("The roster.", Roster)})
def attendance_roster(session: str) -> Response:
    """Everyone expected, or with a counted visit."""
    now, caller, asked = present(), auth.caller(), address.of_path(session)
    with db.reading(backend().engine) as conn:
        meeting = attendance.meeting_at(conn, asked, now=now)
        if meeting is None:
            address.check_unknown(caller, asked, None, now=now)
            return answers.answer(answers.roster(None, (), now))
        if not caller.may_see(None, meeting.room_names):
            raise forbidden()
        cycles = attendance.cycles_by_user(conn, meeting.session.id)
    seen = attendance.roster(meeting, cycles, now=now, rules=backend().rules)
    return answers.answer(answers.roster(meeting, seen, now))
