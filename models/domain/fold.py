"""The fold: events become facts (`merge`, `merge_room`), facts become an answer (`view`).

Merging is commutative, associative and idempotent: the same set of events gives the same facts
in any order and any number of times. Each fact is therefore the greatest (or least) by a *rank*,
a sortable word of who says so, when it was said and the event's id. No I/O here: linted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models.domain import visit
from models.domain.event import (
    ABORTED,
    CLIENT_JOINED,
    CLIENT_LEFT,
    EPOCH,
    JOINED,
    LEFT,
    ROOM_FINISHED,
    ROOM_STARTED,
    SEEN,
    Event,
)
from models.domain.facts import LEVELS, Cycle, Meeting, Room, Rules, Session
from models.domain.visit import Visit

ONE_MICROSECOND = timedelta(microseconds=1)
EARLY_LEAVE = timedelta(minutes=1)
SETTLES_AFTER = timedelta(minutes=30)


def merge(cycle: Cycle | None, event: Event) -> Cycle:
    """The cycle with what `event` tells of it; None begins a cycle.

    Takes participant events of one participant sid, or client events of one visit.
    """
    if event.event in (CLIENT_JOINED, CLIENT_LEFT):
        return _merge_client(cycle or _provisional(event), event)
    cycle = cycle or _empty(event)
    # The ids never differ between a sid's events; the least keeps even nonsense order-blind.
    told: dict[str, Any] = {
        "user_id": min(cycle.user_id, event.user_id or cycle.user_id),
        "room_sid": _least(cycle.room_sid, event.room_sid),
        "hidden": cycle.hidden or event.hidden,
    }
    if event.event == ABORTED:
        told["aborted_at"] = _latest(cycle.aborted_at, event.created_at)
    elif event.event == SEEN:
        told["last_seen_at"] = _latest(cycle.last_seen_at, event.created_at)
    elif event.event in (JOINED, LEFT):
        rank = _rank(event)
        told |= _joined(cycle, event, rank) | _named(cycle, event, rank)
        if event.event == LEFT:
            told |= _left(cycle, event, rank)
    return replace(cycle, **told)  # once: it costs as much as all the rest, 7 us


def merge_room(room: Room | None, event: Event) -> Room:
    """The room with what `event` tells of it; None begins a room.

    Its creation is the least of `creationTimeMs` (else `creationTime`, else `createdAt`) among
    its events; the least (`createdAt`, `event_id`) that names a session decides which.
    """
    created_at = event.room_created_at or event.created_at
    sid, name = event.room_sid or "", event.room_name or ""
    room = room or Room(sid=sid, name=name, created_at=created_at, last_event_at=event.created_at)
    named_rank = _rank(event)[1:] if event.named_session else ""
    names = named_rank and (not room.named_rank or named_rank < room.named_rank)
    started = event.created_at if event.event == ROOM_STARTED else None
    finished = event.created_at if event.event == ROOM_FINISHED else None
    return replace(
        room,
        name=min(room.name, name),
        created_at=min(room.created_at, created_at),
        last_event_at=max(room.last_event_at, event.created_at),
        started_at=_latest(room.started_at, started),
        finished_at=_latest(room.finished_at, finished),
        named_session=event.named_session if names else room.named_session,
        named_rank=named_rank if names else room.named_rank,
    )


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
    if room is not None and room.finished:
        return True
    return meeting.heard_at is not None and now - meeting.heard_at >= rules.max_cycle


def _rank(event: Event) -> str:
    """Who says so, when, and the event's id, as a word that sorts in that order."""
    micros = (event.created_at - EPOCH) // ONE_MICROSECOND
    return f"{LEVELS[event.source]}{micros:020d}{event.event_id}"


def _empty(event: Event) -> Cycle:
    return Cycle(
        cycle_id=event.participant_sid or "", user_id=event.user_id or "", room_sid=event.room_sid
    )


def _provisional(event: Event) -> Cycle:
    return Cycle(
        cycle_id=event.visit or "",
        user_id=event.user_id or "",
        named_session=event.session_id,
        room_name=event.room_name,
        kind="STANDARD",
        source="client",
    )


def _merge_client(cycle: Cycle, event: Event) -> Cycle:
    cycle = replace(
        cycle,
        user_id=min(cycle.user_id, event.user_id or cycle.user_id),
        named_session=_least(cycle.named_session, event.session_id),
        room_name=_least(cycle.room_name, event.room_name),
    )
    if event.event == CLIENT_LEFT:
        return replace(cycle, client_left_at=_latest(cycle.client_left_at, event.created_at))
    rank, first = _rank(event), cycle.joined_at
    claims = event.claimed_sid is not None and rank > cycle.claimed_rank
    return replace(
        cycle,
        joined_at=min(first, event.created_at) if first else event.created_at,
        client_joined_at=_latest(cycle.client_joined_at, event.created_at),
        claimed_sid=event.claimed_sid if claims else cycle.claimed_sid,
        claimed_rank=rank if claims else cycle.claimed_rank,
        **_named(cycle, event, rank),
    )


def _joined(cycle: Cycle, event: Event, rank: str) -> dict[str, Any]:
    """Joined and left both carry the join time, so a left alone gives the whole cycle.

    A leading 1 ranks an event that carries it over any that does not; among those that do not,
    the least `createdAt` is the nearest to the join, so their rank counts down.
    """
    rank = f"1{rank}"
    if event.joined_at is None:
        left_over = (datetime.max.replace(tzinfo=UTC) - event.created_at) // ONE_MICROSECOND
        rank = f"0{LEVELS[event.source]}{left_over:020d}{event.event_id}"
    if rank <= cycle.joined_rank:
        return {}
    return {
        "joined_at": event.joined_at or event.created_at,
        "joined_rank": rank,
        "kind": event.kind,
        "source": event.source,
    }


def _left(cycle: Cycle, event: Event, rank: str) -> dict[str, Any]:
    if rank <= cycle.left_rank:
        return {}
    return {
        "left_at": event.created_at,
        "left_rank": rank,
        "disconnect_reason": event.disconnect_reason,
    }


def _named(cycle: Cycle, event: Event, rank: str) -> dict[str, Any]:
    if event.name is None or rank <= cycle.name_rank:
        return {}
    return {"name": event.name, "name_rank": rank}


def _least(one: str | None, other: str | None) -> str | None:
    return min(one, other) if one is not None and other is not None else one or other


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one is not None and other is not None else one or other


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
    last = _latest(meeting.session.ends_at, room.finished_at if room else None)
    return last is None or now >= last + SETTLES_AFTER


def _meets_minimum(session: Session, percentage: float | None) -> bool | None:
    if session.minimum_percentage is None or percentage is None:
        return None
    return percentage >= session.minimum_percentage
