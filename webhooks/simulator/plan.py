"""Classes that never were: what a LiveKit server would tell of them, and what really happened.

Stands before the receiver, in LiveKit's place. Pure: the same seed, rooms and start instant give
the same plan to the byte. What happens is drawn from the recordings in tests/captures.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from webhooks.simulator.event import (
    DEPARTURE_TIMEOUT,
    DisconnectReason,
    Event,
    EventKind,
    Room,
    Visit,
)

# Every simulated room's turnPassword begins so: whoever finds it in a table or a log has a leak.
TURN_PASSWORD_PREFIX: Final = "simulated-turn-password-"  # noqa: S105 a fake one

# How long after `lasting` a plan can still have events, at speed 1: the left of a killed client,
# the room's departure timeout, and the shortest stay of somebody who came at the very end.
LONGEST_TAIL: Final = timedelta(seconds=19.5) + DEPARTURE_TIMEOUT + timedelta(seconds=2)

# Seconds, all seen in tests/captures with livekit-server 1.13.5.
_ACTIVE_AFTER: Final = (0.03, 0.2)
_TIMEOUT_AFTER: Final = (18.5, 19.5)
_RECONNECTED_AFTER: Final = (0.05, 0.09)
_KICKED_AFTER: Final = 0.004
_SHORTEST_STAY: Final = 0.5

# Go's short ids: no letters that look alike.
_ID_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_NAMES: Final = (
    "Ada L.",
    "أحمد المصري",
    "Ольга Петрова",
    "فاطمة الزهراء",
    "नेहा शर्मा",
    'Élodie "Lo" Martin',
    "王小明",
    "محمد 😀",
    "Nguyễn Thị Hoa",
    "דוד לוי",
    "さくら 田中",
    "",
    "김민준",
    "عائشة بنت سعيد",
    "Zoë <b>Brand</b>",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Events by the instant they are due, over all rooms, and the visits that they tell of."""

    events: tuple[Event, ...]
    visits: tuple[Visit, ...]

    @property
    def ends_at(self) -> datetime:
        """The instant of the last event."""
        return self.events[-1].at


def plan_classes(
    room_names: Sequence[str],
    *,
    people: int,
    lasting: timedelta,
    seed: int,
    starts_at: datetime,
    speed: float = 1.0,
) -> Plan:
    """Plan one class of `people` in each room, over `LONGEST_TAIL` after `lasting` at the latest.

    `speed` compresses every span (2.0: twice as fast). Who comes and goes when depends on the seed
    alone; ids depend on the start too, so that a second run is not taken for a repetition.
    """
    seconds = lasting.total_seconds()
    habits = _Habits(stay=seconds / 3, away=seconds / 12, arrival=seconds / 5, until=seconds)
    events = tuple(_classes(room_names, _Course(people, habits, seed, starts_at, speed)))
    visits = tuple(e.visit for e in events if e.visit and e.kind == "participant_joined")
    return Plan(events=events, visits=visits)


def endless_classes(
    room_names: Sequence[str],
    *,
    people: int,
    seed: int,
    starts_at: datetime,
    speed: float = 1.0,
    stay: float = 45,
    away: float = 15,
    arrival: float = 20,
) -> Iterator[Event]:
    """Yield the events of living classes, by `at`, for ever. `stay` and `away` are mean seconds;
    within `arrival` seconds everybody has come."""
    habits = _Habits(stay=stay, away=away, arrival=arrival, until=math.inf)
    return _classes(room_names, _Course(people, habits, seed, starts_at, speed))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Habits:
    """How people come and go: mean seconds of a stay and away, all arrived by, all gone by."""

    stay: float
    away: float
    arrival: float
    until: float


@dataclass(frozen=True, slots=True)
class _Course:
    """What the classes of one plan have in common."""

    people: int
    habits: _Habits
    seed: int
    starts_at: datetime
    speed: float


@dataclass(frozen=True, slots=True)
class _Stay:
    """A visit in seconds since the start, before anybody knows the room's sid."""

    identity: str
    name: str
    joined: float
    active: float
    gone: float
    left: float
    reason: DisconnectReason


@dataclass(frozen=True, slots=True)
class _Return:
    """How a stay ended, with the join that followed it."""

    left: float
    reason: DisconnectReason
    joined: float
    active: float


@dataclass(frozen=True, slots=True, order=True)
class _Moment:
    """An event before it has an id; `number` keeps two at one instant in order."""

    at: float
    number: int
    kind: EventKind = field(compare=False)
    room: Room = field(compare=False)
    visit: Visit | None = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Server:
    """The LiveKit server of one room name: its clock, its ids."""

    room_name: str
    starts_at: datetime
    speed: float
    ids: Random

    def at(self, seconds: float) -> datetime:
        return self.starts_at + timedelta(seconds=seconds / self.speed)

    def new_id(self, prefix: str) -> str:
        return prefix + "".join(self.ids.choices(_ID_ALPHABET, k=12))

    def room(self, created: float) -> Room:
        return Room(
            name=self.room_name,
            sid=self.new_id("RM_"),
            created_at=_to_milliseconds(self.at(created)),
            turn_password=self.new_id(TURN_PASSWORD_PREFIX),
            comma=self.ids.choice((",", ", ")),
        )

    def visit(self, stay: _Stay, room: Room) -> Visit:
        return Visit(
            room=room,
            participant_sid=self.new_id("PA_"),
            identity=stay.identity,
            name=stay.name,
            joined_at=_to_milliseconds(self.at(stay.joined)),
            gone_at=self.at(stay.gone),
            left_at=self.at(stay.left),
            disconnect_reason=stay.reason,
        )


def _classes(room_names: Sequence[str], course: _Course) -> Iterator[Event]:
    classes = (_class(number, name, course) for number, name in enumerate(room_names))
    return heapq.merge(*classes, key=lambda event: event.at)


def _class(room_number: int, room_name: str, course: _Course) -> Iterator[Event]:
    """Yield everything that LiveKit sends of one room name, by `at`. Nobody is in two rooms."""
    starts_at = course.starts_at.astimezone(UTC)
    ids = _dice(course.seed, starts_at.isoformat(), room_name)
    server = _Server(room_name=room_name, starts_at=starts_at, speed=course.speed, ids=ids)
    first = room_number * course.people + 1
    lives = (
        _stays(number, habits=course.habits, rng=_dice(course.seed, number))
        for number in range(first, first + course.people)
    )
    stays = heapq.merge(*lives, key=lambda stay: stay.joined)
    return _events(_moments(stays, server), server)


def _stays(number: int, *, habits: _Habits, rng: Random) -> Iterator[_Stay]:
    """Yield one person's stays by `joined`: one connection at a time, each return a new visit."""
    identity, name = person(number)
    joined = 0.01 + rng.uniform(0, habits.arrival)
    active = joined + rng.uniform(*_ACTIVE_AFTER)
    goes_home = habits.until * rng.uniform(0.92, 1)
    while True:
        gone = active + _SHORTEST_STAY + rng.expovariate(1 / habits.stay)
        (way,) = rng.choices(_WAYS, _WEIGHTS)
        back = way(gone, habits.away, rng)
        if max(gone, back.joined) >= goes_home:
            gone = max(min(gone, goes_home), active + _SHORTEST_STAY)
            left, reason = _goes_home(gone, rng)
            yield _Stay(identity, name, joined, active, gone, left, reason)
            return
        yield _Stay(identity, name, joined, active, gone, back.left, back.reason)
        joined, active = back.joined, back.active


def _leaves(gone: float, away: float, rng: Random) -> _Return:
    joined = gone + 1 + rng.expovariate(1 / away)
    active = joined + rng.uniform(*_ACTIVE_AFTER)
    return _Return(gone + rng.uniform(0.002, 0.01), "CLIENT_INITIATED", joined, active)


def _rejoins_at_once(gone: float, _away: float, rng: Random) -> _Return:
    """The old left comes after the new joined."""
    joined = gone + rng.uniform(0.015, 0.04)
    active = joined + rng.uniform(*_ACTIVE_AFTER)
    return _Return(active + rng.uniform(0.005, 0.03), "CLIENT_INITIATED", joined, active)


def _reconnects(gone: float, _away: float, rng: Random) -> _Return:
    """A full reconnect: the new connection is what ends the old one."""
    left = gone + _KICKED_AFTER
    return _Return(left, "DUPLICATE_IDENTITY", gone, left + rng.uniform(*_RECONNECTED_AFTER))


def _is_killed(gone: float, _away: float, rng: Random) -> _Return:
    """LiveKit misses a killed client after 19 s, or when the same identity connects again."""
    joined = gone + rng.uniform(4, 40)
    active = joined + rng.uniform(*_ACTIVE_AFTER)
    missed = gone + rng.uniform(*_TIMEOUT_AFTER)
    if joined < missed:
        return _Return(joined + _KICKED_AFTER, "DUPLICATE_IDENTITY", joined, active)
    return _Return(missed, "CONNECTION_TIMEOUT", joined, active)


def _goes_home(gone: float, rng: Random) -> tuple[float, DisconnectReason]:
    if rng.random() < 0.1:
        return gone + rng.uniform(*_TIMEOUT_AFTER), "CONNECTION_TIMEOUT"
    return gone + rng.uniform(0.002, 0.01), "CLIENT_INITIATED"


_WAYS: Final[Sequence[Callable[[float, float, Random], _Return]]] = (
    _leaves,
    _rejoins_at_once,
    _reconnects,
    _is_killed,
)
_WEIGHTS: Final = (5, 2, 2, 1)


def _moments(stays: Iterable[_Stay], server: _Server) -> Iterator[_Moment]:
    """Yield what happens in one room name, by `at`, from stays by `joined`.

    A room that stays empty for the departure timeout ends; the next join begins another life.
    """
    coming: list[_Moment] = []
    numbers = itertools.count()

    def expect(at: float, kind: EventKind, room: Room, visit: Visit | None = None) -> None:
        heapq.heappush(coming, _Moment(at, next(numbers), kind, room, visit))

    room, closes = None, -math.inf
    for stay in stays:
        if room is None or stay.joined > closes:
            if room is not None:
                expect(closes, "room_finished", room)
            # The first participant's signalling makes the room, a millisecond or so before.
            room = server.room(stay.joined - 0.001)
            expect(stay.joined + 0.005, "room_started", room)
        visit = server.visit(stay, room)
        expect(stay.active, "participant_joined", room, visit)
        expect(stay.left, "participant_left", room, visit)
        closes = max(closes, stay.left + DEPARTURE_TIMEOUT.total_seconds())
        # Nothing of a later stay comes before it joins, so all until then is settled.
        while coming and coming[0].at <= stay.joined:
            yield heapq.heappop(coming)
    if room is not None:
        expect(closes, "room_finished", room)
    yield from sorted(coming)


def _events(moments: Iterable[_Moment], server: _Server) -> Iterator[Event]:
    """Give each moment its id, and a number of participants that is as stale as LiveKit's."""
    inside, told_inside = 0, 0
    for number, moment in enumerate(moments):
        if number % 8 == 0:
            told_inside = inside
        inside += {"participant_joined": 1, "participant_left": -1}.get(moment.kind, 0)
        yield Event(
            at=server.at(moment.at),
            kind=moment.kind,
            event_id=server.new_id("EV_"),
            room=moment.room,
            visit=moment.visit,
            num_participants=told_inside,
        )


def person(number: int) -> tuple[str, str]:
    """Identity and name of the simulated person of this number, counted from 1: every tenth
    identity is Arabic, some people have no name."""
    identity = f"طالب-{number}" if number % 10 == 0 else f"pupil-{number:02d}"
    return identity, _NAMES[(number - 1) % len(_NAMES)]


def _dice(*seeds: object) -> Random:
    """A string seeds the same way in every process, which `hash` does not."""
    return Random(" ".join(map(str, seeds)))  # noqa: S311 it must repeat itself


def _to_milliseconds(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
