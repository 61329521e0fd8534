"""What the fold knows: the facts of sessions, rooms and cycles, as frozen values without storage.

Facts are instants and words that somebody sent. Nothing here depends on the present: ages,
statuses and totals are made of them at read, by `attendance.view`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Source = Literal["livekit", "client", "reconciler", "import"]
MadeBy = Literal["registered", "room", "client"]

LEVELS: dict[Source, int] = {"livekit": 3, "import": 3, "client": 2, "reconciler": 1}
INFERRED = str(LEVELS["reconciler"])

GOES_ON = frozenset({"ROOM_END_SUPERSEDED", "ROOM_END_OPEN_FAILED"})
"""Reasons of a room's finish after which its meeting may go on elsewhere."""

RESTART_AFTER = timedelta(seconds=2)
"""A room's first start is sent at its creation: a later one says that its server came back."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody a session expects."""

    user_id: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One class or meeting. `made_by` is "registered" when somebody put it, "room" when a room is
    in it, else "client"."""

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

    @property
    def registered(self) -> bool:
        return self.made_by == "registered"

    @property
    def ends_at(self) -> datetime | None:
        """The scheduled end; None without a schedule."""
        return self.scheduled_at and self.scheduled_at + timedelta(minutes=self.duration_minutes)


@dataclass(frozen=True, slots=True)
class Room:
    """One life of a LiveKit room; its `name` may live many times, each life with its own sid.

    `starts` are the starts that LiveKit sent, in order; `end_reason` is the latest finish's.
    """

    sid: str
    name: str
    created_at: datetime
    last_event_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    superseded_at: datetime | None = None
    named_session: str | None = None
    named_rank: str = ""
    session_id: str | None = None
    starts: tuple[datetime, ...] = ()
    end_reason: str | None = None
    end_rank: str = ""

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

    @property
    def over(self) -> bool:
        """Whether its meeting is over: it finished, and does not go on elsewhere."""
        return self.finished and self.end_reason not in GOES_ON

    @property
    def restarts(self) -> list[datetime]:
        """The starts of servers that came back while the room went on, in order."""
        return [at for at in self.starts if at >= self.created_at + RESTART_AFTER]


@dataclass(frozen=True, slots=True)
class Cycle:
    """One visit, joined to left, as its events told it. Ranks are sortable words, see `merge`.

    A cycle that LiveKit knows has its participant's sid as `cycle_id`, and a `room_sid`. A
    provisional one (a manual join) has its visit as `cycle_id`, no room sid, and its own
    `session_id`, `named_session` (what the door resolved when it was made) and `room_name`.
    """

    cycle_id: str
    user_id: str
    room_sid: str | None = None
    session_id: str | None = None
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

    @property
    def provisional(self) -> bool:
        return self.room_sid is None

    @property
    def participant_sid(self) -> str | None:
        """LiveKit's sid of this visit; a provisional cycle has none."""
        return None if self.provisional else self.cycle_id

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


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that `view` needs (Settings.rules makes them)."""

    stale_after: timedelta = timedelta(minutes=5)
    max_cycle: timedelta = timedelta(hours=12)
    overrun: timedelta = timedelta(0)
    person_kinds: frozenset[str] = frozenset({"STANDARD", "SIP", "CONNECTOR"})
    count_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Meeting:
    """A session with its rooms, and when anything was last heard of it, from any source."""

    session: Session
    rooms: tuple[Room, ...] = ()
    heard_at: datetime | None = None

    @property
    def latest_room(self) -> Room | None:
        return max(self.rooms, key=lambda room: room.age, default=None)

    @property
    def room_names(self) -> frozenset[str]:
        """The session's room name and the names of the rooms that it really had."""
        return frozenset({self.session.room_name, *(room.name for room in self.rooms)})
