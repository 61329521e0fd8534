"""The JSON that goes out: sessions, statuses, rosters. `fields` declares what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import orjson

from models.domain import held
from models.domain.attendance import Attendance
from models.domain.corrections import Correction
from models.domain.counting import Uncounted
from models.domain.facts import Meeting, Person, Session
from models.domain.held import Held
from models.lookup import session_list
from webhooks.door.responses import Response
from webhooks.schemas import fields
from webhooks.schemas.fields import instant

STATUSES = get_args(fields.AttendanceStatus)


@dataclass(frozen=True, slots=True)
class Line:
    """One person of a roster: their attendance, as whom the session expects them, if it does, and
    when the session was held.

    What somebody calls themselves never stands over the name that was registered.
    """

    attendance: Attendance
    person: Person | None
    held: Held

    @property
    def held_percentage(self) -> float | None:
        return self.held.percentage(self.attendance)

    @property
    def name(self) -> str | None:
        registered = self.person.name if self.person is not None else None
        return registered or self.attendance.name

    @property
    def expected(self) -> bool:
        return self.person is not None


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
    session = meeting.session if meeting else None
    expected = meeting.expected if meeting else {}
    when_held = held.held(session, people)
    corrections = meeting.corrections.made if meeting and meeting.only is None else ()
    return {
        "session": {"session_id": session and session.id, **fields.SESSION.of(session)},
        "summary": summary(people),
        "attendances": [
            roster_line(attendance, expected, when_held)
            | {"cycles": [fields.VISIT.of(visit) for visit in attendance.visits]}
            for attendance in people
        ],
        "corrections": [correction(each) for each in corrections],
        "as_of": instant(now),
    }


def summary(people: Sequence[Attendance]) -> dict[str, int]:
    """How many people, and how many of each status; hosts are not among them."""
    counted = [attendance for attendance in people if not attendance.is_host]
    counts = Counter(attendance.attendance_status for attendance in counted)
    return {"total": len(counted)} | {word: counts[word] for word in STATUSES}


def correction(made: Correction) -> dict[str, Any]:
    """What was corrected, by whom and when, and whether it was undone."""
    return fields.CORRECTION.of(made)


def uncounted(found: Iterable[Uncounted]) -> list[dict[str, Any]]:
    """The connections that are no visits, each with why."""
    return [fields.UNCOUNTED.of(each) for each in found]


def roster_line(
    attendance: Attendance, expected: Mapping[str, Person], when_held: Held
) -> dict[str, Any]:
    """One person of a roster, without their visits; `expected` are those of the session."""
    return fields.ROSTER_LINE.of(Line(attendance, expected.get(attendance.user_id), when_held))


def session(registered: Session, overlaps: Sequence[str], now: datetime) -> dict[str, Any]:
    """A session as operators put and get it; `overlaps`: classes of its rooms at the same time."""
    return {
        "session_id": registered.id,
        **fields.SESSION.of(registered),
        "academy_id": registered.academy_id,
        "course_id": registered.course_id,
        "hosts": list(registered.hosts),
        "labels": list(registered.labels),
        "duration_minutes": registered.duration_minutes,
        "late_after_minutes": registered.late_after_minutes,
        "expected": [
            {"user_id": person.user_id, "name": person.name} for person in registered.expected
        ],
        "rooms": list(registered.rooms),
        "status": session_list.status(registered, now=now),
        "overlaps": list(overlaps),
    }


def _status(session_id: str, session: Session | None, attendance: Attendance) -> dict[str, Any]:
    return {
        "session_id": session_id,
        **fields.PERSON.of(attendance),
        "session": fields.SESSION.of(session),
        "as_of": instant(attendance.as_of),
    }
