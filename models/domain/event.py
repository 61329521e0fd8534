"""One event, parsed: the door's raw JSON ends here, and everything behind it handles `Event`.

LiveKit's webhooks are protojson: lowerCamel, 64-bit integers as strings, zero values left out.
What is unknown is ignored, since newer servers may add fields, kinds and enum names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from models.domain.enums import DISCONNECT_REASONS, KINDS, ROOM_END_REASONS, STANDARD
from models.domain.facts import Cycle, Source

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

MAX_ID_BYTES = 256
MAX_SESSION_ID_BYTES = MAX_ID_BYTES + len("@YYYY-MM-DD")  # made on the spot for a room
"""Also the longest word that a client may send: what a door takes can be read again."""
MAX_NAME_LENGTH = 256
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_AHEAD = timedelta(days=1)
END_OF_TIME = datetime(3000, 1, 1, tzinfo=UTC)

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_ESCAPE = re.compile(rb"\\(?:u0000|.)", re.DOTALL)


class Unreadable(ValueError):
    """The event can't be read: {0}."""


@dataclass(frozen=True, slots=True)
class Event:
    """What one event says. Instants are aware UTC; `created_at` is the sender's clock.

    `joined_at`, `room_created_at` and `named_session` are None when the event does not say.
    `hidden` is None when an inference does not say. Client events have no sids but a `visit`,
    the `session_id` that they name (None: the room of their token), and maybe the participant sid
    that the client claims.
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
    return _word(payload, "event") not in STORED_EVENTS


def redact(payload: dict[str, Any]) -> dict[str, Any]:
    """The part of a webhook that the fold and an operator need, in LiveKit's own words.

    Never a secret (`turnPassword`), nor a participant's metadata and attributes; of the room's
    metadata only the session that it names.
    """
    kept = _only(payload, "event", "id", "createdAt", "roomEndReason")
    room, participant = _object(payload, "room"), _object(payload, "participant")
    if room:
        kept["room"] = _only(room, "sid", "name", "creationTime", "creationTimeMs")
        if named := _named_session(room):
            kept["room"]["metadata"] = orjson.dumps({"session_id": named}).decode()
    if participant:
        words = ("sid", "identity", "name", "kind", "state", "joinedAt", "joinedAtMs")
        kept["participant"] = _only(participant, *words, "disconnectReason")
        if isinstance(name := kept["participant"].get("name"), str):
            kept["participant"]["name"] = name[:MAX_NAME_LENGTH]
        permission = _only(_object(participant, "permission"), "hidden", "recorder")
        if permission:
            kept["participant"]["permission"] = permission
    return kept


def read(payload: dict[str, Any], source: Source = "livekit") -> Event:
    """The event that a stored or a fresh payload tells; Unreadable says what is missing.

    What a reconciler finds about a manual join has the form of a client's event.
    """
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
    room, participant = _object(payload, "room"), _object(payload, "participant")
    kind = _word(payload, "event")
    if kind in PARTICIPANT_EVENTS:
        _required(participant, "participant", "sid", "identity")
    if kind in PARTICIPANT_EVENTS | ROOM_EVENTS:
        _required(room, "room", "sid", "name")
    permission = _object(participant, "permission")
    return Event(
        event_id=_identifier(payload, "id"),
        event=kind,
        created_at=_instant(payload, seconds="createdAt") or _missing("createdAt"),
        source=source,
        room_sid=_optional(room, "sid"),
        room_name=_optional(room, "name"),
        room_created_at=_instant(room, seconds="creationTime", millis="creationTimeMs"),
        named_session=_named_session(room),
        participant_sid=_optional(participant, "sid"),
        user_id=_optional(participant, "identity"),
        name=_optional(participant, "name", limit=None),
        kind=_enum(participant, "kind", KINDS) or STANDARD,
        hidden=_hidden(permission, source),
        joined_at=_instant(participant, seconds="joinedAt", millis="joinedAtMs"),
        disconnect_reason=_enum(participant, "disconnectReason", DISCONNECT_REASONS),
        room_end_reason=_enum(payload, "roomEndReason", ROOM_END_REASONS),
    )


def _read_client(payload: dict[str, Any], source: Source) -> Event:
    kind = _word(payload, "event")
    if kind not in CLIENT_EVENTS:
        raise Unreadable("event is not one of a client's")
    return Event(
        event_id=_identifier(payload, "id"),
        event=kind,
        created_at=_instant(payload, micros="createdAtUs") or _missing("createdAtUs"),
        source=source,
        room_name=_optional(payload, "room_name"),
        user_id=_identifier(payload, "user_id"),
        name=_optional(payload, "name", limit=None),
        session_id=_optional(payload, "session_id", limit=MAX_SESSION_ID_BYTES),
        session_type=_optional(payload, "session_type"),
        academy_id=_optional(payload, "academy_id"),
        visit=_identifier(payload, "visit"),
        claimed_sid=_optional(payload, "participant_sid", limit=MAX_SESSION_ID_BYTES),
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


def _object(payload: dict[str, Any], word: str) -> dict[str, Any]:
    value = payload.get(word)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(f"{word} is not an object")
    return value


def _required(payload: dict[str, Any], where: str, *words: str) -> None:
    for word in words:
        if not payload.get(word):
            raise Unreadable(f"{where}.{word} is missing")


def _missing(word: str) -> datetime:
    raise Unreadable(f"{word} is missing")


def _word(payload: dict[str, Any], word: str) -> str:
    value = payload.get(word)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{word} is missing or not a string")
    return value


def _identifier(payload: dict[str, Any], word: str, *, limit: int = MAX_ID_BYTES) -> str:
    value = _word(payload, word)
    if len(value.encode()) > limit:
        raise Unreadable(f"{word} is longer than {limit} bytes")
    return value


def _optional(
    payload: dict[str, Any], word: str, *, limit: int | None = MAX_ID_BYTES
) -> str | None:
    value = payload.get(word)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unreadable(f"{word} is not a string")
    if limit and len(value.encode()) > limit:
        raise Unreadable(f"{word} is longer than {limit} bytes")
    return value


def _hidden(permission: dict[str, Any], source: Source) -> bool | None:
    """Whether the permissions hide the participant or make it a recorder. A webhook always says
    it; an inference may have no permissions, and then does not."""
    if permission.get("hidden") is True or permission.get("recorder") is True:
        return True
    return None if source == "reconciler" else False


def _enum(payload: dict[str, Any], word: str, names: Mapping[int, str]) -> str | None:
    """An enum's name. protojson may give its number: always where it was told to, else for one
    that its sender has no name for."""
    value = payload.get(word)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Unreadable(f"{word} is neither a name nor a number")
    if value in {0, ""}:
        return None
    return names.get(value, str(value)) if isinstance(value, int) else value


def _instant(
    payload: dict[str, Any], *, seconds: str = "", millis: str = "", micros: str = ""
) -> datetime | None:
    """The finest of the units that the payload carries; None when it carries none, or zero."""
    units = ((micros, 1), (millis, 1_000), (seconds, 1_000_000))
    for word, unit in units:
        count = _integer(payload, word) if word else 0
        if count:
            return _in_range(word, count * unit)
    return None


def _integer(payload: dict[str, Any], word: str) -> int:
    value = payload.get(word)
    if value is None:
        return 0
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"{word} is not an integer")
    return value


def _in_range(word: str, micros: int) -> datetime:
    if not 0 < micros < (END_OF_TIME - EPOCH) // timedelta(microseconds=1):
        raise Unreadable(f"{word} is out of range")
    return EPOCH + timedelta(microseconds=micros)


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
