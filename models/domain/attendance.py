"""Attendance: facts become an answer, as it is at one moment (`view`). No I/O here: linted.

Nothing of it is stored: ages, statuses and totals follow from facts, from what is registered, and
from `now`. Rules: docs/rules.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.domain import counting, ownership, share, visit
from models.domain.corrections import NONE
from models.domain.counting import Uncounted
from models.domain.facts import Cycle, Meeting, Rules, Session
from models.domain.timetable import WINDOW
from models.domain.visit import Visit

EARLY_LEAVE = timedelta(minutes=1)
SETTLES_AFTER = timedelta(minutes=30)
NOBODY: frozenset[str] = frozenset()


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
    scheduled_duration: timedelta | None
    meets_minimum: bool | None
    final: bool
    as_of: datetime
    is_host: bool = False
    uncorrected: Attendance | None = None

    @property
    def join_count(self) -> int:
        return len(self.visits)

    @property
    def corrected(self) -> bool:
        """Whether it is something else than the facts alone would say."""
        return self.uncorrected is not None

    @property
    def uncorrected_status(self) -> str | None:
        """What the facts alone say; None where nothing is corrected."""
        return self.uncorrected.attendance_status if self.uncorrected is not None else None

    @property
    def uncorrected_duration(self) -> timedelta | None:
        """How long by the facts alone; None where nothing is corrected."""
        return self.uncorrected.duration if self.uncorrected is not None else None

    @property
    def confirmed(self) -> bool | None:
        """Whether LiveKit reported some visit, or a correction added it; None without a visit."""
        return any(part.confirmed for part in self.visits) if self.visits else None

    @property
    def confirmed_duration(self) -> timedelta:
        """The part of the duration that LiveKit reported, or a correction added."""
        known = [part for part in self.visits if part.confirmed]
        return self.duration if len(known) == len(self.visits) else _union(known, now=self.as_of)


def view(
    meeting: Meeting,
    user_id: str,
    cycles: Sequence[Cycle],
    *,
    now: datetime,
    rules: Rules,
    expecting: frozenset[str] = NOBODY,
) -> Attendance:
    """What one person's `cycles` in the rooms of the meeting amount to at `now`, by docs/rules.md:
    *older than* is >, *passed* is >=, *within* is <=. `expecting` are the ids of the classes of
    those rooms that expect them. The cycles may be of several identities: corrections say so."""
    visits = _visits(meeting, user_id, cycles, now=now, rules=rules, expecting=expecting)
    seen = _judged(meeting, user_id, visits, now=now, rules=rules)
    if not meeting.corrections or not meeting.corrections.changes(user_id):
        return seen
    facts_alone = replace(meeting, corrections=NONE)
    own = [cycle for cycle in cycles if cycle.user_id == user_id]
    alone = view(facts_alone, user_id, own, now=now, rules=rules, expecting=expecting)
    return replace(seen, uncorrected=alone)


def _judged(
    meeting: Meeting, user_id: str, visits: tuple[Visit, ...], *, now: datetime, rules: Rules
) -> Attendance:
    """The attendance of somebody who has these visits in the session."""
    session = meeting.session
    in_class = _in_class(session, visits, now)
    inside = any(part.ended_at is None for part in visits)
    over = is_over(meeting, now=now, rules=rules)
    final = over and _is_final(meeting, in_class, now, rules)
    scheduled_duration = _in_schedule(session, visits, now)
    percentage = _percentage(session, scheduled_duration)
    status = "present" if inside else _status(session, visits, in_class, over, now)
    excused = status == "absent" and meeting.corrections.excuses(user_id)
    seen = Attendance(
        user_id=user_id,
        name=_latest_name(visits),
        visits=visits,
        is_currently_in_meeting=inside,
        attendance_status="excused" if excused else status,
        duration=_union(visits, now=now),
        first_joined_at=min((part.joined_at for part in visits), default=None),
        last_left_at=max((part.ended_at for part in visits if part.ended_at), default=None),
        is_late=_is_late(session, in_class),
        left_early=_left_early(session, in_class, now) if over else None,
        attendance_percentage=percentage,
        scheduled_duration=scheduled_duration,
        meets_minimum=_meets_minimum(session, percentage) if final and not excused else None,
        final=final,
        as_of=now,
    )
    return _as_host(seen) if meeting.is_host(user_id) else seen


def uncounted(
    meeting: Meeting,
    cycles: Sequence[Cycle],
    *,
    now: datetime,
    rules: Rules,
    expecting: frozenset[str] = NOBODY,
) -> Iterator[Uncounted]:
    """What one person's `cycles` have in the session that is no visit, with why: `corrected` by
    hand, or what `counting` says."""
    for (name, _), own in _by_room_name(meeting, cycles).items():
        owners = ownership.of_name(meeting, name, expecting, rules)
        unconfirmed = visit.unconfirmed(owners, own, now=now)
        for cycle in own:
            reason = "unconfirmed" if cycle in unconfirmed else counting.why_not(cycle, rules)
            if cycle.cycle_id in meeting.corrections.not_visits_of(cycle.user_id):
                reason = "corrected"
            began_at = cycle.began_at or cycle.last_seen_at
            if reason is None or began_at is None:
                continue
            room = visit.room_of(cycle, owners)
            owner = cycle.joined_session or owners.at(began_at, room, began_at)
            if owner == meeting.session.id:
                yield Uncounted(cycle, began_at, reason)


def is_over(meeting: Meeting, *, now: datetime, rules: Rules) -> bool:
    """Whether the session is over: by its schedule, else by its rooms, else by long silence."""
    if (ends_at := meeting.session.ends_at) is not None:
        return now >= ends_at
    rooms = ownership.own_rooms(meeting, rules)
    if rooms and all(room.over for room in rooms):
        return True
    heard = [room.last_event_at for room in rooms]
    heard += [meeting.heard_at] if meeting.heard_at is not None else []
    return bool(heard) and now - max(heard) >= rules.max_cycle


def takes_joins(meeting: Meeting, *, now: datetime, rules: Rules) -> bool:
    """Whether somebody may join the session by its id now: near its schedule, or without one while
    it is not over."""
    start, end = meeting.session.scheduled_at, meeting.session.ends_at
    if start is None or end is None:
        return not is_over(meeting, now=now, rules=rules)
    return start - WINDOW <= now <= end + WINDOW + rules.overrun


def _visits(
    meeting: Meeting,
    user_id: str,
    cycles: Sequence[Cycle],
    *,
    now: datetime,
    rules: Rules,
    expecting: frozenset[str],
) -> tuple[Visit, ...]:
    """The parts of one person's visits that are in the session, by join: those of all their
    identities, without what is said to be no visit, and with the times that were added."""
    parts = [
        part
        for (name, _), own in _by_room_name(meeting, cycles).items()
        for part in visit.parts(
            meeting.session.id, ownership.of_name(meeting, name, expecting, rules), own, now=now
        )
    ]
    if meeting.corrections:
        not_visits = meeting.corrections.not_visits_of(user_id)
        parts = [part for part in parts if part.cycle.cycle_id not in not_visits]
        added = (visit.added(meeting.session, each) for each in meeting.corrections.added(user_id))
        parts += [part for part in added if part is not None]
    return tuple(sorted(parts, key=lambda part: (part.joined_at, part.cycle.cycle_id)))


def _by_room_name(meeting: Meeting, cycles: Sequence[Cycle]) -> dict[tuple[str, str], list[Cycle]]:
    """The cycles of the rooms that the meeting is seen from, by room name and identity: what one
    identity does ends no visit of another."""
    by_name: dict[tuple[str, str], list[Cycle]] = defaultdict(list)
    for cycle in cycles:
        if meeting.only is None or cycle.room_name == meeting.only:
            by_name[cycle.room_name or "", cycle.user_id].append(cycle)
    return by_name


def _in_class(session: Session, visits: Sequence[Visit], now: datetime) -> list[Visit]:
    """The parts that reach into the scheduled time, from its start to before its end."""
    start, end = session.scheduled_at, session.ends_at
    if start is None or end is None:
        return []
    return [
        part
        for part in visits
        if part.joined_at < end
        and (part.joined_at >= start or (part.ended_at or max(now, part.joined_at)) > start)
    ]


def _is_final(meeting: Meeting, in_class: Sequence[Visit], now: datetime, rules: Rules) -> bool:
    """Half an hour after the end, when nobody of this person's own class time is still inside."""
    if any(part.ended_at is None for part in in_class):
        return False
    if meeting.session.ends_at is not None:
        return now >= meeting.session.ends_at + SETTLES_AFTER
    finishes = [
        room.finished_at for room in ownership.own_rooms(meeting, rules) if room.finished_at
    ]
    return not finishes or now >= max(finishes) + SETTLES_AFTER


def _as_host(seen: Attendance) -> Attendance:
    """Nobody judges a host: they are not late, early, absent or below a minimum."""
    status = "not_joined" if seen.attendance_status == "absent" else seen.attendance_status
    return replace(
        seen,
        is_host=True,
        attendance_status=status,
        is_late=None,
        left_early=None,
        meets_minimum=None,
    )


def _status(
    session: Session, visits: Sequence[Visit], in_class: Sequence[Visit], over: bool, now: datetime
) -> str:
    """Of somebody who is not inside. What was before and after a class is no attendance of it."""
    came = visits if session.scheduled_at is None else in_class
    if over:
        return "completed" if came else "absent"
    before = session.scheduled_at is not None and now < session.scheduled_at
    return "left" if (visits if before else came) else "not_joined"


def _latest_name(visits: Sequence[Visit]) -> str | None:
    """The name of the latest visit that has one; visits come by join."""
    named = [part.cycle.name for part in visits if part.cycle.name]
    return named[-1] if named else None


def _union(
    visits: Sequence[Visit],
    *,
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
) -> timedelta:
    """How long somebody was inside, two overlapping visits counted once, within [start, end]."""
    total, covered_to = timedelta(0), start
    for part in sorted(visits, key=lambda part: part.joined_at):
        left_at = part.ended_at or max(now, part.joined_at)
        begins = max(part.joined_at, covered_to) if covered_to else part.joined_at
        ends = min(left_at, end or left_at)
        if ends > begins:
            total, covered_to = total + (ends - begins), ends
    return total


def _in_schedule(session: Session, visits: Sequence[Visit], now: datetime) -> timedelta | None:
    """How long somebody was inside within the scheduled time; None without a schedule."""
    if session.scheduled_at is None or session.ends_at is None:
        return None
    return _union(visits, now=now, start=session.scheduled_at, end=session.ends_at)


def _percentage(session: Session, inside: timedelta | None) -> float | None:
    """Share of the scheduled time spent inside, in percent, one decimal, half up."""
    if inside is None or session.scheduled_at is None or session.ends_at is None:
        return None
    return share.percentage(inside, session.ends_at - session.scheduled_at)


def _is_late(session: Session, in_class: Sequence[Visit]) -> bool | None:
    """Whether the first moment in class is late; null for who was never in class."""
    if session.scheduled_at is None or not in_class:
        return None
    first = min(part.joined_at for part in in_class)
    return first > session.scheduled_at + timedelta(minutes=session.late_after_minutes)


def _left_early(session: Session, in_class: Sequence[Visit], now: datetime) -> bool | None:
    """Whether the last moment in class is early; null for who was never in class."""
    if session.ends_at is None or not in_class:
        return None
    last = max(part.ended_at or max(now, part.joined_at) for part in in_class)
    return last < session.ends_at - EARLY_LEAVE


def _meets_minimum(session: Session, percentage: float | None) -> bool | None:
    if session.minimum_percentage is None or percentage is None:
        return None
    return percentage >= session.minimum_percentage
