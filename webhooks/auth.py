"""Who asks, and what may they: LiveKit's own access tokens, which every frontend already has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flask import request

from models.event import MAX_ID_BYTES
from webhooks import verify
from webhooks.context import backend, present
from webhooks.problems import Problem, forbidden, unauthorized
from webhooks.verify import Rejected


@dataclass(frozen=True, slots=True)
class Caller:
    """What a token lets its holder do.

    `user_id` and `room` are what the token is for. `joins`: status, join and leave for oneself, in
    sessions of the room; `administers`: everyone there; `operates`: everything.
    """

    user_id: str | None
    room: str | None
    joins: bool
    administers: bool
    operates: bool

    def may_see(self, user_id: str | None, room_names: Collection[str]) -> bool:
        """Whether this person's attendance, in a session that had these rooms, is theirs to see.

        None asks for everybody's.
        """
        if self.operates:
            return True
        if self.room is None or self.room not in room_names:
            return False
        return self.administers or (self.joins and user_id is not None and user_id == self.user_id)


def caller(token: str | None = None) -> Caller:
    """The holder of the request's bearer token, or of the `token` that came in its body.

    Raises Problem: 401 without a genuine one, 400 when header and body have different ones.
    """
    header = _bearer()
    if header and token and header != token:
        raise Problem(400, "two-tokens", "The header and the body carry different tokens.")
    try:
        found = verify.claims(header or token, keys=backend().keys, now=present())
    except Rejected as error:
        raise unauthorized(error.reason, str(error)) from None
    if "sha256" in found:
        raise unauthorized("webhook-token", "This is a webhook's token: it opens nothing here.")
    return _caller(found)


def operator() -> Caller:
    """The holder of an operators' token. Raises Problem: 401, or 403 with any other token."""
    found = caller()
    if not found.operates:
        raise forbidden()
    return found


def participant(token: str | None = None) -> Caller:
    """The holder of a participant's token. Raises Problem: 401, or 403 with any other token."""
    found = caller(token)
    if not found.joins:
        raise forbidden()
    return found


def _bearer() -> str | None:
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("malformed", "The header must be `Authorization: Bearer <token>`.")
    return token.strip()


def _caller(claims: Mapping[str, Any]) -> Caller:
    """Only grants count: a participant can get new attributes signed, and lobbies hold roomList."""
    grants = claims.get("video") or {}
    user_id, room = _identifier(claims.get("sub")), _identifier(grants.get("room"))
    return Caller(
        user_id=user_id,
        room=room,
        joins=grants.get("roomJoin") is True and room is not None and user_id is not None,
        administers=grants.get("roomAdmin") is True and room is not None,
        operates=(
            grants.get("roomList") is True
            and grants.get("roomCreate") is True
            and not grants.get("room")
        ),
    )


def _identifier(value: Any) -> str | None:
    """As the receiver stores it: NUL replaced; None for what can be no identity or room."""
    if not isinstance(value, str) or not value or len(value.encode()) > MAX_ID_BYTES:
        return None
    return value.replace("\0", "\ufffd")
