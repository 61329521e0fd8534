"""Payloads as the ledger stores them: without what the row's columns have. Pure.

A short payload has no `event`; a whole one, which an older version stored, does. What is left out:

| of a webhook | is |
|---|---|
| `event`, `id` | the columns `event`, `event_id` |
| `createdAt` | the column `created_at`, in seconds since 1970 |
| `room.sid`, `room.name` | the columns `room_sid`, `room_name` |
| `room.creationTime` | `room.creationTimeMs` without its last three digits |
| `participant.sid`, `participant.identity` | the columns `participant_sid`, `user_id` |
| `participant.joinedAt` | `participant.joinedAtMs` without its last three digits |

Of a client's event, which has a `visit`: `event`, `id`, `createdAtUs` (the column `created_at`, in
microseconds), `session_id`, `room_name`, `user_id` and `visit`. A correction stays whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from models.domain.event import ROOM_EVENTS, Known
from models.domain.json_fields import EPOCH

Payload = dict[str, Any]

TOP = frozenset({"event", "id", "createdAt"})
ROOM = frozenset({"sid", "name"})
PARTICIPANT = frozenset({"sid", "identity"})
CLIENT = frozenset({"event", "id", "createdAtUs", "session_id", "room_name", "user_id", "visit"})

OF_PARTICIPANT = Known._fields.index("participant_sid")

SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
DIGITS_OF_MILLISECONDS = 3


def shortened(payload: Any, row: Mapping[Any, Any]) -> Any:
    """What is stored of the payload of this row of webhook_events.

    All of it where `restored` would not give back the same: other times than LiveKit writes, say.
    """
    if not isinstance(payload, dict):
        return payload
    short = _of_client(payload) if row["visit"] is not None else _of_webhook(payload)
    return short if restored(short, row) == payload else payload


def restored(stored: Any, row: Mapping[Any, Any]) -> Any:
    """The payload as it was; of this row are needed the columns of `webhook_event.Content`.

    What stands in it wins over the columns.
    """
    created_at = row["created_at"]
    if not isinstance(stored, dict) or "event" in stored or created_at is None:
        return stored
    if row["visit"] is not None:
        return _whole_of_client(stored, row)
    whole = {
        "event": row["event"],
        "id": row["event_id"],
        "createdAt": str((created_at - EPOCH) // SECOND),
        **stored,
    }
    if isinstance(room := stored.get("room"), dict):
        known = {"sid": row["room_sid"], "name": row["room_name"]}
        whole["room"] = _in_seconds(known | room, "creationTime")
    if isinstance(participant := stored.get("participant"), dict):
        known = {"sid": row["participant_sid"], "identity": row["user_id"]}
        whole["participant"] = _in_seconds(known | participant, "joinedAt")
    return whole


def leaves_to_columns(stored: Any, known: Known) -> bool:
    """Whether a webhook's payload is short, says nothing of what is known of its event, and nothing
    of that is missing."""
    if not isinstance(stored, dict) or not TOP.isdisjoint(stored):
        return False
    room, participant = stored.get("room"), stored.get("participant")
    if not isinstance(room, dict) or not ROOM.isdisjoint(room):
        return False
    if participant is None:
        return known.event in ROOM_EVENTS and all(known[:OF_PARTICIPANT])
    return isinstance(participant, dict) and PARTICIPANT.isdisjoint(participant) and all(known)


def _of_webhook(payload: Payload) -> Payload:
    short = {word: value for word, value in payload.items() if word not in TOP}
    if isinstance(room := payload.get("room"), dict):
        short["room"] = _without(room, ROOM, "creationTime")
    if isinstance(participant := payload.get("participant"), dict):
        short["participant"] = _without(participant, PARTICIPANT, "joinedAt")
    return short


def _without(part: Payload, words: frozenset[str], seconds: str) -> Payload:
    """Without these words, and the seconds that its milliseconds say too."""
    finer = f"{seconds}Ms" in part
    return {
        word: value
        for word, value in part.items()
        if word not in words and not (finer and word == seconds)
    }


def _in_seconds(part: Payload, seconds: str) -> Payload:
    """With the seconds that its milliseconds say."""
    finer = part.get(f"{seconds}Ms")
    if isinstance(finer, str) and seconds not in part:
        part[seconds] = finer[:-DIGITS_OF_MILLISECONDS]
    return part


def _of_client(payload: Payload) -> Payload:
    return {word: value for word, value in payload.items() if word not in CLIENT}


def _whole_of_client(stored: Payload, row: Mapping[Any, Any]) -> Payload:
    words = {
        "event": row["event"],
        "id": row["event_id"],
        "createdAtUs": (row["created_at"] - EPOCH) // MICROSECOND,
        "session_id": row["session_id"],
        "room_name": row["room_name"],
        "user_id": row["user_id"],
        "visit": row["visit"],
    }
    return {word: value for word, value in words.items() if value is not None} | stored
