"""The session that a request means, what a caller may see of it, and who may hear that nobody
knows it."""

from __future__ import annotations

from datetime import datetime

from flask import request

from models.domain import ownership
from models.domain.event import MAX_ID_BYTES, MAX_SESSION_ID_BYTES
from models.domain.facts import Meeting
from webhooks.door.callers import Caller
from webhooks.door.context import backend
from webhooks.door.problems import Problem, forbidden

IN_QUERY = "-"
"""Stands in a path for what a path can't carry: a session with a slash, `.` or `..`."""


def of_path(named: str, *, query: str = "session") -> str:
    """The session (or what else) that the path names, or for `-` the query's parameter."""
    asked = request.args.get(query) if named == IN_QUERY else None
    return plain(asked or named)


def session_id(named: str) -> str:
    """As `of_path`, where no token keeps out what can't be an id. Raises Problem: 400."""
    found = of_path(named)
    if len(found.encode()) > MAX_SESSION_ID_BYTES:
        too_long = f"is longer than {MAX_ID_BYTES} bytes"
        errors = [{"field": "session", "message": too_long}]
        raise Problem(400, "invalid", f"The session's id {too_long}.", errors=errors)
    return found


def plain(text: str) -> str:
    """Text as it is stored: no database takes a NUL."""
    return text.replace("\0", "\ufffd")


def visible(caller: Caller, meeting: Meeting, user_id: str | None) -> Meeting:
    """What the caller may see of the meeting, of this person (None: of everybody).

    Raises Problem: 403 when it is nothing.
    """
    if caller.operates:
        return meeting
    seen = meeting.seen_from(caller.room)
    if seen is None or not caller.may_see(user_id, in_own_room=True):
        raise forbidden()
    return seen


def check_unknown(caller: Caller, address: str, user_id: str | None, *, now: datetime) -> None:
    """Let a caller hear that nothing is known yet of their own room's session.

    Raises Problem: 404 for operators, and 403 for whoever asks about another room.
    """
    if caller.operates:
        raise Problem(404, "no-session", "No session has this id, and no room this name.")
    own = caller.room if is_own(caller, address, now=now) else None
    if own is None or not caller.may_see(user_id, in_own_room=own == caller.room):
        raise forbidden()


def is_own(caller: Caller, address: str, *, now: datetime) -> bool:
    """Whether this is the caller's room, by name or by the id that it would make now."""
    room = caller.room
    if room is None:
        return False
    return address in (room, ownership.made_id(room, now, backend().rules))
