"""Builders in the words of the domain, for every test: events, facts, webhooks as LiveKit sends
them, and recordings of a real server.

Everything happens on one day, with one person ("5") in one room ("quran-98", whose class is
session "98"), unless a test says otherwise. Instants are datetimes, or clock times of that day.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import jwt

from models.domain import attendance, merge, ownership, visit
from models.domain.event import (
    ABORTED,
    CLIENT_JOINED,
    CLIENT_LEFT,
    JOINED,
    LEFT,
    ROOM_FINISHED,
    ROOM_STARTED,
    SEEN,
    Event,
)
from models.domain.facts import (
    ByHand,
    Cycle,
    MadeBy,
    Meeting,
    Person,
    Room,
    Rules,
    Session,
    Source,
)
from models.domain.json_fields import EPOCH

KEY, SECRET = "devkey", "devsecret-devsecret-devsecret-devsecret"
DAY = datetime(2026, 11, 23, tzinfo=UTC)
CAPTURES = Path(__file__).parent / "captures"

Instant = datetime | str


def at(clock: Instant) -> datetime:
    """An instant of the day: `at("14:05")`, `at("14:05:30.250")`, `at("00:30 +1")` a day later."""
    if isinstance(clock, datetime):
        return clock
    time, _, days = clock.partition(" +")
    instant = datetime.fromisoformat(f"{DAY.date()}T{time}+00:00")
    return instant + timedelta(days=int(days or 0))


# --- events ---------------------------------------------------------------------------------------


class Words(TypedDict, total=False):
    """What a webhook's builder may be told; `names` is the session that the metadata names."""

    sid: str
    user: str
    room: str
    room_name: str
    room_created: Instant | None
    names: str | None
    name: str | None
    kind: str
    hidden: bool
    joined_at: Instant | None
    reason: str | None
    source: Source
    event_id: str


def joined(at: Instant = "14:00", **words: Unpack[Words]) -> Event:
    """participant_joined of a visit that began then; `joined_at=None` for one that won't say."""
    return _participant(JOINED, at, {"joined_at": at, **words})


def left(at: Instant = "14:30", **words: Unpack[Words]) -> Event:
    """participant_left, sent in the second of `at`."""
    return _participant(LEFT, at, {"reason": "CLIENT_INITIATED", **words})


def aborted(at: Instant = "14:00", **words: Unpack[Words]) -> Event:
    """participant_connection_aborted: signalling only, the media never came up."""
    return _participant(ABORTED, at, words)


def seen(at: Instant = "14:30", **words: Unpack[Words]) -> Event:
    """The reconciler saw the participant in LiveKit's API."""
    return _participant(SEEN, at, {"source": "reconciler", **words})


def room_started(at: Instant = "13:50", **words: Unpack[Words]) -> Event:
    return _webhook(ROOM_STARTED, at, words)


def room_finished(at: Instant = "15:00", **words: Unpack[Words]) -> Event:
    return _webhook(ROOM_FINISHED, at, words)


class ClientWords(TypedDict, total=False):
    """What a manual join's or leave's builder may be told; `claims` is a participant sid."""

    visit: str
    user: str
    session: str
    room_name: str
    name: str | None
    claims: str | None
    event_id: str


def client_joined(at: Instant = "14:00", **words: Unpack[ClientWords]) -> Event:
    """The frontend says: I joined."""
    return _client(CLIENT_JOINED, at, words)


def client_left(at: Instant = "14:30", **words: Unpack[ClientWords]) -> Event:
    """The frontend says: this visit is over."""
    return _client(CLIENT_LEFT, at, words)


def _participant(event: str, when: Instant, words: Words) -> Event:
    told = _webhook(event, when, words)
    joined_at = words.get("joined_at")
    return told._replace(
        event_id=words.get("event_id", f"{told.event_id}_{words.get('sid', 'PA_1')}"),
        participant_sid=words.get("sid", "PA_1"),
        user_id=words.get("user", "5"),
        name=words.get("name"),
        kind=words.get("kind", "STANDARD"),
        hidden=words.get("hidden", None if event == SEEN else False),
        joined_at=None if joined_at is None else at(joined_at),
        disconnect_reason=words.get("reason"),
    )


def _webhook(event: str, when: Instant, words: Words) -> Event:
    """LiveKit's `createdAt` is a whole second; the same words make the same event, id and all."""
    created_at, source = at(when).replace(microsecond=0), words.get("source", "livekit")
    room, room_created = words.get("room", "RM_1"), words.get("room_created")
    return Event(
        event_id=words.get("event_id", f"EV_{source}_{event}_{created_at.timestamp():.0f}_{room}"),
        event=event,
        created_at=created_at,
        source=source,
        room_sid=room,
        room_name=words.get("room_name", "quran-98"),
        room_created_at=None if room_created is None else at(room_created),
        named_session=words.get("names"),
    )


def _client(event: str, when: Instant, words: ClientWords) -> Event:
    created_at, visit = at(when), words.get("visit", "VI_1")
    return Event(
        event_id=words.get("event_id", f"{event}_{created_at.isoformat()}_{visit}"),
        event=event,
        created_at=created_at,
        source="client",
        room_name=words.get("room_name", "quran-98"),
        user_id=words.get("user", "5"),
        name=words.get("name"),
        session_id=words.get("session", "98"),
        visit=visit,
        claimed_sid=words.get("claims"),
    )


# --- facts ----------------------------------------------------------------------------------------


def session(
    session_id: str = "98",
    *,
    scheduled: Instant | None = "14:00",
    minutes: int = 60,
    room_name: str = "quran-98",
    made_by: MadeBy = "registered",
    late_after: int = 10,
    minimum: float | None = None,
    expected: Sequence[str] = (),
    rooms: Sequence[str] = (),
) -> Session:
    """A registered class from 14:00 to 15:00; `scheduled=None` for one without a schedule."""
    return Session(
        id=session_id,
        room_name=room_name,
        made_by=made_by,
        scheduled_at=None if scheduled is None else at(scheduled),
        duration_minutes=minutes,
        late_after_minutes=late_after,
        minimum_percentage=minimum,
        expected=tuple(Person(user_id) for user_id in expected),
        rooms=tuple(rooms),
    )


def room(
    sid: str = "RM_1",
    *,
    name: str = "quran-98",
    created: Instant = "13:50",
    names: str | None = None,
) -> Room:
    return Room(
        sid=sid, name=name, created_at=at(created), last_event_at=at(created), named_session=names
    )


def meeting(one: Session | None = None, *rooms: Room, heard: Instant | None = None) -> Meeting:
    of = one or session()
    by_hand = {} if heard is None else {of.room_name: ByHand(at(heard))}
    return Meeting(of, rooms, by_hand)


@dataclass(frozen=True)
class Folded:
    """What a set of events amounts to: the facts as storage would have them."""

    rooms: Mapping[str, Room]
    cycles: Mapping[str, Cycle]
    registered: Mapping[str, Session]
    rules: Rules = Rules()  # noqa: RUF009 - frozen

    @property
    def sessions(self) -> list[str]:
        """The ids of the sessions that are there: registered, or owners of something."""
        owned = {
            self.owners(life.name).at(life.created_at, life, life.created_at)
            for life in self.meeting().rooms
        }
        return sorted(owned | self.registered.keys() | set(map(self._home, self.cycles.values())))

    @property
    def candidates(self) -> list[str]:
        """The ids of all sessions that could own anything."""
        made = {
            ownership.made_id(life.name, life.created_at, self.rules)
            for life in self.rooms.values()
        }
        made |= {life.named_session for life in self.rooms.values() if life.named_session}
        made |= {
            ownership.made_id(each.room_name or "", each.joined_at, self.rules)
            for each in self.cycles.values()
            if each.joined_at
        }
        return sorted(made | set(self.sessions))

    def _home(self, cycle: Cycle) -> str:
        """The session in which the cycle begins."""
        began_at = cycle.began_at or cycle.client_left_at or cycle.left_at or EPOCH
        owners = self.owners(cycle.room_name or "", cycle.user_id)
        return visit.home(owners, cycle, now=began_at)

    def meeting(self, session_id: str = "98") -> Meeting:
        """The session with every room there is: those that are another's change nothing."""
        signs: dict[str, list[datetime]] = {}
        for cycle in self.cycles.values():
            if cycle.provisional:
                both = (cycle.client_joined_at, cycle.client_left_at)
                signs.setdefault(cycle.room_name or "", []).extend(filter(None, both))
        names = {room.name for room in self.rooms.values()}
        names |= {cycle.room_name or "" for cycle in self.cycles.values()}
        return Meeting(
            self.registered.get(session_id) or Session(session_id, session_id, made_by="room"),
            tuple(self._with_valid_name(room) for room in self.rooms.values()),
            {name: ByHand(max(some)) for name, some in signs.items() if some},
            {name: ownership.calendar(name, self.registered.values()) for name in names},
        )

    def owners(self, name: str = "quran-98", user: str = "5") -> ownership.Owners:
        """Who owns the moments of this person in rooms of this name."""
        expecting = frozenset(one.id for one in self.registered.values() if user in one.awaited)
        return ownership.of_name(self.meeting(), name, expecting, self.rules)

    def cycles_of(self, user: str = "5") -> list[Cycle]:
        return [cycle for cycle in self.cycles.values() if cycle.user_id == user]

    def attendance(
        self,
        user: str = "5",
        session_id: str = "98",
        *,
        now: Instant,
        rules: Rules | None = None,
    ) -> attendance.Attendance:
        expecting = frozenset(one.id for one in self.registered.values() if user in one.awaited)
        return attendance.view(
            self.meeting(session_id),
            user,
            self.cycles_of(user),
            now=at(now),
            rules=rules or self.rules,
            expecting=expecting,
        )

    def _with_valid_name(self, room: Room) -> Room:
        valid = room.may_name(self.registered.get(room.named_session or ""))
        return room if valid else room._replace(named_session=None)


def folded(
    events: Iterable[Event],
    *,
    registered: Sequence[Session] = (),
    rules: Rules = Rules(),  # noqa: B008 - frozen
) -> Folded:
    """Fold events in the order given, beside what is registered by now."""
    events = list(events)
    by_cycle: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if key := event.participant_sid or event.visit:
            by_cycle[key].append(event)
    cycles = [_cycle(mail) for mail in by_cycle.values()]
    return Folded(
        rooms={room.sid: room for room in ownership.with_lives_in_a_row(_rooms(events))},
        cycles={one.cycle_id: one for one in sorted(cycles, key=lambda one: one.cycle_id)},
        registered={one.id: one for one in sorted(registered, key=lambda one: one.id)},
        rules=rules,
    )


def _cycle(mail: Iterable[Event]) -> Cycle:
    cycle = reduce(merge.merge, mail, None)
    assert cycle is not None
    return cycle


def _rooms(events: Iterable[Event]) -> list[Room]:
    rooms: dict[str, Room] = {}
    for event in events:
        if event.room_sid is not None:
            rooms[event.room_sid] = merge.merge_room(rooms.get(event.room_sid), event)
    return list(rooms.values())


# --- webhooks as LiveKit sends them ---------------------------------------------------------------


def webhook(event: Event) -> dict[str, Any]:
    """The event as LiveKit puts it (protojson), with all that we never keep."""
    payload: dict[str, Any] = {"event": event.event, "room": _room_json(event)}
    if event.participant_sid is not None:
        payload["participant"] = _participant_json(event)
    return payload | {"id": event.event_id, "createdAt": _count(event.created_at, seconds=1)}


def signed(
    payload: Mapping[str, Any] | bytes,
    key: str = KEY,
    secret: str = SECRET,
    now: datetime | None = None,
) -> tuple[bytes, str]:
    """The body and the token of a webhook that LiveKit sends at `now`."""
    now = now or datetime.now(UTC)
    body = payload if isinstance(payload, bytes) else _dumps(payload)
    seconds = int(now.timestamp())
    claims = {
        "iss": key,
        "exp": seconds + 300,
        "nbf": seconds,
        "iat": seconds,
        "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    return body, jwt.encode(claims, secret, algorithm="HS256")


def _room_json(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {"sid": event.room_sid, "name": event.room_name, "emptyTimeout": 300}
    if event.room_created_at is not None:
        told["creationTime"] = _count(event.room_created_at, seconds=1)
        told["creationTimeMs"] = _count(event.room_created_at, seconds=0.001)
    if event.named_session is not None:
        told["metadata"] = json.dumps({"session_id": event.named_session})
    return told | {"turnPassword": "turn-secret", "enabledCodecs": [{"mime": "audio/opus"}]}


def _participant_json(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {"sid": event.participant_sid, "identity": event.user_id}
    told["state"] = "ACTIVE" if event.event == JOINED else "DISCONNECTED"
    if event.joined_at is not None:
        told["joinedAt"] = _count(event.joined_at, seconds=1)
        told["joinedAtMs"] = _count(event.joined_at, seconds=0.001)
    permission: dict[str, Any] = {"canSubscribe": True, "canPublish": True}
    if event.hidden:
        permission["hidden"] = True
    told |= {"permission": permission, "metadata": "private", "attributes": {"mood": "private"}}
    if event.kind != "STANDARD":
        told["kind"] = event.kind
    maybe = {"name": event.name, "disconnectReason": event.disconnect_reason}
    return told | {word: value for word, value in maybe.items() if value is not None}


def _count(instant: datetime, *, seconds: float) -> str:
    """A 64-bit integer as protojson writes it: whole units since 1970, in a string."""
    return str((instant - EPOCH) // timedelta(seconds=seconds))


def _dumps(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


# --- recordings of a real server ------------------------------------------------------------------


class Post(NamedTuple):
    """One webhook as it came over the wire."""

    headers: dict[str, str]
    body: bytes
    received_at: datetime

    @property
    def token(self) -> str:
        return self.headers["Authorization"]


@dataclass(frozen=True)
class ClientSaw:
    """One visit as its client saw it. `first_sid` differs where the client reconnected, and
    `participant_sid` is then its last."""

    user_id: str
    room_name: str
    participant_sid: str | None
    first_sid: str | None
    connected_at: datetime | None
    disconnected_at: datetime | None
    how: str


def captures() -> list[str]:
    """The names of the recordings: `single`, `servers/1.9.11`, `cluster/node_killed`."""
    files = (path.relative_to(CAPTURES) for path in CAPTURES.rglob("*.jsonl"))
    names = (str(path.with_suffix("")) for path in files)
    return sorted(name for name in names if not name.endswith(".truth"))


def captured(name: str) -> Iterator[Post]:
    """Every POST of a recording, in the order received; a retry is the same bytes again."""
    for line in _lines(CAPTURES / f"{name}.jsonl"):
        received_at = datetime.fromtimestamp(line["received_at"], UTC)
        yield Post(line["headers"], line["body"].encode(), received_at)


def truth(name: str) -> list[ClientSaw]:
    """What the clients of a recording saw."""
    return [
        ClientSaw(
            user_id=line["identity"],
            room_name=line["room"],
            participant_sid=line.get("last_sid", line["participant_sid"]),
            first_sid=line.get("first_sid", line["participant_sid"]),
            connected_at=_client_clock(line["connected_at"]),
            disconnected_at=_client_clock(line["disconnected_at"]),
            how=line["how"],
        )
        for line in _lines(CAPTURES / f"{name}.truth.jsonl")
    ]


def _client_clock(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return (json.loads(line) for line in lines if line)
