"""Attendance: the facts of a session as the tables have them, for `attendance.view` to judge.

An attendance is no table; it is what `view` makes of a person's cycles in a session.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection

from models.domain import attendance, ownership
from models.domain.facts import Cycle, Meeting, Rules, Session
from models.tables import cycle, room, session


def meeting(conn: Connection, session_id: str) -> Meeting | None:
    """The session with its rooms, and when it was last heard of; None when nobody knows it."""
    found = session.find(conn, session_id)
    if found is None:
        return None
    rooms = tuple(room.of_session(conn, session_id))
    heard = [one.last_event_at for one in rooms]
    heard += [at for at in [cycle.last_manual_sign(conn, session_id)] if at is not None]
    return Meeting(found, rooms, max(heard, default=None))


def meeting_at(conn: Connection, address: str, *, now: datetime) -> Meeting | None:
    """The meeting that an address means at `now`; None when nobody knows it."""
    session_id = addressed(conn, address, now=now)
    return meeting(conn, session_id) if session_id is not None else None


def cycles_by_user(
    conn: Connection, session_id: str, *, user_id: str | None = None
) -> dict[str, list[Cycle]]:
    """The cycles in the session, of everybody or of one person, by user id."""
    return by_user(cycle.of_session(conn, session_id, user_id=user_id))


def by_user(cycles: Iterable[Cycle]) -> dict[str, list[Cycle]]:
    """The same cycles, by user id."""
    found: dict[str, list[Cycle]] = defaultdict(list)
    for one in cycles:
        found[one.user_id].append(one)
    return dict(found)


def roster(
    meeting: Meeting, cycles: Mapping[str, list[Cycle]], *, now: datetime, rules: Rules
) -> list[attendance.Attendance]:
    """Everyone expected or with a counted visit, by user id."""
    return list(everyone(meeting, sorted(cycles.items()), now=now, rules=rules))


def everyone(
    meeting: Meeting,
    cycles: Iterable[tuple[str, Sequence[Cycle]]],
    *,
    now: datetime,
    rules: Rules,
) -> Iterator[attendance.Attendance]:
    """The same, one after another: of cycles that come a person at a time, by user id."""
    expected = sorted({one.user_id for one in meeting.session.expected})
    waited_for = set(expected)
    told = merge(cycles, ((user_id, ()) for user_id in expected), key=itemgetter(0))
    for user_id, parts in groupby(told, itemgetter(0)):
        own = [cycle for _, some in parts for cycle in some]
        seen = attendance.view(meeting, user_id, own, now=now, rules=rules)
        if seen.visits or user_id in waited_for:
            yield seen


def addressed(conn: Connection, address: str, *, now: datetime) -> str | None:
    """The id of the session that this address means: an id, else a room's name.

    A room's name means the session whose window holds `now` (nearest start, then smaller id),
    else the one that last began there, by a room or by a manual join, else a registered one
    that waits for its first room.
    """
    if session.find(conn, address) is not None:
        return address
    holding = ownership.nearest(session.scheduled_near(conn, address, now), now)
    if holding is not None:
        return holding.id
    return _last_begun(conn, address) or session.first_unscheduled(conn, address)


def is_steady(conn: Connection, address: str, *, now: datetime, until: datetime) -> bool:
    """Whether what this address means now is the same until then, unless something happens."""
    return not session.any_scheduled(conn, address, since=now, until=until)


def joinable(conn: Connection, address: str, *, now: datetime, rules: Rules) -> str | None:
    """The id of the session that somebody who joins now by this address joins.

    As `addressed`, but a room's name never means a session that is over: its room begins anew.
    """
    if session.find(conn, address) is not None:
        return address
    found = meeting_at(conn, address, now=now)
    if found is None or (
        attendance.is_over(found, now=now, rules=rules) and not _holds(found.session, now)
    ):
        return None
    return found.session.id


def _holds(one: Session, instant: datetime) -> bool:
    return ownership.nearest([one], instant) is not None


def _last_begun(conn: Connection, room_name: str) -> str | None:
    """The session of the latest room or manual join under this room name."""
    last_room = room.latest(conn, room_name)
    last_join = cycle.latest_manual_join(conn, room_name)
    if last_room is None or last_join is None or last_join.joined_at is None:
        begun = last_room or last_join
        return begun.session_id if begun else None
    later = last_join if last_join.joined_at > last_room.created_at else last_room
    return later.session_id
