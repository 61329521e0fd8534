"""Callers: what the holder of a token may do. A token is verified once and remembered by its hash.

Frontends poll with the same token for hours; to verify it costs 30 us, to recognise it 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.domain.json_fields import MAX_ID_BYTES
from webhooks.door import verify

MOST = 20_000
"""Callers that a process remembers, some 500 bytes each; with one more it begins anew."""


class WebhookToken(Exception):
    """This is a webhook's token: it opens nothing here."""


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
    almost_operates: bool = False
    """Operators' grants, but for one room: `lk token create --create --list` makes up a room."""

    def may_see(self, user_id: str | None, *, in_own_room: bool) -> bool:
        """Whether this person's attendance in a session, of the caller's own room or of others, is
        theirs to see.

        None asks for everybody's.
        """
        if self.operates:
            return True
        if self.room is None or not in_own_room:
            return False
        return self.administers or (self.joins and user_id is not None and user_id == self.user_id)


class Callers:
    """Those whose token was verified lately. One for all threads of a process."""

    def __init__(self, keys: Mapping[str, str], *, most: int = MOST) -> None:
        self._keys, self._most = keys, most
        self._known: dict[bytes, tuple[float, Caller]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, token: str | None, *, now: datetime) -> Caller:
        """The token's holder. Raises Rejected, or WebhookToken.

        Remembered until the token expires; from then on the verifier's leeway decides each time.
        """
        digest = hashlib.sha256((token or "").encode()).digest()
        expires_s, caller = self._known.get(digest, (0.0, None))
        if caller is not None and now.timestamp() < expires_s:
            return caller
        claims = verify.claims(token, keys=self._keys, now=now)
        if "sha256" in claims:
            raise WebhookToken(WebhookToken.__doc__)
        caller = _caller(claims)
        if len(self._known) >= self._most:
            self._known = {}
        self._known[digest] = (claims["exp"], caller)
        return caller


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
        almost_operates=(
            grants.get("roomList") is True
            and grants.get("roomCreate") is True
            and bool(grants.get("room"))
        ),
    )


def _identifier(value: Any) -> str | None:
    """As the receiver stores it: NUL replaced; None for what can be no identity or room."""
    word = value.replace("\0", "\ufffd") if isinstance(value, str) else ""
    return word if word and len(word.encode()) <= MAX_ID_BYTES else None
