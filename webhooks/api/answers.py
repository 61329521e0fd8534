"""The JSON that goes out: sessions, statuses, rosters. `fields` declares what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

import orjson

from models.domain.attendance import Attendance
from models.domain.counting import Uncounted
from models.domain.facts import Meeting, Session
from webhooks.api import fields
from webhooks.api.fields import instant
from webhooks.door.responses import Response

STATUSES = get_args(fields.AttendanceStatus)


def answer(value: object, *, status: int = 200, outcome: str | None = None) -> Response:
    """A JSON answer that no browser and no proxy keeps; `outcome` says what the cache did."""
    made = Response(orjson.dumps(value), status, content_type="application/json")
    made.headers["Cache-Control"] = "private, no-store"
    if outcome is not None:
        made.headers["X-Cache"] = outcome
    return made


def status(session: Session, attendance: Attendance) -> dict[str, Any]:
    """One person's status in a session."""
    return _status(session.id, session, attendance)


def unknown_status(address: str, attendance: Attendance) -> dict[str, Any]:
    """The status of somebody in a session that nobody knows yet."""
    return _status(address, None, attendance)


def roster(meeting: Meeting | None, people: Sequence[Attendance], now: datetime) -> dict[str, Any]:
    """Everybody's attendance, with names and visits."""
    counts = Counter(attendance.attendance_status for attendance in people)
    session = meeting.session if meeting else None
    names = expected_names(session)
    return {
        "session": {"session_id": session and session.id, **fields.SESSION.of(session)},
        "summary": {"total": len(people)} | {word: counts[word] for word in STATUSES},
        "attendances": [
            roster_line(attendance, names)
            | {"cycles": [fields.VISIT.of(visit) for visit in attendance.visits]}
            for attendance in people
        ],
        "as_of": instant(now),
    }


def uncounted(found: Iterable[Uncounted]) -> list[dict[str, Any]]:
    """The connections that are no visits, each with why."""
    return [fields.UNCOUNTED.of(each) for each in found]


def roster_line(attendance: Attendance, names: Mapping[str, str | None]) -> dict[str, Any]:
    """One person of a roster, without their visits; `names` are those of the expected."""
    line = fields.ROSTER_LINE.of(attendance)
    line["name"] = line["name"] or names.get(attendance.user_id)
    return line


def expected_names(session: Session | None) -> dict[str, str | None]:
    """What the session calls the people that it expects, by user id."""
    return {person.user_id: person.name for person in session.expected} if session else {}


def session(registered: Session, overlaps: Sequence[str]) -> dict[str, Any]:
    """A session as operators put and get it; `overlaps`: classes of its rooms at the same time."""
    return {
        "session_id": registered.id,
        **fields.SESSION.of(registered),
        "academy_id": registered.academy_id,
        "duration_minutes": registered.duration_minutes,
        "late_after_minutes": registered.late_after_minutes,
        "minimum_percentage": registered.minimum_percentage,
        "expected": [
            {"user_id": person.user_id, "name": person.name} for person in registered.expected
        ],
        "rooms": list(registered.rooms),
        "made_by": registered.made_by,
        "overlaps": list(overlaps),
    }


def _status(session_id: str, session: Session | None, attendance: Attendance) -> dict[str, Any]:
    return {
        "session_id": session_id,
        **fields.PERSON.of(attendance),
        "session": fields.SESSION.of(session),
        "as_of": instant(attendance.as_of),
    }
