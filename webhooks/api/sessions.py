"""Sessions, for operators: register, look up, list, and take back."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from flask import Blueprint
from sqlalchemy import Connection

from models.domain.facts import Person, Session
from models.ledger import apply as ledger
from models.ledger.apply import Touched
from models.settings.settings import Settings
from models.storage import db
from models.tables import cycle, room, session
from webhooks.api import answers, replies
from webhooks.api.bodies import PageQuery, SessionBody
from webhooks.door import address, auth
from webhooks.door.context import backend, present, unhurried
from webhooks.door.operation import Answer, json, operation
from webhooks.door.problems import Problem
from webhooks.door.responses import Response
from worker.cache.change import changing

T = TypeVar("T")

sessions = Blueprint("sessions", __name__, url_prefix="/api/sessions")


@sessions.put("/<session_id>")
@operation(
    tokens=("operator",),
    body=SessionBody,
    answers={200: json("Changed.", replies.Session), 201: json("Registered.", replies.Session)},
)
def put(session_id: str) -> Response:
    """Register a session, or change it; the rooms of its name find their session anew."""
    auth.operator()
    told = _told(address.session_id(session_id), SessionBody.of_request(), backend().settings)
    before = _change(told.id, told, present())
    registered = before is not None and before.registered
    return answers.answer(answers.session(told), status=200 if registered else 201)


@sessions.get("/<session_id>")
@operation(tokens=("operator",), answers={200: json("The session.", replies.Session)})
def get(session_id: str) -> Response:
    """One session by its id."""
    auth.operator()
    with db.reading(backend().engine) as conn:
        found = session.find(conn, address.session_id(session_id))
    if found is None:
        raise _unknown()
    return answers.answer(answers.session(found))


@sessions.delete("/<session_id>")
@operation(tokens=("operator",), answers={204: Answer("It is no longer registered.")})
def delete(session_id: str) -> Response:
    """Take a registration back. Attendance stays: rooms and manual joins find another session."""
    auth.operator()
    before = _change(address.session_id(session_id), None, present())
    if before is None or not before.registered:
        raise _unknown()
    return Response(status=204)


@sessions.get("")
@operation(
    tokens=("operator",), query=PageQuery, answers={200: json("A page.", replies.SessionsPage)}
)
def index() -> Response:
    """Sessions by id, a page at a time; `next` is the `after` of the next page."""
    auth.operator()
    asked = PageQuery.of_request()
    with db.reading(backend().engine) as conn:
        found = session.page(conn, **asked.model_dump())
    following = found[-1].id if len(found) == asked.limit else None
    return answers.answer({"sessions": [answers.session(one) for one in found], "next": following})


def _change(session_id: str, told: Session | None, now: datetime) -> Session | None:
    """Store what is told (None: take it back) and settle whose rooms are whose; what was before."""
    names = _names(session_id, told)
    while True:
        # Operators can wait for a drain that holds the same rooms.
        with changing(unhurried()) as change:
            conn = change.conn
            db.lock(conn, names)
            before = session.find(conn, session_id)
            if _names(session_id, before, told) <= names:
                _store(conn, before, told, now)
                change.keys.update(names, _settle(conn, session_id, names, now).keys)
                break
        # What it was until it was held: let go, since somebody may hold that and wait for us, and
        # hold both.
        names |= _names(session_id, before, told)
    return before


def _names(session_id: str, *versions: Session | None) -> set[str]:
    return {session_id} | {one.room_name for one in versions if one is not None}


def _store(conn: Connection, before: Session | None, told: Session | None, now: datetime) -> None:
    if told is not None:
        session.store(conn, told, now=now)
    elif before is not None and before.registered:
        # As if it had never been registered; `tidy` removes it unless something is still in it.
        left = session.made(before.id, before.room_name, "client", backend().settings)
        session.store(conn, left, now=now)


def _settle(conn: Connection, session_id: str, names: set[str], now: datetime) -> Touched:
    """Give the rooms and manual joins of these names their sessions as they are now."""
    some_rooms, manual = room.of_names(conn, names), cycle.manual_joins(conn, names)
    settings = backend().settings
    touched = ledger.resolve(conn, some_rooms, manual, now=now, settings=settings)
    session.tidy(conn, [session_id])
    return Touched(touched.sessions | {session_id}, touched.names)


def _told(session_id: str, body: SessionBody, settings: Settings) -> Session:
    """The session that the body describes; null means the default, a room name's is the id."""
    return Session(
        id=session_id,
        room_name=body.room_name or session_id,
        session_type=body.session_type,
        academy_id=body.academy_id,
        scheduled_at=body.scheduled_at,
        duration_minutes=_or(body.duration_minutes, settings.default_duration_minutes),
        late_after_minutes=_or(body.late_after_minutes, settings.late_after_minutes),
        minimum_percentage=_or(body.minimum_percentage, settings.minimum_percentage),
        expected=tuple(Person(one.user_id, one.name) for one in body.expected or ()),
    )


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _unknown() -> Problem:
    return Problem(404, "no-session", "No session has this id.")
