"""Which session a room, or a manual join, belongs to: a pure function of it and of what is
registered, so that neither the order of events nor that of registrations matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from models.domain.facts import Cycle, Room, Session

WINDOW = timedelta(hours=1)


def room_session(room: Room, registered: Iterable[Session], timezone: ZoneInfo) -> str:
    """The id of the room's session; it may be one that is still to be made.

    `registered` holds at least the registered sessions whose id or room name is the room's name.
    """
    if room.named_session is not None:
        return room.named_session
    found = registered_session(room.name, room.created_at, registered)
    return found or made_id(room.name, room.created_at, timezone)


def visit_session(cycle: Cycle, registered: Iterable[Session]) -> str | None:
    """The id of a manual join's session: the one that its door resolved (`named_session`).

    One that was made on the spot follows its room's name to a session registered later, as the
    room itself does; it falls back to where it was.
    """
    named, room_name = cycle.named_session, cycle.room_name
    registered = list(registered)
    if named is None or room_name is None or cycle.joined_at is None:
        return named
    if not named.startswith(f"{room_name}@") or any(one.id == named for one in registered):
        return named
    return registered_session(room_name, cycle.joined_at, registered) or named


def registered_session(
    room_name: str, created_at: datetime, registered: Iterable[Session]
) -> str | None:
    """The registered session that a room of this name, created then, belongs to, if any."""
    registered = list(registered)
    scheduled = nearest((one for one in registered if one.room_name == room_name), created_at)
    if scheduled is not None:
        return scheduled.id
    if any(one.id == room_name for one in registered):
        return room_name
    unscheduled = (
        one.id for one in registered if one.room_name == room_name and one.scheduled_at is None
    )
    return min(unscheduled, default=None)


def nearest(sessions: Iterable[Session], instant: datetime) -> Session | None:
    """The session whose window [start - 1 h, end + 1 h] holds the instant: nearest start, then
    smaller id."""
    holding = [
        (abs(one.scheduled_at - instant), one.id, one)
        for one in sessions
        if one.scheduled_at is not None and one.ends_at is not None
        if one.scheduled_at - WINDOW <= instant <= one.ends_at + WINDOW
    ]
    return min(holding, default=(None, None, None))[2]


def made_id(room_name: str, created_at: datetime, timezone: ZoneInfo) -> str:
    """The id of the session made on the spot for a room of this name, created then."""
    return f"{room_name}@{created_at.astimezone(timezone).date().isoformat()}"
