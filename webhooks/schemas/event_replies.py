"""The JSON of the ledger that goes out: entries, what they changed, what became of a request."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field

from models.domain.facts import Cycle, Room, Source
from models.ledger.entry import Changed, Entry
from webhooks.schemas.event_bodies import Status
from webhooks.schemas.fields import Count, WhyUncounted, instant
from webhooks.schemas.replies import Reply

LINE: dict[str, Any] = {
    "event_id": "EV_VXCrAUxhMGkc",
    "event": "participant_joined",
    "source": "livekit",
    "status": "failed",
    "attempts": 1,
    "error": "DataError: (psycopg.errors.StringDataRightTruncation) value too long",
    "replayed_at": None,
    "room_sid": "RM_mSMC8pyzLLmM",
    "room_name": "quran-98",
    "session_id": "98",
    "participant_sid": "PA_gLSkHqJzVTmz",
    "visit": None,
    "user_id": "5",
    "created_at": "2026-11-23T14:10:42Z",
    "received_at": "2026-11-23T14:10:42.161Z",
}


class EventLine(Reply):
    """One event of the ledger."""

    event_id: str
    event: str | None = Field(description="Null when it can't be read.")
    source: Source
    status: Status
    attempts: Count = Field(description="How often it was tried until it was applied.")
    error: str | None = Field(description="What went wrong when it was last tried.")
    replayed_at: AwareDatetime | None = Field(
        description="Pending again: when a replay put it back."
    )
    room_sid: str | None
    room_name: str | None
    session_id: str | None = Field(description="The session of its room, or of its manual join.")
    participant_sid: str | None
    visit: str | None = Field(description="Of a manual join or leave.")
    user_id: str | None
    created_at: AwareDatetime | None = Field(description="By the sender's clock.")
    received_at: AwareDatetime


class EventsPage(Reply):
    """Events, the newest first; `next`, the next page's `after`, is null when this is not full."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"events": [LINE], "next": None}]})

    events: list[EventLine]
    next: str | None


class ChangedRoom(Reply):
    """The life of a room, as its events tell it."""

    sid: str
    name: str
    session_id: str | None = Field(description="The session that owns the event's moment.")
    named_session: str | None = Field(description="By its metadata.")
    naming_ignored: bool = Field(description="That session is registered for other rooms.")
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    end_reason: str | None = Field(description="Why it finished: LiveKit's word.")
    superseded_at: AwareDatetime | None = Field(description="When the next of its name began.")


class ChangedCycle(Reply):
    """One visit, as its events tell it. `cycle_id` is LiveKit's participant sid, or the visit."""

    cycle_id: str
    room_sid: str | None
    user_id: str
    name: str | None
    kind: str | None
    hidden: bool | None
    source: Source | None
    joined_at: AwareDatetime | None
    left_at: AwareDatetime | None
    aborted_at: AwareDatetime | None
    client_joined_at: AwareDatetime | None
    client_left_at: AwareDatetime | None
    last_seen_at: AwareDatetime | None
    disconnect_reason: str | None
    claimed_sid: str | None
    uncounted: WhyUncounted | None = Field(description="Why it is no visit; null when it counts.")


class EventChanged(Reply):
    """What an event is part of, as it is now."""

    room: ChangedRoom | None
    cycle: ChangedCycle | None


class EventDetail(EventLine):
    """One event with its payload, and what it changed once it was applied."""

    payload: dict[str, Any] | None = Field(description="Null of what could not be read.")
    changed: EventChanged | None = Field(description="Null until it is applied.")


class Replayed(Reply):
    """What became of a replay. Not all in one: ask again with `next` as `after`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"matched": 12, "requeued": 12, "rung": 12, "next": None}]}
    )

    matched: Count = Field(description="Events that match, up to the limit that was asked for.")
    requeued: Count = Field(description="How many of them went back to be applied again.")
    rung: Count = Field(deprecated=True, description="The former name of `requeued`.")
    next: str | None = Field(description="Null when that were all.")


class Erased(Reply):
    """How much of a person there was."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cycles": 12,
                    "events": 24,
                    "sessions": 1,
                    "corrections": 0,
                    "copies_left": [],
                }
            ]
        }
    )

    cycles: Count
    events: Count
    sessions: Count = Field(description="That expected them.")
    corrections: Count = Field(description="About them, or made by them.")
    copies_left: list[Literal["sqlite-file", "redis-append-only-file"]] = Field(
        description="Files that could not be rewritten, and may still hold their names."
    )


def line(entry: Entry) -> dict[str, Any]:
    """An `EventLine`."""
    return _told(entry, EventLine)


def page(found: list[Entry], *, limit: int) -> dict[str, Any]:
    """An `EventsPage` of up to `limit` entries."""
    following = str(found[-1].cursor) if len(found) == limit else None
    return {"events": [line(one) for one in found], "next": following}


def detail(entry: Entry, payload: dict[str, Any] | None, changed: Changed | None) -> dict[str, Any]:
    """An `EventDetail`."""
    seen = changed and {
        "room": _room(changed.room, entry, changed) if changed.room else None,
        "cycle": _told(changed.cycle, ChangedCycle, uncounted=changed.uncounted)
        if changed.cycle
        else None,
    }
    return line(entry) | {"payload": payload, "changed": seen}


def _room(life: Room, entry: Entry, changed: Changed) -> dict[str, Any]:
    values = {name: getattr(life, name, None) for name in ChangedRoom.model_fields}
    values |= {"session_id": entry.session_id, "naming_ignored": changed.naming_ignored}
    return {name: instant(at) if name.endswith("_at") else at for name, at in values.items()}


def _told(fact: Entry | Room | Cycle, reply: type[Reply], **more: Any) -> dict[str, Any]:
    """The fields of the reply, instants as the API has them."""
    values = {name: getattr(fact, name) for name in fact.__match_args__} | more
    return {
        name: instant(values[name]) if name.endswith("_at") else values[name]
        for name in reply.model_fields
    }
