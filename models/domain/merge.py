"""Merging: events become facts.

It is commutative, associative and idempotent: the same set of events gives the same facts in any
order and any number of times. Each fact is therefore the greatest (or least) by a *rank*, a
sortable word of who says so, when that was said and the event's id. No I/O here: linted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from models.domain.corrections import Correction
from models.domain.event import (
    ABORTED,
    CLIENT_JOINED,
    CLIENT_LEFT,
    JOINED,
    LEFT,
    ROOM_FINISHED,
    ROOM_STARTED,
    SEEN,
    Event,
)
from models.domain.facts import LEVELS, Cycle, Room
from models.domain.json_fields import EPOCH

ONE_MICROSECOND = timedelta(microseconds=1)


EMPTY = Cycle(cycle_id="", user_id="")
"""Where a cycle begins."""

MOVED_AFTER = timedelta(minutes=1)
"""A joined that is sent so long after its `joinedAt` tells of somebody who was moved from another
room, and joined this one when it was sent."""

MOST_STARTS = 100
"""Starts that are kept of one room: the latest."""


def merge(cycle: Cycle | None, event: Event) -> Cycle:
    """The cycle with what `event` tells of it; None begins a cycle.

    Takes participant events of one participant sid, or client events of one visit.
    """
    if event.event in (CLIENT_JOINED, CLIENT_LEFT):
        return _merge_client(cycle or _provisional(event), event)
    user_id = event.user_id or ""
    # The ids never differ between a sid's events; the least keeps even nonsense order-blind.
    changes: dict[str, Any] = (
        {"cycle_id": event.participant_sid or "", "user_id": user_id}
        if cycle is None
        else {"user_id": min(cycle.user_id, user_id or cycle.user_id)}
    )
    cycle = cycle or EMPTY
    changes |= {
        "room_sid": _least(cycle.room_sid, event.room_sid),
        "room_name": _least(cycle.room_name, event.room_name),
        "hidden": _always(cycle.hidden, event.hidden),
    }
    if event.event == ABORTED:
        changes["aborted_at"] = _latest(cycle.aborted_at, event.created_at)
    elif event.event == SEEN:
        changes["last_seen_at"] = _latest(cycle.last_seen_at, event.created_at)
    elif event.event in (JOINED, LEFT):
        rank = _rank(event)
        changes |= _joined(cycle, event, rank) | _named(cycle, event, rank)
        if event.event == LEFT:
            changes |= _left(cycle, event, rank)
    return cycle._replace(**changes)


def merge_room(room: Room | None, event: Event) -> Room:
    """The room with what `event` tells of it; None begins a room.

    Its creation is the least of `creationTimeMs` (else `creationTime`, else `createdAt`) among
    its events; the least (`createdAt`, `event_id`) that names a session decides which.
    """
    created_at = event.room_created_at or event.created_at
    sid, name = event.room_sid or "", event.room_name or ""
    room = room or Room(sid=sid, name=name, created_at=created_at, last_event_at=event.created_at)
    changes: dict[str, Any] = {
        "name": min(room.name, name),
        "created_at": min(room.created_at, created_at),
        "last_event_at": max(room.last_event_at, event.created_at),
    }
    if event.event == ROOM_STARTED:
        starts = {*room.starts, event.created_at}
        changes["starts"] = tuple(sorted(starts)[-MOST_STARTS:])
        changes["started_at"] = _latest(room.started_at, max(starts))
    if event.event == ROOM_FINISHED:
        changes |= _finished(room, event)
    return room._replace(**changes, **_naming(room, event))


def _finished(room: Room, event: Event) -> dict[str, Any]:
    changes: dict[str, Any] = {"finished_at": _latest(room.finished_at, event.created_at)}
    if (rank := _rank(event)) > room.end_rank:
        changes |= {"end_reason": event.room_end_reason, "end_rank": rank}
    return changes


def _naming(room: Room, event: Event) -> dict[str, Any]:
    if not event.named_session:
        return {}
    rank = _rank(event)[1:]
    if room.named_rank and rank >= room.named_rank:
        return {}
    return {"named_session": event.named_session, "named_rank": rank}


def merge_correction(correction: Correction | None, event: Event) -> Correction:
    """The correction with what `event` tells of it: each of its events carries all of it. It is
    undone as soon as one says so, at the earliest of those moments."""
    if event.correction is None:
        raise ValueError("the event corrects nothing")
    versions = [each for each in (correction, event.correction) if each is not None]
    undone = [each for each in versions if each.undone_at is not None]
    return min(undone or versions, key=lambda each: (each.undone_at or EPOCH, each.undone_by or ""))


def _rank(event: Event) -> str:
    """Who says so, when, and the event's id, as a word that sorts in that order."""
    micros = (event.created_at - EPOCH) // ONE_MICROSECOND
    return f"{LEVELS[event.source]}{micros:020d}{event.event_id}"


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
    cycle = cycle._replace(
        user_id=min(cycle.user_id, event.user_id or cycle.user_id),
        named_session=_least(cycle.named_session, event.session_id),
        room_name=_least(cycle.room_name, event.room_name),
        session_type=_least(cycle.session_type, event.session_type),
        academy_id=_least(cycle.academy_id, event.academy_id),
    )
    if event.event == CLIENT_LEFT and event.source == "reconciler":
        return cycle._replace(**_left(cycle, event, _rank(event)))
    if event.event == CLIENT_LEFT:
        return cycle._replace(client_left_at=_latest(cycle.client_left_at, event.created_at))
    rank, first = _rank(event), cycle.joined_at
    claims = event.claimed_sid is not None and rank > cycle.claimed_rank
    return cycle._replace(
        joined_at=min(first, event.created_at) if first else event.created_at,
        client_joined_at=_latest(cycle.client_joined_at, event.created_at),
        claimed_sid=event.claimed_sid if claims else cycle.claimed_sid,
        claimed_rank=rank if claims else cycle.claimed_rank,
        **_named(cycle, event, rank),
    )


def _joined(cycle: Cycle, event: Event, rank: str) -> dict[str, Any]:
    """Joined and left both carry the join time, so a left alone gives the whole cycle.

    A leading 1 ranks an event that carries it over any that does not; among those that do not,
    the least `createdAt` is the nearest to the join, so their rank counts down. A leading 2: the
    joined of somebody who was moved here is right, whatever their left says later.
    """
    rank, joined_at = f"1{rank}", event.joined_at
    if _was_moved(event):
        rank, joined_at = f"2{rank}", event.created_at
    elif joined_at is not None and event.room_created_at is not None:
        joined_at = max(joined_at, event.room_created_at)  # nobody joins before the room is there
    if joined_at is None:
        left_over = (datetime.max.replace(tzinfo=UTC) - event.created_at) // ONE_MICROSECOND
        rank = f"0{LEVELS[event.source]}{left_over:020d}{event.event_id}"
    if rank <= cycle.joined_rank:
        return {}
    return {
        "joined_at": joined_at or event.created_at,
        "joined_rank": rank,
        "kind": event.kind,
        "source": event.source,
    }


def _was_moved(event: Event) -> bool:
    if event.event != JOINED or event.source == "reconciler" or event.joined_at is None:
        return False
    return event.created_at - event.joined_at > MOVED_AFTER


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


def _always(before: bool | None, now: bool | None) -> bool | None:
    """Hidden is who is so in every event that says it."""
    if before is None or now is None:
        return now if before is None else before
    return before and now


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one is not None and other is not None else one or other
