"""The session that a request means, what a caller may see of it, and who may hear that nobody
knows it."""

from __future__ import annotations

from datetime import datetime

from flask import request

from models.domain import ownership
from models.domain.facts import Meeting
from models.domain.json_fields import MAX_ID_BYTES, MAX_SESSION_ID_BYTES
from webhooks.door.callers import Caller
from webhooks.door.context import backend
from webhooks.door.problems import Problem, forbidden

IN_QUERY = "-"
"""Stands in a path for what a path can't carry: a session with a slash, `.` or `..`."""


def query_of(named: str) -> str:
    """The query's parameter that says what the path's `named` can't carry."""
    return "session" if named == "session_id" else named


def of_path(named: str, *, query: str = "session") -> str:
    """The session (or what else) that the path names, or for `-` the query's parameter."""
    asked = request.args.get(query) if named == IN_QUERY else None
    return plain(asked or named)


def session_id(named: str) -> str:
    """As `of_path`, where no token keeps out what can't be an id. Raises Problem: 400."""
    return identifier(named, query="session", of="session", most=MAX_SESSION_ID_BYTES)


def identifier(named: str, *, query: str, of: str, most: int = MAX_ID_BYTES) -> str:
    """As `of_path`, for the id `of` a session or what else, of at most so many bytes. Raises
    Problem: 400."""
    asked = of_path(named, query=query)
    if len(asked.encode()) > most:
        too_long = f"is longer than {MAX_ID_BYTES} bytes"
        errors = [{"field": query, "message": too_long}]
        raise Problem(400, "invalid", f"The {of}'s id {too_long}.", errors=errors)
    return asked


def plain(text: str) -> str:
    """Text as it is stored: no database takes a NUL."""
    return text.replace("\0", "\ufffd")


def visible(
    caller: Caller, meeting: Meeting | None, address: str, user_id: str | None, *, now: datetime
) -> Meeting | None:
    """What the caller may see of the meeting that the address means, of this person (None: of
    everybody); None when nothing is known yet of their own room's session.

    Raises Problem: 404 for operators, where nobody knows the session. Everybody else gets the same
    403 for a session that nobody knows and for one that is none of theirs.
    """
    if caller.operates and meeting is None:
        raise Problem(404, "no-session", "No session has this id, and no room this name.")
    seen = meeting if caller.operates else _seen(caller, meeting, address)
    is_theirs = seen is not None or is_own(caller, address, now=now)
    if not caller.may_see(user_id, in_own_room=is_theirs):
        raise forbidden()
    return seen


def _seen(caller: Caller, meeting: Meeting | None, address: str) -> Meeting | None:
    """What the caller's room may see of it. What another room's name means is shown only of
    sessions that are registered for both."""
    if meeting is None:
        return None
    session = meeting.session
    if not session.registered and address not in (session.id, caller.room):
        return None
    return meeting.seen_from(caller.room)


def is_another_rooms(caller: Caller, meeting: Meeting | None, address: str) -> bool:
    """Whether the address has to be taken for a room's name, because the session of this id is none
    of the caller's: it is the name of their own room, or nobody registered the session, and then
    any room can have given it the name of another."""
    if meeting is None or caller.operates or address != meeting.session.id:
        return False
    if meeting.session.registered and address != caller.room:
        return False
    return meeting.seen_from(caller.room) is None


def is_own(caller: Caller, address: str, *, now: datetime) -> bool:
    """Whether this is the caller's room, by name or by the id that it would make now."""
    room = caller.room
    if room is None:
        return False
    return address in (room, ownership.made_id(room, now, backend().rules))
