"""How a correction stands in the ledger: `read` is the inverse of `write`. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast, get_args

from models.domain.corrections import Correction, Kind
from models.domain.json_fields import (
    EPOCH,
    MAX_SESSION_ID_BYTES,
    Unreadable,
    identifier,
    instant,
    missing,
    optional,
)

MAX_REASON_LENGTH = 1_000
"""Characters."""

ONE_MICROSECOND = timedelta(microseconds=1)


def undoing(correction_id: str) -> str:
    """The id of the event that undoes the correction. The one that makes it has the correction's
    own."""
    return f"{correction_id}-undone"


def read(payload: dict[str, Any]) -> Correction:
    """The correction that an event makes, or undoes (then it says by whom). Raises Unreadable."""
    kind = identifier(payload, "kind")
    if kind not in get_args(Kind):
        raise Unreadable("kind is none of a correction's")
    undone_by = optional(payload, "undone_by")
    return Correction(
        id=identifier(payload, "correction_id"),
        session_id=identifier(payload, "session_id", limit=MAX_SESSION_ID_BYTES),
        room_name=identifier(payload, "room_name", limit=MAX_SESSION_ID_BYTES),
        user_id=identifier(payload, "user_id", limit=MAX_SESSION_ID_BYTES),
        kind=cast("Kind", kind),
        made_at=instant(payload, micros="madeAtUs") or missing("madeAtUs"),
        author=identifier(payload, "author"),
        reason=optional(payload, "reason", limit=None),
        starts_at=instant(payload, micros="startsAtUs"),
        ends_at=instant(payload, micros="endsAtUs"),
        participant_sid=optional(payload, "participant_sid", limit=MAX_SESSION_ID_BYTES),
        same_as=optional(payload, "same_as", limit=MAX_SESSION_ID_BYTES),
        always_from=instant(payload, micros="alwaysFromUs"),
        undone_at=instant(payload, micros="createdAtUs") if undone_by else None,
        undone_by=undone_by,
    )


def write(correction: Correction, *, event: str, event_id: str, at: datetime) -> dict[str, Any]:
    """The payload of the event of this kind and id, made at this moment."""
    words = {
        "event": event,
        "id": event_id,
        "createdAtUs": _micros(at),
        "correction_id": correction.id,
        "session_id": correction.session_id,
        "room_name": correction.room_name,
        "user_id": correction.user_id,
        "kind": correction.kind,
        "madeAtUs": _micros(correction.made_at),
        "author": correction.author,
        "reason": correction.reason,
        "startsAtUs": _micros(correction.starts_at),
        "endsAtUs": _micros(correction.ends_at),
        "participant_sid": correction.participant_sid,
        "same_as": correction.same_as,
        "alwaysFromUs": _micros(correction.always_from),
        "undone_by": correction.undone_by,
    }
    return {word: value for word, value in words.items() if value is not None}


def _micros(at: datetime | None) -> int | None:
    return None if at is None else (at - EPOCH) // ONE_MICROSECOND
