"""Manual joins and leaves: "the frontend says I joined", so that attendance works without LiveKit.

Each is a ledger event like a webhook, applied at once by the same fold, in the transaction that
stores it. A join makes (or finds) a visit; a leave names its visit and ends only that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

import structlog
from flask import Blueprint
from sqlalchemy import Connection

from models.domain import attendance, event, ownership, visit
from models.domain.event import CLIENT_JOINED, CLIENT_LEFT, Event
from models.domain.facts import Cycle, Meeting
from models.ledger import apply as ledger
from models.storage import db
from models.tables import cycle, session, session_facts, webhook_event
from webhooks.api import answers
from webhooks.api.bodies import JoinBody, LeaveBody
from webhooks.api.replies import JoinStatus, Status
from webhooks.door import address, auth
from webhooks.door.callers import Caller
from webhooks.door.context import backend, present
from webhooks.door.operation import json, operation
from webhooks.door.problems import Problem, forbidden
from webhooks.door.responses import Response
from worker.cache.change import Change, changing

join = Blueprint("join", __name__, url_prefix="/api/sessions/meeting")

MOST_VISITS = 100
"""Manual joins of one person to one session that make a visit each."""

MOST_SIGNS = 20
"""Joins that are kept of one visit: pages are reloaded, and learn claims and names."""

FULL_SECONDS = 3600

log = structlog.get_logger()


@join.post("/join")
@operation(
    tokens=("participant",),
    body=JoinBody,
    answers={
        201: json("A new visit.", JoinStatus),
        200: json("The visit that was already open.", JoinStatus),
    },
    problems=(429,),
)
def record_join() -> Response:
    """201 with a new visit, 200 with the one that is already open."""
    now, caller, asked = present(), auth.participant(), JoinBody.of_request()
    with changing(backend()) as change:
        conn = change.conn
        _hold(conn, caller)
        session_id = _session_to_join(conn, caller, asked, now)
        meeting, cycles = _facts(conn, session_id, caller)
        already = visit.open_visit(meeting, cycles, now=now, rules=backend().rules)
        if already is None:
            _check_visits(cycles)
        told = Event(
            event_id=f"CJ_{uuid4().hex}",
            event=CLIENT_JOINED,
            created_at=now,
            source="client",
            room_name=caller.room,
            user_id=caller.user_id,
            name=asked.name,
            session_id=session_id,
            visit=already.cycle_id if already else f"VI_{uuid4().hex}",
            claimed_sid=asked.participant_sid,
        )
        if not _is_full(conn, already):
            _apply(change, told, now)
        seen = _status(conn, session_id, caller, now)
    log.info("join.recorded", session_id=session_id, cache_cleared=change.cleared)
    return answers.answer(seen | {"visit": told.visit}, status=200 if already else 201)


@join.post("/leave")
@operation(
    tokens=("participant",),
    body=LeaveBody,
    answers={200: json("The status after it.", Status)},
    problems=(404, 429),
)
def record_leave() -> Response:
    """The status after it. Leaving again changes nothing: pages leave twice."""
    asked = LeaveBody.of_request()
    now, caller = present(), auth.participant(asked.access_token)
    with changing(backend()) as change:
        conn = change.conn
        _hold(conn, caller)
        left = _own_visit(conn, caller, asked.visit)
        told = Event(
            event_id=f"CL_{uuid4().hex}",
            event=CLIENT_LEFT,
            created_at=now,
            source="client",
            room_name=left.room_name,
            user_id=left.user_id,
            session_id=left.named_session,
            visit=left.cycle_id,
        )
        if not left.client_leave:
            _apply(change, told, now)
        session_id = left.session_id or asked.session_id
        seen = _status(conn, session_id, caller, now)
    log.info("leave.recorded", session_id=session_id, cache_cleared=change.cleared)
    return answers.answer(seen)


def _hold(conn: Connection, caller: Caller) -> None:
    """Keep the room's sessions as they are registered, and this person to one request at a time."""
    db.lock(conn, [caller.room or ""], shared=True)
    db.lock(conn, [f"person:{caller.user_id}"])


def _check_visits(cycles: Sequence[Cycle]) -> None:
    """Nobody comes so often: what one person can have stored is bounded."""
    if sum(one.provisional for one in cycles) >= MOST_VISITS:
        detail = f"You joined this session {MOST_VISITS} times: no more of it is kept."
        headers = {"Retry-After": str(FULL_SECONDS)}
        raise Problem(429, "too-many-joins", detail, headers=headers)


def _is_full(conn: Connection, already: Cycle | None) -> bool:
    """Whether the visit was joined so often that once more says nothing."""
    if already is None:
        return False
    return webhook_event.count_of_visit(conn, already.cycle_id, most=MOST_SIGNS) >= MOST_SIGNS


def _session_to_join(conn: Connection, caller: Caller, asked: JoinBody, now: datetime) -> str:
    """The session that is asked for, made if it is the one that the caller's room would make."""
    rules = backend().rules
    session_id = session_facts.joinable(conn, asked.session_id, now=now, rules=rules)
    if session_id is None:
        if caller.room is None or not address.is_own(caller, asked.session_id, now=now):
            raise forbidden()
        session_id = _session_to_make(conn, caller.room, asked, now)
    meeting = session_facts.meeting(conn, session_id)
    if meeting is None or caller.room not in meeting.room_names:
        raise forbidden()  # also where the id to make is taken, by a session of another room
    return session_id


def _session_to_make(conn: Connection, room: str, asked: JoinBody, now: datetime) -> str:
    """The session of a room of this name that began now; made when nobody registered one."""
    settings = backend().settings
    registered = session.registered_for(conn, [room], since=now, until=now)
    found = ownership.registered_session(room, now, registered)
    if found is not None:
        return found
    made = session.made(
        ownership.made_id(room, now, settings.zone),
        room,
        "client",
        settings,
        session_type=asked.session_type,
        academy_id=asked.academy_id,
    )
    session.make_missing(conn, [made], now=now)
    return made.id


def _own_visit(conn: Connection, caller: Caller, visit_id: str) -> Cycle:
    found = cycle.locked(conn, [visit_id]).get(visit_id)
    if found is None or not found.provisional or found.user_id != caller.user_id:
        raise Problem(404, "no-visit", "You have no visit of this id.")
    if found.room_name != caller.room:
        raise forbidden()
    return found


def _apply(change: Change, told: Event, now: datetime) -> None:
    webhook_event.record_applied(change.conn, told, event.client_payload(told))
    touched = ledger.apply(change.conn, [told], now=now, settings=backend().settings)
    change.keys.update(touched.keys)


def _facts(conn: Connection, session_id: str, caller: Caller) -> tuple[Meeting, list[Cycle]]:
    meeting = session_facts.meeting(conn, session_id)
    if meeting is None:
        raise forbidden()
    return meeting, cycle.of_session(conn, session_id, user_id=caller.user_id)


def _status(conn: Connection, session_id: str, caller: Caller, now: datetime) -> dict[str, object]:
    meeting, cycles = _facts(conn, session_id, caller)
    user_id = caller.user_id or ""
    seen = attendance.view(meeting, user_id, cycles, now=now, rules=backend().rules)
    return answers.status(meeting.session, seen)
