"""Attendance: facts become an answer, as it is at one moment (`view`). No I/O here: linted.

Nothing of it is stored: ages, statuses and totals follow from facts and `now`. Rules:
docs/rules.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.domain import visit
from models.domain.event import EPOCH
from models.domain.facts import Cycle, Meeting, Rules, Session
from models.domain.visit import Visit

EARLY_LEAVE = timedelta(minutes=1)
SETTLES_AFTER = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Attendance:
    """One person in one session, as it is at `as_of`. Fields are CONTRACT's, spans are derived."""

    user_id: str
    name: str | None
    visits: tuple[Visit, ...]
    is_currently_in_meeting: bool
    attendance_status: str
    duration: timedelta
    first_joined_at: datetime | None
    last_left_at: datetime | None
    is_late: bool | None
    left_early: bool | None
    attendance_percentage: float | None
    meets_minimum: bool | None
    final: bool
    as_of: datetime

    @property
    def join_count(self) -> int:
        return len(self.visits)


def view(
    meeting: Meeting, user_id: str, cycles: Sequence[Cycle], *, now: datetime, rules: Rules
) -> Attendance:
    """What one person's `cycles` in the meeting amount to at `now`.

    Rules: the tables of docs/rules.md; *older than* is >, *passed* is >=, *within* is <=.
    """
    session, visits = meeting.session, visit.visits(meeting, cycles, now=now, rules=rules)
    inside = any(one.ended_at is None for one in visits)
    ends = [one.ended_at for one in visits if one.ended_at is not None]
    last_left_at, first_joined_at = max(ends, default=None), _first_join(visits)
    over = is_over(meeting, now=now, rules=rules)
    final = over and not inside and _settled(meeting, now)
    percentage = _percentage(session, visits, now)
    return Attendance(
        user_id=user_id,
        name=_latest_name(visits),
        visits=visits,
        is_currently_in_meeting=inside,
        attendance_status=_status(inside=inside, came=bool(visits), over=over),
        duration=_union(visits, now=now),
        first_joined_at=first_joined_at,
        last_left_at=last_left_at,
        is_late=_is_late(session, first_joined_at),
        left_early=_left_early(session, last_left_at, inside=inside) if over and visits else None,
        attendance_percentage=percentage,
        meets_minimum=_meets_minimum(session, percentage) if final else None,
        final=final,
        as_of=now,
    )


def is_over(meeting: Meeting, *, now: datetime, rules: Rules) -> bool:
    """Whether the session is over: by its schedule, else by its rooms, else by long silence."""
    if (ends_at := meeting.session.ends_at) is not None:
        return now >= ends_at
    room = meeting.latest_room
    if room is not None and room.over:
        return True
    return meeting.heard_at is not None and now - meeting.heard_at >= rules.max_cycle


def _status(*, inside: bool, came: bool, over: bool) -> str:
    if inside:
        return "present"
    if over:
        return "completed" if came else "absent"
    return "left" if came else "not_joined"


def _first_join(visits: Sequence[Visit]) -> datetime | None:
    return min((one.joined_at for one in visits), default=None)


def _latest_name(visits: Sequence[Visit]) -> str | None:
    """The name of the latest visit that has one; visits come by join."""
    named = [one for one in visits if one.cycle.name]
    return named[-1].cycle.name if named else None


def _union(
    visits: Sequence[Visit], *, now: datetime, start: datetime = EPOCH, end: datetime | None = None
) -> timedelta:
    """How long somebody was inside, two overlapping visits counted once, within [start, end]."""
    total, covered_to = timedelta(0), start
    for one in sorted(visits, key=lambda one: one.joined_at):
        left_at = one.ended_at or max(now, one.joined_at)
        begins, ends = max(one.joined_at, covered_to), min(left_at, end or left_at)
        if ends > begins:
            total, covered_to = total + (ends - begins), ends
    return total


def _percentage(session: Session, visits: Sequence[Visit], now: datetime) -> float | None:
    """Share of the scheduled time spent inside, in percent, one decimal, half up."""
    if session.scheduled_at is None or session.ends_at is None:
        return None
    inside = _union(visits, now=now, start=session.scheduled_at, end=session.ends_at)
    whole = session.ends_at - session.scheduled_at
    return ((2000 * inside + whole) // (2 * whole)) / 10


def _is_late(session: Session, first_joined_at: datetime | None) -> bool | None:
    if session.scheduled_at is None or first_joined_at is None:
        return None
    return first_joined_at > session.scheduled_at + timedelta(minutes=session.late_after_minutes)


def _left_early(session: Session, last_left_at: datetime | None, *, inside: bool) -> bool | None:
    if session.ends_at is None:
        return None
    if inside or last_left_at is None:
        return False
    return last_left_at < session.ends_at - EARLY_LEAVE


def _settled(meeting: Meeting, now: datetime) -> bool:
    """Half an hour past the scheduled end and the last room's finish, where there is either."""
    room = meeting.latest_room
    ends = (meeting.session.ends_at, room.finished_at if room else None)
    known = [at for at in ends if at is not None]
    return not known or now >= max(known) + SETTLES_AFTER


def _meets_minimum(session: Session, percentage: float | None) -> bool | None:
    if session.minimum_percentage is None or percentage is None:
        return None
    return percentage >= session.minimum_percentage
