"""Sessions, for operators: register, look up, list, and take back."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from flask import Blueprint
from sqlalchemy import Connection

from models.domain.facts import Person, Session, made_for
from models.domain.json_fields import EPOCH
from models.ledger import made
from models.lookup import made_meetings, personal, session_facts, session_list
from models.settings.settings import Settings
from models.storage import db
from models.tables import cycle, made_session, room, session
from webhooks.door import address, auth
from webhooks.door.context import backend, present
from webhooks.door.operation import Answer, json, operation
from webhooks.door.problems import Problem
from webhooks.door.responses import Response
from webhooks.door.sending import take_seat
from webhooks.schemas import answers, replies
from webhooks.schemas.bodies import PageQuery, Query, SessionBody
from worker.cache.change import changing

T = TypeVar("T")

SHORT_LIST = 50
"""Sessions that were made on the spot: whether each is there takes some statements. A list with
more takes a seat, as an export does."""

sessions = Blueprint("sessions", __name__, url_prefix="/api/sessions")


@sessions.put("/<session_id>")
@operation(
    tokens=("operator",),
    body=SessionBody,
    answers={200: json("Changed.", replies.Session), 201: json("Registered.", replies.Session)},
)
def put(session_id: str) -> Response:
    """Register a session, or change it: what happened in its rooms is its own from then on."""
    auth.operator()
    Query.of_request()
    asked = _told(address.session_id(session_id), SessionBody.of_request(), backend().settings)
    _check_id(asked)
    now = present()
    before = _change(asked.id, asked, now)
    registered = before is not None and before.registered
    with db.reading(backend().engine) as conn:
        overlaps = session.overlapping(conn, [asked]).get(asked.id, [])
    body = answers.session(asked, overlaps, now)
    return answers.answer(body, status=200 if registered else 201)


@sessions.get("/<session_id>")
@operation(tokens=("operator",), answers={200: json("The session.", replies.Session)})
def get(session_id: str) -> Response:
    """One session by its id."""
    auth.operator()
    Query.of_request()
    with db.reading(backend().engine) as conn:
        known = session.find(conn, address.session_id(session_id))
        there = session_facts.that_own(conn, [known] if known else [], rules=backend().rules)
        overlaps = session.overlapping(conn, there)
    if not there:
        raise _unknown()
    return answers.answer(answers.session(there[0], overlaps.get(there[0].id, []), present()))


@sessions.delete("/<session_id>")
@operation(tokens=("operator",), answers={204: Answer("It is no longer registered.")})
def delete(session_id: str) -> Response:
    """Take a registration back. Attendance stays, and belongs to another session from then on."""
    auth.operator()
    Query.of_request()
    before = _change(address.session_id(session_id), None, present())
    if before is None or not before.registered:
        raise _unknown()
    return Response(status=204)


@sessions.get("")
@operation(
    tokens=("administrator", "operator"),
    query=PageQuery,
    answers={200: json("A page.", replies.SessionsPage)},
    problems=(429,),
)
def index() -> Response:
    """Sessions by id, a page at a time; `next` is the `after` of the next page.

    The token of a room's admin lists the sessions of that room.
    """
    caller, asked, now = auth.administrator(), PageQuery.of_request(), present()
    of_room = None if caller.operates else caller.room
    with db.reading(backend().engine) as conn:
        wanted = asked.wanted(now, of_room=of_room)
        if wanted.user_id is not None:
            take_seat(caller)
            wanted = personal.among(conn, wanted, rules=backend().rules)
        page = session_list.page(conn, wanted, after=asked.after, limit=asked.limit)
        if sum(each.made_by != "registered" for each in page) > SHORT_LIST:
            take_seat(caller)
        counts = session_list.counts(conn, wanted)
        there = session_facts.that_own(conn, page, rules=backend().rules, seen_from=of_room)
        overlaps = {} if of_room else session.overlapping(conn, there)
    following = page[-1].id if len(page) == asked.limit else None
    listed = [answers.session(each, overlaps.get(each.id, []), now) for each in there]
    return answers.answer({"sessions": listed, "counts": counts, "next": following})


def _change(session_id: str, registered: Session | None, now: datetime) -> Session | None:
    """Register the session (None: take it back); what was under its id before.

    One row changes: whatever belongs to whom follows from it at the next read.
    """
    with changing(backend()) as change:
        conn = change.conn
        db.lock(conn, [f"session:{session_id}"])
        before = session.find(conn, session_id, lock=True)
        if registered is not None:
            session.store(conn, registered, now=now)
        elif before is not None and before.registered:
            session.remove(conn, session_id)
            _enter_again(conn, session_id, before.room_name)
        change.keys.update(_reached(conn, session_id, before, registered))
    return before


def _enter_again(conn: Connection, session_id: str, room_name: str) -> None:
    """Rooms by their metadata, a day of its room, and manual joins by its id may make the session
    on the spot all the same."""
    settings = backend().settings
    unregistered = made_session.made(session_id, room_name, "room", settings)
    rooms = made_meetings.rooms_of_made(conn, unregistered, rules=backend().rules)
    first = cycle.first_that_name(conn, session_id)
    made.enter(conn, rooms, [first] if first else [], settings)


def _reached(conn: Connection, session_id: str, *versions: Session | None) -> set[str]:
    """The names of the session's rooms, and the sessions that may have a moment in them. A room
    that names it by its metadata does so only while it may."""
    named = [each for each in versions if each is not None]
    names = {name for each in named for name in each.exact_names}
    names |= room.names_of(conn, [prefix for each in named for prefix in each.prefixes])
    naming = room.that_name(conn, session_id)
    names |= {life.name for life in naming}
    moments = [at for each in named for at in (each.scheduled_at, each.ends_at) if at]
    if naming or any(each.scheduled_at is None for each in named):
        moments = []  # it may own any moment
    reach = backend().rules.max_cycle
    near = session.that_reach(conn, names, moments, reach=reach)
    near |= room.named_near(conn, names, since=min(moments, default=EPOCH + reach) - reach)
    return {session_id} | names | near


def _told(session_id: str, body: SessionBody, settings: Settings) -> Session:
    """The session that the body describes; null means the default, a room name's is the id."""
    return Session(
        id=session_id,
        room_name=body.room_name or session_id,
        session_type=body.session_type,
        academy_id=body.academy_id,
        title=body.title,
        course_id=body.course_id,
        hosts=tuple(body.hosts or ()),
        labels=tuple(body.labels or ()),
        scheduled_at=body.scheduled_at,
        duration_minutes=_or(body.duration_minutes, settings.default_duration_minutes),
        late_after_minutes=_or(body.late_after_minutes, settings.late_after_minutes),
        minimum_percentage=_or(body.minimum_percentage, settings.minimum_percentage),
        expected=tuple(Person(one.user_id, one.name) for one in body.expected or ()),
        rooms=tuple(body.rooms or ()),
    )


def _check_id(asked: Session) -> None:
    """Raise Problem for the id of a session that another room makes on the spot."""
    room_name, _ = made_for(asked.id)
    if room_name not in (None, asked.room_name):
        message = f"ids of this form are for sessions of the room {room_name!r}"
        errors = [{"field": "session", "message": message}]
        raise Problem(400, "invalid", f"The session's id is refused: {message}.", errors=errors)


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _unknown() -> Problem:
    return Problem(404, "no-session", "No session has this id.")
