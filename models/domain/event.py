"""One event, parsed: the door's raw JSON ends here, and everything behind it handles `Event`.

LiveKit's webhooks are protojson: lowerCamel, 64-bit integers as strings, zero values left out.
What is unknown is ignored, since newer servers may add fields, kinds and enum names.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson

from models.domain import correction_payload
from models.domain.corrections import Correction
from models.domain.enums import DISCONNECT_REASONS, KINDS, ROOM_END_REASONS, STANDARD
from models.domain.facts import Cycle, Source
from models.domain.json_fields import (
    EPOCH,
    MAX_ID_BYTES,
    MAX_NAME_LENGTH,
    MAX_SESSION_ID_BYTES,
    Unreadable,
    enum,
    identifier,
    instant,
    missing,
    nested,
    optional,
    required,
    word_of,
)

JOINED = "participant_joined"
LEFT = "participant_left"
ABORTED = "participant_connection_aborted"
ROOM_STARTED = "room_started"
ROOM_FINISHED = "room_finished"
SEEN = "participant_seen"  # the reconciler's own: LiveKit's API shows them inside
PARTICIPANT_EVENTS = frozenset({JOINED, LEFT, ABORTED, SEEN})
ROOM_EVENTS = frozenset({ROOM_STARTED, ROOM_FINISHED})
STORED_EVENTS = (PARTICIPANT_EVENTS | ROOM_EVENTS) - {SEEN}
CLIENT_JOINED = "client_joined"
CLIENT_LEFT = "client_left"
CLIENT_EVENTS = frozenset({CLIENT_JOINED, CLIENT_LEFT})
CORRECTED = "corrected"
CORRECTION_UNDONE = "correction_undone"
CORRECTION_EVENTS = frozenset({CORRECTED, CORRECTION_UNDONE})

MAX_AHEAD = timedelta(days=1)

_ESCAPE = re.compile(rb"\\(?:u0000|.)", re.DOTALL)


class Event(NamedTuple):
    """What one event says. Instants are aware UTC; `created_at` is the sender's clock.

    `joined_at`, `room_created_at` and `named_session` are None when the event does not say.
    `hidden` is None when an inference does not say. Client events have no sids but a `visit`,
    the `session_id` that they name (None: the room of their token), and maybe the participant sid
    that the client claims. An operator's have a `correction`, and no sids.
    """

    event_id: str
    event: str
    created_at: datetime
    source: Source = "livekit"
    room_sid: str | None = None
    room_name: str | None = None
    room_created_at: datetime | None = None
    named_session: str | None = None
    participant_sid: str | None = None
    user_id: str | None = None
    name: str | None = None
    kind: str = "STANDARD"
    hidden: bool | None = False
    joined_at: datetime | None = None
    disconnect_reason: str | None = None
    session_id: str | None = None
    visit: str | None = None
    claimed_sid: str | None = None
    room_end_reason: str | None = None
    session_type: str | None = None
    academy_id: str | None = None
    correction: Correction | None = None


class Known(NamedTuple):
    """The fields of a webhook's event that the ledger has in columns: each is read once."""

    event_id: str
    event: str
    created_at: datetime
    source: Source
    room_sid: str | None
    room_name: str | None
    participant_sid: str | None
    user_id: str | None


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`, NUL replaced by U+FFFD; Unreadable when it is none.

    `\\u0000` is legal JSON, and PostgreSQL refuses it in text.
    """
    if rb"\u0000" in body:
        body = _ESCAPE.sub(_without_nul, body)
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise Unreadable("the body is not a JSON object")
    return payload


def is_unused(payload: dict[str, Any]) -> bool:
    """Whether this is an event of a kind, known or new, that tells nothing about attendance."""
    return word_of(payload, "event") not in STORED_EVENTS


def redact(payload: dict[str, Any]) -> dict[str, Any]:
    """The part of a webhook that the fold and an operator need, in LiveKit's own words.

    Never a secret (`turnPassword`), nor a participant's metadata and attributes; of the room's
    metadata only the session that it names.
    """
    kept = _only(payload, "event", "id", "createdAt", "roomEndReason")
    room, participant = nested(payload, "room"), nested(payload, "participant")
    if room:
        kept["room"] = _only(room, "sid", "name", "creationTime", "creationTimeMs")
        if named := _named_session(room):
            kept["room"]["metadata"] = orjson.dumps({"session_id": named}).decode()
    if participant:
        words = ("sid", "identity", "name", "kind", "state", "joinedAt", "joinedAtMs")
        kept["participant"] = _only(participant, *words, "disconnectReason")
        if isinstance(name := kept["participant"].get("name"), str):
            kept["participant"]["name"] = name[:MAX_NAME_LENGTH]
        permission = _only(nested(participant, "permission"), "hidden", "recorder")
        if permission:
            kept["participant"]["permission"] = permission
    return kept


def read(payload: dict[str, Any], source: Source = "livekit") -> Event:
    """The event that a stored or a fresh payload tells; Unreadable says what is missing.

    What a reconciler finds about a manual join has the form of a client's event.
    """
    if source == "operator":
        return _read_correction(payload)
    by_hand = source == "reconciler" and payload.get("event") == CLIENT_LEFT
    if source == "client" or by_hand:
        return _read_client(payload, source)
    return _read_webhook(payload, source)


def check_not_ahead(event: Event, *, now: datetime) -> None:
    """Raise Unreadable for an event from the future: nothing of it could be undone by later ones.

    Clocks may differ; what differs by more than MAX_AHEAD is no clock's time.
    """
    instants = (event.created_at, event.joined_at, event.room_created_at)
    if any(at is not None and at > now + MAX_AHEAD for at in instants):
        raise Unreadable("it is from the future")


def _read_webhook(payload: dict[str, Any], source: Source) -> Event:
    room, participant = nested(payload, "room"), nested(payload, "participant")
    kind = word_of(payload, "event")
    if kind in PARTICIPANT_EVENTS:
        required(participant, "participant", "sid", "identity")
    if kind in PARTICIPANT_EVENTS | ROOM_EVENTS:
        required(room, "room", "sid", "name")
    known = Known(
        event_id=identifier(payload, "id"),
        event=kind,
        created_at=instant(payload, seconds="createdAt") or missing("createdAt"),
        source=source,
        room_sid=optional(room, "sid"),
        room_name=optional(room, "name"),
        participant_sid=optional(participant, "sid"),
        user_id=optional(participant, "identity"),
    )
    return read_rest(payload, known)


def read_rest(payload: dict[str, Any], known: Known) -> Event:
    """The event of a webhook of which `known` was read already, and checked: the payload has the
    rest. Raises Unreadable."""
    room, participant = nested(payload, "room"), nested(payload, "participant")
    return Event(
        event_id=known.event_id,
        event=known.event,
        created_at=known.created_at,
        source=known.source,
        room_sid=known.room_sid,
        room_name=known.room_name,
        room_created_at=instant(room, seconds="creationTime", millis="creationTimeMs"),
        named_session=_named_session(room),
        participant_sid=known.participant_sid,
        user_id=known.user_id,
        name=optional(participant, "name", limit=None),
        kind=enum(participant, "kind", KINDS) or STANDARD,
        hidden=_hidden(nested(participant, "permission"), known.source),
        joined_at=instant(participant, seconds="joinedAt", millis="joinedAtMs"),
        disconnect_reason=enum(participant, "disconnectReason", DISCONNECT_REASONS),
        room_end_reason=enum(payload, "roomEndReason", ROOM_END_REASONS),
    )


def _read_client(payload: dict[str, Any], source: Source) -> Event:
    kind = word_of(payload, "event")
    if kind not in CLIENT_EVENTS:
        raise Unreadable("event is not one of a client's")
    return Event(
        event_id=identifier(payload, "id"),
        event=kind,
        created_at=instant(payload, micros="createdAtUs") or missing("createdAtUs"),
        source=source,
        room_name=optional(payload, "room_name"),
        user_id=identifier(payload, "user_id"),
        name=optional(payload, "name", limit=None),
        session_id=optional(payload, "session_id", limit=MAX_SESSION_ID_BYTES),
        session_type=optional(payload, "session_type"),
        academy_id=optional(payload, "academy_id"),
        visit=identifier(payload, "visit"),
        claimed_sid=optional(payload, "participant_sid", limit=MAX_SESSION_ID_BYTES),
    )


def _read_correction(payload: dict[str, Any]) -> Event:
    kind = word_of(payload, "event")
    if kind not in CORRECTION_EVENTS:
        raise Unreadable("event is not one of a correction's")
    created_at = instant(payload, micros="createdAtUs") or missing("createdAtUs")
    return of_correction(
        correction_payload.read(payload), kind, identifier(payload, "id"), at=created_at
    )


def of_correction(correction: Correction, kind: str, event_id: str, *, at: datetime) -> Event:
    """The event of this kind that makes the correction, or undoes it."""
    return Event(
        event_id=event_id,
        event=kind,
        created_at=at,
        source="operator",
        room_name=correction.room_name,
        user_id=correction.user_id,
        session_id=correction.session_id,
        correction=correction,
    )


def leave_of(manual: Cycle, event_id: str, *, at: datetime, source: Source) -> Event:
    """The leave of a manual join: its client's word, or what a reconciler found."""
    return Event(
        event_id=event_id,
        event=CLIENT_LEFT,
        created_at=at,
        source=source,
        room_name=manual.room_name,
        user_id=manual.user_id,
        session_id=manual.named_session,
        visit=manual.cycle_id,
    )


def client_payload(event: Event) -> dict[str, Any]:
    """How a client's event stands in the ledger; `read(…, "client")` is its inverse."""
    words = {
        "event": event.event,
        "id": event.event_id,
        "createdAtUs": (event.created_at - EPOCH) // timedelta(microseconds=1),
        "session_id": event.session_id,
        "room_name": event.room_name,
        "user_id": event.user_id,
        "visit": event.visit,
        "participant_sid": event.claimed_sid,
        "name": event.name,
        "session_type": event.session_type,
        "academy_id": event.academy_id,
    }
    return {word: value for word, value in words.items() if value is not None}


def _without_nul(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[0] == rb"\u0000" else escape[0]


def _only(payload: dict[str, Any], *words: str) -> dict[str, Any]:
    """These words where they hold a plain value: LiveKit sends no floats, JSON has no Infinity."""
    return {word: payload[word] for word in words if isinstance(payload.get(word), (str, int))}


def _hidden(permission: dict[str, Any], source: Source) -> bool | None:
    """Whether the permissions hide the participant or make it a recorder. A webhook always says
    it; an inference may have no permissions, and then does not."""
    if permission.get("hidden") is True or permission.get("recorder") is True:
        return True
    return None if source == "reconciler" else False


def _named_session(room: dict[str, Any]) -> str | None:
    """The session that the room's metadata names: a non-empty string or an integer."""
    metadata = room.get("metadata")
    if not isinstance(metadata, str):
        return None
    try:
        parsed = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return None
    named = parsed.get("session_id") if isinstance(parsed, dict) else None
    if isinstance(named, bool) or not isinstance(named, (str, int)):
        return None
    word = str(named).replace("\0", "\ufffd")
    return word if word and len(word.encode()) <= MAX_ID_BYTES else None
