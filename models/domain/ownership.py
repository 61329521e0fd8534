"""Ownership: which session a moment belongs to, of one person in the rooms of one name. Pure.

It is worked out when somebody asks, of facts and of what is registered at that moment. Registering,
moving or deleting a session therefore changes no visit. docs/rules.md says the rules in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from models.domain import timetable
from models.domain.facts import Meeting, Room, Rules, Session
from models.domain.timetable import Calendar, RoomClass, Timetable

Expecting = Mapping[str, frozenset[str]]
"""By user id: the classes that expect them."""


@dataclass(frozen=True)
class Owners:
    """Who owns the moments of one person in the rooms of one name.

    `rooms` are lives of that name, by age; `expecting` the ids of the classes that expect them.
    """

    name: str
    rules: Rules
    calendar: Calendar = field(default_factory=Calendar)
    rooms: tuple[Room, ...] = ()
    expecting: frozenset[str] = frozenset()

    def at(self, instant: datetime, room: Room | None, began_at: datetime) -> str:
        """The id of the session that owns the instant of a stay in `room` (None: in no room that
        LiveKit reported) that began at `began_at`; it may be one that nobody registered."""
        if room is not None and room.named_session is not None:
            return room.named_session
        return self.registered(instant) or self.made(room.created_at if room else began_at)

    def registered(self, instant: datetime) -> str | None:
        """The registered session that owns the instant, whatever the room's metadata."""
        return self._timetable.owner(instant)

    def by_default(self, room: Room) -> str:
        """The session that owns the moments of a room that no class owns."""
        if room.named_session is not None:
            return room.named_session
        unscheduled = self.calendar.own_room or self.calendar.unscheduled
        return unscheduled or self.made(room.created_at)

    def own_class(self, session_id: str | None) -> RoomClass | None:
        """The class of this id, for what belongs to one session entirely."""
        return next((each for each in self.calendar.classes if each.id == session_id), None)

    def class_at(self, instant: datetime) -> RoomClass | None:
        """The class that owns the instant, if the session that owns it is one."""
        return self.own_class(self.registered(instant))

    def first_class(self, start: datetime, end: datetime) -> RoomClass | None:
        """The class that owns the first of the moments from `start` to `end` that a class owns."""
        owners = [self.registered(start)]
        if end > start:
            owners += [owner for _, owner in self._timetable.spans(start, end)]
        return next((found for owner in owners if (found := self.own_class(owner))), None)

    def classes_within(self, start: datetime, end: datetime) -> list[RoomClass]:
        """The classes that own some of the moments from `start` to `end` (later), in order."""
        owners = (self.own_class(owner) for _, owner in self._timetable.spans(start, end))
        return [each for each in owners if each is not None]

    def made(self, created_at: datetime) -> str:
        """The session of what no registered session owns, of a room that was created then.

        A room that is born again has forgotten its metadata: it follows its last life that had
        some. Else the session is made on the spot, by the date.
        """
        named = [room for room in self.rooms if room.named_session and room.created_at < created_at]
        if named and created_at - named[-1].created_at <= self.rules.max_cycle:
            return named[-1].named_session or ""
        return made_id(self.name, created_at, self.rules)

    def pieces(
        self, room: Room | None, began_at: datetime, ended_at: datetime | None, *, now: datetime
    ) -> Iterator[tuple[str, datetime, datetime | None]]:
        """The stay cut where its owner changes: (session, start, end), each after the one before.

        `ended_at` None is a stay that goes on at `now`, and so does its last piece.
        """
        if room is not None and room.named_session is not None:
            yield room.named_session, began_at, ended_at
            return
        last = max(now, began_at) if ended_at is None else ended_at
        spans = [(began_at, self.registered(began_at))]
        if last > began_at:
            spans = list(self._timetable.spans(began_at, last))
            if ended_at is None:
                spans.append((last, self.registered(last)))
        created_at = room.created_at if room else began_at
        (start, registered), *following = spans
        owner = registered or self.made(created_at)
        for begins, registered in following:
            if (other := registered or self.made(created_at)) != owner:
                yield owner, start, begins
                owner, start = other, begins
        yield owner, start, ended_at

    @cached_property
    def by_sid(self) -> dict[str, Room]:
        """The rooms by their sids."""
        return {room.sid: room for room in self.rooms}

    @cached_property
    def _timetable(self) -> Timetable:
        return timetable.of(self.calendar, self.expecting, self.rules.max_cycle)


def of_name(meeting: Meeting, name: str, expecting: frozenset[str], rules: Rules) -> Owners:
    """Who owns what in the meeting's rooms of this name, for somebody whom `expecting` expect."""
    known: Owners | None = meeting.looked_up.get((name, expecting))
    if known is None or known.rules is not rules:
        known = meeting.looked_up[name, expecting] = Owners(
            name,
            rules,
            meeting.calendars.get(name, Calendar()),
            tuple(room for room in meeting.rooms if room.name == name),
            expecting,
        )
    return known


def own_rooms(meeting: Meeting, rules: Rules) -> list[Room]:
    """The rooms of the meeting whose moments are its own, where no class owns them."""
    owners = {
        name: of_name(meeting, name, frozenset(), rules)
        for name in {room.name for room in meeting.rooms}
    }
    return [
        room for room in meeting.rooms if owners[room.name].by_default(room) == meeting.session.id
    ]


def calendar(name: str, registered: Iterable[Session]) -> Calendar:
    """The calendar of the rooms of this name, of sessions that are registered for it."""
    mine = [session for session in registered if session.is_registered_for(name)]
    unscheduled = sorted(session.id for session in mine if session.scheduled_at is None)
    own = [session.id for session in mine if session.id == name == session.room_name]
    classes = (
        RoomClass(session.id, session.scheduled_at, session.ends_at, own_room=session.id in own)
        for session in mine
        if session.scheduled_at is not None and session.ends_at is not None
    )
    return Calendar(
        classes=tuple(sorted(classes, key=lambda each: (each.start, each.id))),
        own_room=name if name in own and name in unscheduled else None,
        unscheduled=min((each for each in unscheduled if each != name), default=None),
    )


def expecting(registered: Iterable[Session]) -> Expecting:
    """Which of these classes expect whom, as a host or as anybody else."""
    by_user: dict[str, set[str]] = defaultdict(set)
    for each in registered:
        if each.scheduled_at is not None:
            for user_id in each.awaited:
                by_user[user_id].add(each.id)
    return {user_id: frozenset(ids) for user_id, ids in by_user.items()}


def with_lives_in_a_row(rooms: Iterable[Room]) -> list[Room]:
    """The rooms by name and age, each superseded by the next of its name."""
    ordered = sorted(rooms, key=lambda room: (room.name, room.age))
    following: Sequence[Room | None] = [*ordered[1:], None][: len(ordered)]
    return [
        _superseded(room, later if later is not None and later.name == room.name else None)
        for room, later in zip(ordered, following, strict=True)
    ]


def made_id(room_name: str, created_at: datetime, rules: Rules) -> str:
    """The id of the session that is made on the spot for a room of this name, created then."""
    return f"{room_name}@{created_at.astimezone(rules.timezone).date().isoformat()}"


def _superseded(room: Room, later: Room | None) -> Room:
    superseded_at = later.created_at if later else None
    if superseded_at == room.superseded_at:
        return room
    return room._replace(superseded_at=superseded_at)
