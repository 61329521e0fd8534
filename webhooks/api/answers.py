"""The JSON that goes out: sessions, statuses, rosters. Field names and meanings are the API's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from models.domain.facts import Meeting, Session
from models.domain.fold import Attendance
from models.domain.visit import Visit
from webhooks.door.responses import Response

STATUSES = ("present", "completed", "absent", "left", "not_joined")


def answer(told: object, *, status: int = 200, outcome: str | None = None) -> Response:
    """A JSON answer that no browser and no proxy keeps; `outcome` says what the cache did."""
    made = Response(orjson.dumps(told), status, content_type="application/json")
    made.headers["Cache-Control"] = "private, no-store"
    if outcome is not None:
        made.headers["X-Cache"] = outcome
    return made


def status(session: Session, seen: Attendance) -> dict[str, Any]:
    """One person's status in a session."""
    return {
        "session_id": session.id,
        **_person(seen),
        "session": _brief(session),
        "as_of": instant(seen.as_of),
    }


def unknown_status(address: str, seen: Attendance) -> dict[str, Any]:
    """The status of somebody in a session that nobody knows yet."""
    return {
        "session_id": address,
        **_person(seen),
        "session": _brief(None),
        "as_of": instant(seen.as_of),
    }


def roster(meeting: Meeting | None, people: Sequence[Attendance], now: datetime) -> dict[str, Any]:
    """Everybody's attendance, with names and visits."""
    counts = Counter(one.attendance_status for one in people)
    session = meeting.session if meeting else None
    names = expected_names(session)
    return {
        "session": {"session_id": session.id if session else None, **_brief(session)},
        "summary": {"total": len(people)} | {word: counts[word] for word in STATUSES},
        "attendances": [
            roster_line(one, names) | {"cycles": [visit(cycle) for cycle in one.visits]}
            for one in people
        ],
        "as_of": instant(now),
    }


def roster_line(seen: Attendance, names: Mapping[str, str | None]) -> dict[str, Any]:
    """One person of a roster, without their visits; `names` are those of the expected."""
    return {**_person(seen), "name": seen.name or names.get(seen.user_id)}


def visit(one: Visit) -> dict[str, Any]:
    """One visit of a roster."""
    return {
        "participant_sid": one.cycle.participant_sid,
        "joined_at": instant(one.joined_at),
        "left_at": instant(one.ended_at),
        "source": one.cycle.source,
        "disconnect_reason": one.cycle.disconnect_reason,
        "estimated": one.estimated,
        "ended_by": one.ended_by,
    }


def expected_names(session: Session | None) -> dict[str, str | None]:
    """What the session calls the people that it expects, by user id."""
    return {one.user_id: one.name for one in session.expected} if session else {}


def session(told: Session) -> dict[str, Any]:
    """A session as operators put and get it."""
    return {
        "session_id": told.id,
        **_brief(told),
        "academy_id": told.academy_id,
        "duration_minutes": told.duration_minutes,
        "late_after_minutes": told.late_after_minutes,
        "minimum_percentage": told.minimum_percentage,
        "expected": [{"user_id": one.user_id, "name": one.name} for one in told.expected],
        "made_by": told.made_by,
    }


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond where there is a fraction."""
    if at is None:
        return None
    spec = "milliseconds" if at.microsecond >= 1000 else "seconds"
    return at.astimezone(UTC).isoformat(timespec=spec).replace("+00:00", "Z")


def _brief(told: Session | None) -> dict[str, Any]:
    if told is None:
        return dict.fromkeys(("session_type", "room_name", "scheduled_at", "ends_at"))
    return {
        "session_type": told.session_type,
        "room_name": told.room_name,
        "scheduled_at": instant(told.scheduled_at),
        "ends_at": instant(told.ends_at),
    }


def _person(seen: Attendance) -> dict[str, Any]:
    return {
        "user_id": seen.user_id,
        "is_currently_in_meeting": seen.is_currently_in_meeting,
        "attendance_status": seen.attendance_status,
        "duration_minutes": seen.duration // timedelta(minutes=1),
        "duration_seconds": seen.duration // timedelta(seconds=1),
        "join_count": seen.join_count,
        "first_joined_at": instant(seen.first_joined_at),
        "last_left_at": instant(seen.last_left_at),
        "is_late": seen.is_late,
        "left_early": seen.left_early,
        "attendance_percentage": seen.attendance_percentage,
        "meets_minimum": seen.meets_minimum,
        "final": seen.final,
    }
