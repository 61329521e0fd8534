"""The names of enums' numbers, as LiveKit's protocol has them."""

from __future__ import annotations

STANDARD = "STANDARD"
KINDS = {1: "INGRESS", 2: "EGRESS", 3: "SIP", 4: "AGENT", 7: "CONNECTOR", 8: "BRIDGE"}
"""What is left out is `STANDARD`, the zero value."""

DISCONNECT_REASONS = dict(
    enumerate(
        (
            "CLIENT_INITIATED",
            "DUPLICATE_IDENTITY",
            "SERVER_SHUTDOWN",
            "PARTICIPANT_REMOVED",
            "ROOM_DELETED",
            "STATE_MISMATCH",
            "JOIN_FAILURE",
            "MIGRATION",
            "SIGNAL_CLOSE",
            "ROOM_CLOSED",
            "USER_UNAVAILABLE",
            "USER_REJECTED",
            "SIP_TRUNK_FAILURE",
            "CONNECTION_TIMEOUT",
            "MEDIA_FAILURE",
            "AGENT_ERROR",
        ),
        start=1,
    )
)

ROOM_END_REASONS = {
    1: "ROOM_END_API_DELETE",
    2: "ROOM_END_IDLE_TIMEOUT",
    3: "ROOM_END_SERVER_SHUTDOWN",
    4: "ROOM_END_SUPERSEDED",
    5: "ROOM_END_OPEN_FAILED",
}
