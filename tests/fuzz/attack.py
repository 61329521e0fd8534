"""The attack: requests over every route of the application, right, half right and hostile.

It remembers what the right ones may have stored, so that whatever else is stored was not theirs.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import quote, quote_from_bytes, unquote, urlencode

from flask import Flask
from werkzeug.routing import Rule

from tests.build import signed
from tests.doors import ops_token, token, token_of
from tests.fuzz.words import MARK, dumped, mutated, spoilt, text, value

ROOMS = ("quran-98", "صف", "a/b", "..", "class 1", "x" * 256)
PEOPLE = ("5", "6", "a/b", "😀", f"{MARK}-user", "y" * 256)
FORMATS = ("csv", "xlsx", "x")
SESSIONS = ("98", *ROOMS, "quran-98@2026-11-23", "-", "a\x00b")
_ARGUMENT = re.compile(r"<[^>]+>")
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")
GENUINE = ("participant", "admin", "ops")
QUERIES = ("session", "user_id", "limit", "after", "from", "status")
EVENTS = (
    "room_started",
    "room_finished",
    "participant_joined",
    "participant_left",
    "participant_connection_aborted",
    "participant_seen",
    "client_joined",
    "track_published",
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: bytes
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass(slots=True)
class Allowed:
    """What those who may have asked for: nothing else may be stored."""

    events: set[str] = field(default_factory=set)
    rooms: set[str] = field(default_factory=set)
    participants: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)


class Attack:
    """Requests without end, the same for the same seed and day."""

    def __init__(self, app: Flask, seed: str) -> None:
        self._dice = Random(seed)
        self._rules = [rule for rule in app.url_map.iter_rules() if rule.methods]
        self._tokens = _tokens()
        self._numbers = 0
        self._name = seed
        self.allowed = Allowed()
        self.visits: list[str] = []

    def next(self) -> Request:
        dice = self._dice
        (kind,) = dice.choices(
            (self._webhook, self._anything, self._join, self._leave, self._session, self._poll),
            (25, 35, 12, 8, 8, 12),
        )
        made: Request = kind()
        return made

    def learn(self, body: bytes) -> None:
        """Remember a visit that a join was answered with."""
        try:
            told = json.loads(body)
        except ValueError:
            return
        if isinstance(told, dict) and isinstance(told.get("visit"), str):
            self.visits = [*self.visits[-50:], told["visit"]]

    def _webhook(self) -> Request:
        """Signed by LiveKit's key, mostly; what it says may be anything."""
        dice = self._dice
        body = dumped(dice, mutated(dice, self._event()))
        body, signature = signed(body)
        self._allow(body)
        if dice.random() < 0.2:
            signature = self._token()
            if dice.random() < 0.5:
                body = spoilt(dice, body)
        return Request("POST", b"/webhooks/livekit", (("Authorization", signature),), body)

    def _event(self) -> dict[str, Any]:
        dice = self._dice
        self._numbers += 1
        room, now = dice.choice(ROOMS), datetime.now(UTC)
        at = now - timedelta(seconds=dice.choice((0, 1, 60, 3600, 86_400 * 300)))
        number = dice.randrange(200)
        told: dict[str, Any] = {
            "event": dice.choice(EVENTS),
            "id": f"EV_{self._name}_{self._numbers}",
            "createdAt": str(int(at.timestamp())),
            "room": {
                "sid": f"RM_{ROOMS.index(room)}_{dice.randrange(3)}",
                "name": room,
                "creationTimeMs": str(int(at.timestamp() * 1000)),
                "turnPassword": MARK,
                "metadata": dice.choice(("", '{"session_id":"98"}', MARK)),
            },
        }
        if told["event"].startswith("participant"):
            told["participant"] = {
                "sid": f"PA_{number}",
                "identity": PEOPLE[number % len(PEOPLE)],
                "name": f"{MARK} {text(dice)}",
                "joinedAtMs": str(int(at.timestamp() * 1000)),
                "kind": dice.choice(("STANDARD", "AGENT", "9")),
                "permission": {"hidden": dice.random() < 0.1},
                "disconnectReason": dice.choice(("CLIENT_INITIATED", "NEW_ONE")),
                "metadata": MARK,
            }
        return told

    def _allow(self, body: bytes) -> None:
        """What this signed body may store: an event, or that it can't be read."""
        self.allowed.events.add(f"sha256:{hashlib.sha256(body).hexdigest()}")
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            return
        if not isinstance(told, dict):
            return
        self.allowed.events.add(_plain(told.get("id")))
        room, person = told.get("room"), told.get("participant")
        if isinstance(room, dict):
            self.allowed.rooms.add(_plain(room.get("name")))
            self.allowed.sessions |= _named(room.get("metadata"))
        if isinstance(person, dict):
            self.allowed.participants.add(_plain(person.get("sid")))

    def _join(self) -> Request:
        dice = self._dice
        session = dice.choice(SESSIONS)
        told = {
            "session_id": session,
            "participant_sid": f"PA_{dice.randrange(200)}",
            "name": f"{MARK} {text(dice)}",
            "session_type": dice.choice(("group", "other")),
        }
        return self._posted(b"/api/sessions/meeting/join", told)

    def _leave(self) -> Request:
        visit = self._dice.choice(self.visits) if self.visits else "VI_none"
        told: dict[str, Any] = {"session_id": "98", "visit": visit}
        if self._dice.random() < 0.5:
            told["access_token"] = self._token()
        return self._posted(b"/api/sessions/meeting/leave", told)

    def _session(self) -> Request:
        dice = self._dice
        session = dice.choice((*SESSIONS, text(dice)))
        told = mutated(
            dice,
            {
                "room_name": dice.choice(ROOMS),
                "scheduled_at": datetime.now(UTC).isoformat(),
                "duration_minutes": dice.choice((1, 60, 10_080)),
                "expected": [{"user_id": one, "name": MARK} for one in PEOPLE[:2]],
            },
        )
        self.allowed.sessions.add(_plain(session))  # where the query names it
        path, query = self._path("/api/sessions/{}", session, "session")
        body = dumped(dice, told)
        return Request("PUT", path + query, self._headers(ops_likely=True), body)

    def _poll(self) -> Request:
        dice = self._dice
        session = dice.choice((*SESSIONS, text(dice)))
        what = dice.choice(("attendance-status", "attendance"))
        path, query = self._path(f"/api/sessions/{{}}/{what}", session, "session")
        if dice.random() < 0.5:
            more = urlencode({"user_id": dice.choice(PEOPLE), "format": dice.choice(FORMATS)})
            query += (b"&" if query else b"?") + more.encode()
        return Request("GET", path + query, self._headers())

    def _anything(self) -> Request:
        """Any method on any route, with anything in its path, its query, its headers, its body."""
        dice = self._dice
        rule = dice.choice(self._rules)
        likely = dice.choice(sorted(rule.methods or ()))
        method = likely if dice.random() < 0.8 else dice.choice(METHODS)
        path = self._of_rule(rule)
        asked = [
            (dice.choice((*QUERIES, text(dice))), text(dice)) for _ in range(dice.randrange(3))
        ]
        query = urlencode(asked, errors="surrogatepass")
        body = dumped(dice, value(dice)) if method in ("POST", "PUT", "PATCH", "DELETE") else None
        target = path + (b"?" + query.encode() if query else b"")
        return Request(method, target, self._headers(), body)

    def _of_rule(self, rule: Rule) -> bytes:
        """Its path, with any word for each argument."""
        first, *others = _ARGUMENT.split(rule.rule)
        words = (self._quoted(self._dice.choice((*SESSIONS, text(self._dice)))) for _ in others)
        parts = (word + other.encode() for word, other in zip(words, others, strict=True))
        return first.encode() + b"".join(parts)

    def _path(self, form: str, session: str, word: str) -> tuple[bytes, bytes]:
        """The path of a session, in the query where a path can't carry it."""
        if "/" in session or session in (".", "..", ""):
            query = urlencode({word: session}).encode()
            return form.format("-").encode(), b"?" + query
        head, _, tail = form.partition("{}")
        return head.encode() + self._quoted(session) + tail.encode(), b""

    def _quoted(self, word: str) -> bytes:
        """In a path, now and then in a way that decodes to no Unicode; an operator may put it."""
        quoted = quote(word, safe="", errors="surrogatepass")
        if self._dice.random() < 0.05:
            quoted = quote_from_bytes(self._dice.randbytes(4))
        self.allowed.sessions.add(_plain(unquote(quoted)))
        return quoted.encode()

    def _posted(self, path: bytes, told: Any) -> Request:
        body = dumped(self._dice, mutated(self._dice, told))
        return Request("POST", path, self._headers(), body)

    def _headers(self, *, ops_likely: bool = False) -> tuple[tuple[str, str], ...]:
        dice = self._dice
        if dice.random() < 0.1:
            return ()
        found = self._tokens["ops"][0] if ops_likely and dice.random() < 0.7 else self._token()
        scheme = "Bearer " if dice.random() < 0.95 else dice.choice(("", "Basic ", "bearer  "))
        headers = [("Authorization", scheme + found)]
        if dice.random() < 0.2:
            headers.append(("Content-Type", dice.choice(("application/json", "text/csv", "x"))))
        if dice.random() < 0.2:
            headers.append(("Accept", dice.choice(("text/csv", "*/*;q=x", "application/json"))))
        if dice.random() < 0.05:
            headers.append(("Origin", "https://evil.example"))
        return tuple(headers)

    def _token(self) -> str:
        dice = self._dice
        kind = dice.choice(GENUINE) if dice.random() < 0.5 else dice.choice(list(self._tokens))
        found = dice.choice(self._tokens[kind])
        if found and dice.random() < 0.1:
            at = dice.randrange(len(found))
            found = found[:at] + dice.choice("aZ.-_=") + found[at + 1 :]
        return found


def _tokens() -> dict[str, list[str]]:
    """Every kind of token that there is, good and bad."""
    minute, now = 60, int(datetime.now(UTC).timestamp())
    video = {"roomJoin": True, "room": "quran-98"}
    return {
        "participant": [token(user, room) for user in PEOPLE for room in ROOMS],
        "admin": [token("teacher", room, roomAdmin=True) for room in ROOMS],
        "ops": [ops_token()],
        "webhook": [signed(b"{}")[1]],
        "expired": [token_of(sub="5", video=video, exp=now - 10 * minute)],
        "early": [token_of(sub="5", video=video, nbf=now + 10 * minute)],
        "foreign": [token_of(sub="5", video=video, key="nobody", secret=MARK)],
        "forged": [token_of(sub="5", video=video, secret=MARK)],
        "odd": [
            token_of(sub="5", video={"roomJoin": "true", "room": "quran-98"}),
            token_of(sub="x" * 300, video=video),
            token_of(video={"roomList": True}),
            token_of(sub="5", video={"roomAdmin": True}),
            token_of(video={"roomList": True, "roomCreate": True, "room": "quran-98"}),
        ],
        "none": ["", "a", "a.b.c", "..", "x" * 70_000, "é"],
    }


def _plain(told: object) -> str:
    """As it is stored; what is no text is not."""
    return told.replace("\0", "\ufffd") if isinstance(told, str) else ""


def _named(metadata: object) -> set[str]:
    try:
        told = json.loads(metadata) if isinstance(metadata, str) else None
    except (ValueError, RecursionError):
        return set()
    return {_plain(str(told.get("session_id")))} if isinstance(told, dict) else set()
