"""What the fold knows: the facts of sessions, rooms and cycles, as frozen values without storage.

Rooms and cycles are made by the thousand: as named tuples, which takes a tenth of the time that a
frozen dataclass with as many fields takes.

Facts are instants and words that somebody sent. Nothing here depends on the present: ages,
statuses and totals are made of them at read, by `attendance.view`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from models.domain.corrections import NONE, Correction, Corrections
from models.domain.timetable import WINDOW, Calendar

Source = Literal["livekit", "client", "reconciler", "import", "operator"]
MadeBy = Literal["registered", "room", "client"]
ManualJoins = Literal["count", "hint", "off"]

LEVELS: dict[Source, int] = {"operator": 4, "livekit": 3, "import": 3, "client": 2, "reconciler": 1}
INFERRED = str(LEVELS["reconciler"])

GOES_ON = frozenset({"ROOM_END_SUPERSEDED", "ROOM_END_OPEN_FAILED"})
"""Reasons of a room's finish after which its meeting may go on elsewhere."""

RESTART_AFTER = timedelta(seconds=2)
"""A room's first start is sent at its creation: a later one says that its server came back."""

ENDS = 1_024
"""Ends of sessions that a process keeps."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody a session expects."""

    user_id: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One class or meeting. `made_by` is "registered" when somebody put it, "room" when a room is
    in it, else "client". `hosts` are user ids, of teachers for instance."""

    id: str
    room_name: str
    made_by: MadeBy = "registered"
    session_type: str | None = None
    academy_id: str | None = None
    scheduled_at: datetime | None = None
    duration_minutes: int = 60
    late_after_minutes: int = 10
    minimum_percentage: float | None = None
    expected: tuple[Person, ...] = ()
    rooms: tuple[str, ...] = ()
    title: str | None = None
    course_id: str | None = None
    hosts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def exact_names(self) -> frozenset[str]:
        """Its `room_name` and those of `rooms` that mean one name."""
        return frozenset({self.room_name, *(name for name in self.rooms if name[-1:] != "*")})

    @property
    def prefixes(self) -> tuple[str, ...]:
        """How the names begin that the others of `rooms` mean."""
        return tuple(name[:-1] for name in self.rooms if name[-1:] == "*")

    def is_registered_for(self, room_name: str) -> bool:
        """Whether the room is its own: by `room_name`, or by a name in `rooms` (`name*`: all that
        begin so)."""
        return room_name in self.exact_names or room_name.startswith(self.prefixes)

    def takes(self, made: Correction) -> bool:
        """Whether a correction counts here: it was made of this session, or for always of its room,
        and then of this time or earlier. A time that it adds has to be one that may be of it."""
        if made.session_id == self.id:
            return not made.adds or self.part_of(made) is not None
        if made.always_from is None or made.room_name != self.room_name:
            return False
        if self.scheduled_at is not None:
            return made.always_from <= self.scheduled_at
        _, day = made_for(self.id)
        return day is None or made.always_from.astimezone(UTC).date() <= day

    def part_of(self, added: Correction) -> tuple[datetime, datetime] | None:
        """From when to when the time that a correction adds may be of this session: of a class as
        far as it may own moments, without a schedule all of it. None: no part of it."""
        start, end = added.starts_at, added.ends_at
        if start is None or end is None:
            return None
        if self.scheduled_at is not None and self.ends_at is not None:
            start, end = max(start, self.scheduled_at - WINDOW), min(end, self.ends_at + WINDOW)
        return (start, end) if start < end else None

    @property
    def awaited(self) -> frozenset[str]:
        """The user ids of its hosts and of those that it expects."""
        return frozenset({*self.hosts, *(person.user_id for person in self.expected)})

    @property
    def registered(self) -> bool:
        return self.made_by == "registered"

    @property
    def ends_at(self) -> datetime | None:
        """The scheduled end; None without a schedule."""
        return self.scheduled_at and _end(self.scheduled_at, self.duration_minutes)


@lru_cache(ENDS)
def _end(start: datetime, minutes: int) -> datetime:
    """Looked up: a status asks for it ten times."""
    return start + timedelta(minutes=minutes)


class Room(NamedTuple):
    """One life of a LiveKit room; its `name` may live many times, each life with its own sid.

    `starts` are the starts that LiveKit sent, in order; `end_reason` is the latest finish's.
    `superseded_at`, the creation of the next life of its name, is derived when rooms are read.
    """

    sid: str
    name: str
    created_at: datetime
    last_event_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    named_session: str | None = None
    named_rank: str = ""
    starts: tuple[datetime, ...] = ()
    end_reason: str | None = None
    end_rank: str = ""
    superseded_at: datetime | None = None

    @property
    def age(self) -> tuple[datetime, str]:
        """The order of the lives of one name: by creation, then sid."""
        return (self.created_at, self.sid)

    @property
    def finished(self) -> bool:
        """Whether its last life ended: the same sid can start again after it finished."""
        if self.finished_at is None:
            return False
        return self.started_at is None or self.finished_at >= self.started_at

    def may_name(self, registered: Session | None) -> bool:
        """Whether its metadata may name the session that it names, which is this registered one or
        (None) one that nobody registered.

        A registered session is named by its own rooms alone; so is one that is made on the spot for
        the rooms of the name in its id. Any room may name what is left.
        """
        if registered is not None:
            return registered.is_registered_for(self.name)
        room_name, _ = made_for(self.named_session or "")
        return room_name in (None, self.name)

    @property
    def restarts(self) -> list[datetime]:
        """The starts of servers that came back while the room went on, in order."""
        return [at for at in self.starts if at >= self.created_at + RESTART_AFTER]

    @property
    def over(self) -> bool:
        """Whether its meeting is over: it finished, and did not go on elsewhere, or is superseded
        by the next room of its name."""
        return self.superseded_at is not None or (self.finished and self.end_reason not in GOES_ON)


class Cycle(NamedTuple):
    """The pair of a join and a leave, as its events say. Ranks are sortable words, see `merge`.

    A cycle that LiveKit knows has its participant's sid as `cycle_id`, and a `room_sid`. A
    provisional one (a manual join) has its visit as `cycle_id`, and no room sid; the `room_name` is
    its token's, and `named_session` the session that its client named by id. `session_type` and
    `academy_id` are its client's word. `hidden` is None while no event says it.
    """

    cycle_id: str
    user_id: str
    room_sid: str | None = None
    named_session: str | None = None
    room_name: str | None = None
    name: str | None = None
    name_rank: str = ""
    kind: str | None = None
    hidden: bool | None = None
    joined_at: datetime | None = None
    joined_rank: str = ""
    left_at: datetime | None = None
    left_rank: str = ""
    aborted_at: datetime | None = None
    client_joined_at: datetime | None = None
    client_left_at: datetime | None = None
    last_seen_at: datetime | None = None
    disconnect_reason: str | None = None
    source: Source | None = None
    claimed_sid: str | None = None
    claimed_rank: str = ""
    session_type: str | None = None
    academy_id: str | None = None

    @property
    def provisional(self) -> bool:
        return self.room_sid is None

    @property
    def participant_sid(self) -> str | None:
        """LiveKit's sid of this visit; a provisional cycle has none."""
        return None if self.provisional else self.cycle_id

    @property
    def joined_session(self) -> str | None:
        """The session that a manual join named by its id; None for one by its room's name.

        A session that is made on the spot has the room's name in its id: naming it means the room.
        """
        if self.named_session is None or not self.provisional:
            return None
        room_name, _ = made_for(self.named_session)
        return None if room_name == self.room_name else self.named_session

    @property
    def began_at(self) -> datetime | None:
        """Its join, or for one that was only aborted, when; None when neither is known."""
        return self.joined_at or self.aborted_at

    @property
    def left_inferred(self) -> bool:
        """Whether nobody but the reconciler says that it left."""
        return self.left_rank.startswith(INFERRED)

    @property
    def client_leave(self) -> datetime | None:
        """The visit's own leave, unless its client joined again after it."""
        left, joined = self.client_left_at, self.client_joined_at
        return left if left and joined and left >= joined else None


def made_for(session_id: str) -> tuple[str | None, date | None]:
    """The room's name and the day in an id of the form in which sessions are made on the spot,
    `name@YYYY-MM-DD`; twice None for any other id."""
    room_name, _, day = session_id.rpartition("@")
    if not _DAY.fullmatch(day):
        return None, None
    try:
        return room_name, date.fromisoformat(day)
    except ValueError:
        return None, None


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that `attendance.view` needs (Settings.rules makes them)."""

    stale_after: timedelta = timedelta(minutes=5)
    max_cycle: timedelta = timedelta(hours=12)
    manual_joins: ManualJoins = "count"
    overrun: timedelta = timedelta(0)
    person_kinds: frozenset[str] = frozenset({"STANDARD", "SIP", "CONNECTOR"})
    count_hidden: bool = False
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


@dataclass(frozen=True, slots=True)
class ByHand:
    """What the clients of rooms of one name said of a session: when last, and the type and the
    academy that the first of them gave."""

    heard_at: datetime | None = None
    session_type: str | None = None
    academy_id: str | None = None


@dataclass(frozen=True, slots=True)
class Meeting:
    """A session with the rooms of its names, and what clients said of it, by room name.

    `rooms` are the lives that may be its own, of each name all in a row; `named_session` is taken
    out of those whose metadata names a session that they may not name. `calendars` say, by room
    name, what else is registered there. With `only`, nothing but the visits in rooms of that name
    is in it.
    """

    session: Session
    rooms: tuple[Room, ...] = ()
    by_hand: Mapping[str, ByHand] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    only: str | None = None
    corrections: Corrections = NONE
    looked_up: dict[object, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )
    """What follows from the rest, kept for those who ask next: of a class, everybody does."""

    @property
    def room_names(self) -> frozenset[str]:
        """The session's room name and the names of the rooms that it may own."""
        names = {self.session.room_name, *(room.name for room in self.rooms), *self.by_hand}
        return frozenset(names)

    @property
    def heard_at(self) -> datetime | None:
        """When a client last joined or left by hand."""
        heard = (word.heard_at for word in self.by_hand.values())
        return max((at for at in heard if at is not None), default=None)

    @property
    def listed(self) -> frozenset[str]:
        """The people who are on the roster without a visit that counts: its hosts and those that it
        expects, under whichever of their identities, and whom a correction adds."""
        return self._people(self.session.awaited) | self.corrections.people

    @property
    def hosts(self) -> frozenset[str]:
        """The people of whom one identity is a host of the session."""
        return self._people(self.session.hosts)

    def is_host(self, user_id: str) -> bool:
        """Whether the person whose identity this is is a host, under whichever of theirs."""
        if not self.corrections.same_as:
            return user_id in self.session.hosts
        return self.corrections.owner(user_id) in self.hosts

    @property
    def expected(self) -> dict[str, Person]:
        """By user id: the people that the session expects, under whichever of their identities.
        The name of their own id goes before those of the others."""
        if not self.corrections.same_as:
            return {person.user_id: person for person in self.session.expected}
        people: dict[str, Person] = {}
        for person in self.session.expected:
            owner = self.corrections.owner(person.user_id)
            names = [person.name, people[owner].name if owner in people else None]
            names = names if owner == person.user_id else names[::-1]
            people[owner] = Person(owner, next(filter(None, names), None))
        return people

    def seen_from(self, room_name: str | None) -> Meeting | None:
        """What somebody with a token for rooms of this name may see of it; None when nothing.

        A registered session belongs to the rooms that it lists, and they see all of it. One that
        nobody registered can be named by any room's metadata, so each sees its own visits alone.
        """
        if room_name is None:
            return None
        if self.session.registered:
            return self if self.session.is_registered_for(room_name) else None
        names = self.room_names
        if room_name not in names:
            return None
        return self if names == {room_name} else self._of_room(room_name)

    def _people(self, user_ids: Iterable[str]) -> frozenset[str]:
        """The people whose identities these are."""
        return frozenset(map(self.corrections.owner, user_ids))

    def _of_room(self, room_name: str) -> Meeting:
        word = self.by_hand.get(room_name, ByHand())
        of_room = replace(
            self.session,
            room_name=room_name,
            session_type=word.session_type,
            academy_id=word.academy_id,
        )
        about_visits = ("not_a_visit", "same_person")  # the others may be of other rooms' people
        seen = (each for each in self.corrections.made if each.kind in about_visits)
        return replace(
            self,
            session=of_room,
            corrections=Corrections(tuple(seen)),
            rooms=tuple(room for room in self.rooms if room.name == room_name),
            by_hand={room_name: word},
            calendars={name: each for name, each in self.calendars.items() if name == room_name},
            only=room_name,
        )
