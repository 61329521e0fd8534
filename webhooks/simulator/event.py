"""What a simulated LiveKit server tells: rooms, visits, and the webhook of each event.

Pure: an event is the same bytes each time. Fields and their forms are those of the recordings in
tests/captures, made with livekit-server 1.13.5.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

EventKind = Literal["room_started", "participant_joined", "participant_left", "room_finished"]
DisconnectReason = Literal["CLIENT_INITIATED", "DUPLICATE_IDENTITY", "CONNECTION_TIMEOUT"]

DEPARTURE_TIMEOUT: Final = timedelta(seconds=3)

_CODECS: Final = [
    {"mime": mime}
    for mime in (
        "audio/PCMU",
        "audio/PCMA",
        "audio/opus",
        "audio/red",
        "video/VP8",
        "video/H264",
        "video/VP9",
        "video/AV1",
        "video/H265",
        "video/rtx",
    )
]


@dataclass(frozen=True, slots=True)
class Room:
    """One life of a room: the same name can live again under another sid."""

    name: str
    sid: str
    created_at: datetime
    turn_password: str = field(repr=False)
    comma: str
    """`,` or `, `: Go's protojson chooses by the build, so that nobody relies on the bytes."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The truth of one visit, under its own participant sid.

    `joined_at` (whole milliseconds) is when signalling began. `gone_at` is when the client really
    went; `left_at` when LiveKit noticed, about 19 s later for a killed client.
    """

    room: Room
    participant_sid: str
    identity: str
    name: str
    joined_at: datetime
    gone_at: datetime
    left_at: datetime
    disconnect_reason: DisconnectReason
    kind: str = "STANDARD"

    @property
    def left_at_as_told(self) -> datetime:
        """The best a receiver can know: LiveKit floors to seconds, maybe to before the join."""
        return max(self.left_at.replace(microsecond=0), self.joined_at)


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook, due at `at`. The kinds that start with participant_ have a visit."""

    at: datetime
    kind: EventKind
    event_id: str
    room: Room
    visit: Visit | None
    num_participants: int

    def body(self) -> bytes:
        """Return the body as protojson writes it: lowerCamel, int64 as strings, zeros left out."""
        payload: dict[str, Any] = {"event": self.kind, "room": _room_fields(self)}
        if self.visit is not None:
            payload["participant"] = _participant_fields(self.visit, self.kind)
        payload |= {"id": self.event_id, "createdAt": str(int(self.at.timestamp()))}
        return json.dumps(payload, ensure_ascii=False, separators=(self.room.comma, ":")).encode()


def _room_fields(event: Event) -> dict[str, Any]:
    room = event.room
    milliseconds = _epoch_milliseconds(room.created_at)
    fields: dict[str, Any] = {
        "sid": room.sid,
        "name": room.name,
        "emptyTimeout": 300,
        "departureTimeout": int(DEPARTURE_TIMEOUT.total_seconds()),
        "creationTime": str(milliseconds // 1000),
        "creationTimeMs": str(milliseconds),
        "turnPassword": room.turn_password,
        "enabledCodecs": _CODECS,
    }
    if event.num_participants:
        fields["numParticipants"] = event.num_participants
    return fields


def _participant_fields(visit: Visit, kind: EventKind) -> dict[str, Any]:
    left = kind == "participant_left"
    milliseconds = _epoch_milliseconds(visit.joined_at)
    fields: dict[str, Any] = {
        "sid": visit.participant_sid,
        "identity": visit.identity,
        "state": "DISCONNECTED" if left else "ACTIVE",
        "joinedAt": str(milliseconds // 1000),
        "joinedAtMs": str(milliseconds),
    }
    if visit.kind != "STANDARD":
        fields["kind"] = visit.kind
    if visit.name:
        fields["name"] = visit.name
    fields["version"] = 3 if left else 2
    fields["permission"] = {"canSubscribe": True, "canPublish": True, "canPublishData": True}
    if left:
        fields["disconnectReason"] = visit.disconnect_reason
    fields["clientProtocol"] = 2
    fields["capabilities"] = ["CAP_PACKET_TRAILER", "CAP_COMPRESSION_DEFLATE_RAW"]
    return fields


def _epoch_milliseconds(instant: datetime) -> int:
    """Exact, where `timestamp() * 1000` would round."""
    return int(instant.timestamp()) * 1000 + instant.microsecond // 1000
