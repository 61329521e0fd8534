"""Manual joins and leaves: "the frontend says I joined", so that attendance works without LiveKit.

Each is a ledger event like a webhook, applied at once by the same fold, in the transaction that
stores it. A join makes (or finds) a visit; a leave names its visit and ends only that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import structlog
from flask import Blueprint
from sqlalchemy import Connection

from models.domain import attendance, visit
from models.domain import event as events
from models.domain.event import CLIENT_JOINED, Event
from models.domain.facts import Cycle, Meeting, Session, made_for
from models.ledger import apply
from models.lookup import named_room, session_facts
from models.lookup.named_room import NamedRoom
from models.storage import db
from models.tables import cycle, webhook_event
from webhooks.door import address, auth
from webhooks.door.callers import Caller
from webhooks.door.context import backend, context, present
from webhooks.door.operation import json, operation
from webhooks.door.problems import Problem, forbidden
from webhooks.door.responses import Response
from webhooks.schemas import answers
from webhooks.schemas.bodies import JoinBody, LeaveBody, Query
from webhooks.schemas.replies import JoinStatus, Status
from worker.cache.change import Change, changing

join = Blueprint("join", __name__, url_prefix="/api/sessions/meeting")

MOST_VISITS = 100
"""Manual joins of one person to rooms of one name, within twice MAX_CYCLE_HOURS, that make a visit
each."""

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
    problems=(409, 429),
)
def record_join() -> Response:
    """201 with a new visit, 200 with the one that is already open."""
    now, caller = present(), auth.participant()
    Query.of_request()
    asked = JoinBody.of_request()
    if backend().rules.manual_joins == "off":
        detail = "This server takes no manual joins: LiveKit alone says who is inside."
        raise Problem(409, "manual-joins-off", detail)
    context().room_access.check(caller, asked.session_id, caller.user_id, now=now)
    with changing(backend()) as change:
        conn = change.conn
        db.lock(conn, [f"person:{caller.user_id}"])
        named = _named_session(conn, caller, asked, now)
        here, cycles = _own_facts(conn, caller, now)
        already = visit.open_visit(here.owners, cycles, now=now)
        if already is not None and already.joined_session != named:
            already = None  # of another session: the new visit ends it
        if already is None:
            _check_visits(cycles)
        event = Event(
            event_id=f"CJ_{uuid4().hex}",
            event=CLIENT_JOINED,
            created_at=now,
            source="client",
            room_name=caller.room,
            user_id=caller.user_id,
            name=asked.name,
            session_id=named,
            visit=already.cycle_id if already else f"VI_{uuid4().hex}",
            claimed_sid=asked.participant_sid,
            session_type=asked.session_type,
            academy_id=asked.academy_id,
        )
        if not _is_full(conn, already):
            _apply(change, event, now)
    session_id, seen = _status(caller, event.visit or "", now)
    log.info("join.recorded", session_id=session_id, cache_cleared=change.cleared)
    return answers.answer(seen | {"visit": event.visit}, status=200 if already else 201)


@join.post("/leave")
@operation(
    tokens=("participant",),
    body=LeaveBody,
    answers={200: json("The status after it.", Status)},
    problems=(404, 429),
)
def record_leave() -> Response:
    """The status after it. Leaving again changes nothing: pages leave twice."""
    Query.of_request()
    asked = LeaveBody.of_request()
    now, caller = present(), auth.participant(asked.access_token)
    with changing(backend()) as change:
        conn = change.conn
        db.lock(conn, [f"person:{caller.user_id}"])
        left = _own_visit(conn, caller, asked.visit)
        event = events.leave_of(left, f"CL_{uuid4().hex}", at=now, source="client")
        if not left.client_leave:
            _apply(change, event, now)
    session_id, seen = _status(caller, left.cycle_id, now)
    log.info("leave.recorded", session_id=session_id, cache_cleared=change.cleared)
    return answers.answer(seen)


def _check_visits(cycles: Sequence[Cycle]) -> None:
    """Nobody comes so often: what one person can have stored is bounded."""
    if sum(one.provisional for one in cycles) >= MOST_VISITS:
        detail = f"You joined this room {MOST_VISITS} times lately: no more of it is kept."
        headers = {"Retry-After": str(FULL_SECONDS)}
        raise Problem(429, "too-many-joins", detail, headers=headers)


def _is_full(conn: Connection, already: Cycle | None) -> bool:
    """Whether the visit was joined so often that once more says nothing."""
    if already is None:
        return False
    return webhook_event.count_of_visit(conn, already.cycle_id, most=MOST_SIGNS) >= MOST_SIGNS


def _named_session(conn: Connection, caller: Caller, asked: JoinBody, now: datetime) -> str | None:
    """The registered session that is joined by its id; None for the caller's room, whose moments
    are owned like any others. So is a session that nobody registered: if its id is registered for
    other rooms some day, nobody is in it by having named it before.

    Raises Problem: 403 for a session of other rooms, 409 for one that takes no joins at `now`.
    """
    rules = backend().rules
    known = session_facts.facts(conn, asked.session_id, rules=rules)
    meeting = known.meeting if known else None
    if address.is_another_rooms(caller, meeting, asked.session_id):
        meeting = None
    meeting = address.visible(caller, meeting, asked.session_id, caller.user_id, now=now)
    if meeting is None:
        return None
    if attendance.takes_joins(meeting, now=now, rules=rules):
        is_rooms_day = made_for(asked.session_id)[0] == caller.room
        return asked.session_id if meeting.session.registered and not is_rooms_day else None
    if asked.session_id != caller.room:
        detail = "This session takes no joins now: its time is over, or has not come yet."
        raise Problem(409, "not-open", detail)
    return None  # by its own name a room is joined at any time


def _own_facts(conn: Connection, caller: Caller, now: datetime) -> tuple[NamedRoom, list[Cycle]]:
    """Who owns the moments of the caller in their room, and their cycles there."""
    room, user_id, rules = caller.room or "", caller.user_id or "", backend().rules
    named = named_room.of_name(conn, room, now=now, rules=rules)
    since = now - 2 * rules.max_cycle
    return named.of(user_id), cycle.of_person(conn, user_id, room, since=since)


def _own_visit(conn: Connection, caller: Caller, visit_id: str) -> Cycle:
    found = cycle.locked(conn, [visit_id]).get(visit_id)
    if found is None or not found.provisional or found.user_id != caller.user_id:
        raise Problem(404, "no-visit", "You have no visit of this id.")
    if found.room_name != caller.room:
        raise forbidden()
    return found


def _apply(change: Change, event: Event, now: datetime) -> None:
    webhook_event.record_applied(change.conn, event, events.client_payload(event))
    touched = apply.apply(change.conn, [event], now=now, settings=backend().settings)
    change.keys.update(touched.keys)


def _status(caller: Caller, visit_id: str, now: datetime) -> tuple[str, dict[str, object]]:
    """The caller's status in the session that this visit is in at `now`, and that session's id.

    Read after the commit: SQLite has one writer at a time, and others wait for it.
    """
    user_id, rules = caller.user_id or "", backend().rules
    with db.reading(backend().engine) as conn:
        here, _ = _own_facts(conn, caller, now)
        own = cycle.find(conn, visit_id)
        session_id = visit.home(here.owners, own, now=now) if own is not None else ""
        known = session_facts.facts(conn, session_id, rules=rules)
        meeting = known.meeting.seen_from(caller.room) if known is not None else None
        if known is None or meeting is None:  # nothing counts, or the person was erased
            nothing = Meeting(Session(session_id, caller.room or ""))
            seen = attendance.view(nothing, user_id, (), now=now, rules=rules)
            return session_id, answers.unknown_status(session_id, seen)
        cycles = session_facts.cycles_of(conn, known, user_id)
    seen = replace(known, meeting=meeting).view(user_id, cycles, now=now, rules=rules)
    return session_id, answers.status(meeting.session, seen)
