"""Where the facts of a registered session were found last: a process remembers it, and asks there
while it asks for the session itself.

Most sessions are read again and again, and their schedule and rooms stay as they are. Where a
session has moved, its facts are asked for anew, so nothing depends on what is remembered.
"""

from __future__ import annotations

from datetime import datetime
from threading import Lock
from typing import NamedTuple

from models.domain.facts import Session

MOST = 1_024
"""Sessions that a process remembers, the latest; some 500 bytes each."""


class Place(NamedTuple):
    """What says where to look for the facts of a session."""

    room_name: str
    rooms: tuple[str, ...]
    scheduled_at: datetime | None
    duration_minutes: int


class Places:
    """By session id, where its facts were found last; one for all threads of a process."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._lock = Lock()

    def session(self, session_id: str) -> Session | None:
        """A session whose facts are where those of this id were; None where nobody knows."""
        place = self._places.get(session_id)
        return Session(id=session_id, **place._asdict()) if place is not None else None

    def note(self, registered: Session) -> None:
        """Remember where the facts of this session are; not of one that has names by their
        beginning, of which rooms are to be found first."""
        with self._lock:
            self._places.pop(registered.id, None)
            if registered.prefixes:
                return
            self._places[registered.id] = place_of(registered)
            if len(self._places) > MOST:
                del self._places[next(iter(self._places))]


def place_of(registered: Session) -> Place:
    """What says where to look for its facts."""
    return Place(
        registered.room_name,
        registered.rooms,
        registered.scheduled_at,
        registered.duration_minutes,
    )
