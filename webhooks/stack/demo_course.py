"""The course of the demo: what is registered, what happened in eight weeks, and what was corrected.

Pure: the same start of today's class gives the same course. People come as in the simulator's
classes. Some come late, some stay away, one calls by phone, and one is never seen.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from webhooks.simulator.event import Event, Room, Visit
from webhooks.simulator.plan import endless_classes, person, plan_classes

COURSE, ROOM = "demo-course", "demo-class"
TEACHER = "teacher"
PEOPLE, WEEKS = 12, 8
LASTING = timedelta(minutes=60)
SEED = 8

PHONE, CALLER = "+49 1512 0000000", "pupil-99"
UNSEEN = "pupil-98"
NEVER_BY_WEBCAM = (
    {"user_id": UNSEEN, "name": "Huda Karim"},
    {"user_id": CALLER, "name": "Tomás Rivera"},
)
AWAY = {3: (2, 4, 6), 7: (3, 5), 9: (5,)}
"""By the number of a person: the weeks in which they stay away."""

EARLY = timedelta(minutes=3)
"""The first of them come so long before the class."""


@dataclass(frozen=True, slots=True)
class Course:
    """The course whose class of today began at `begins_at`."""

    begins_at: datetime

    def sessions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each session's id, and what is put under it."""
        for week in range(1, WEEKS + 1):
            yield (
                self.session_id(week),
                {
                    "room_name": ROOM,
                    "title": f"Quran, week {week}",
                    "course_id": COURSE,
                    "session_type": "academic",
                    "scheduled_at": self.begins(week),
                    "duration_minutes": LASTING // timedelta(minutes=1),
                    "late_after_minutes": 5,
                    "minimum_percentage": 60,
                    "hosts": [TEACHER],
                    "labels": ["online"],
                    "expected": [*_pupils(), *NEVER_BY_WEBCAM],
                },
            )

    def session_id(self, week: int) -> str:
        """The class of today has the room's name for its id."""
        return ROOM if week == WEEKS else f"{ROOM}-week-{week}"

    def begins(self, week: int) -> datetime:
        return self.begins_at - timedelta(weeks=WEEKS - week)

    def corrections(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The session of each correction, and what is corrected."""
        absent, _ = person(3)
        first = self.session_id(1)
        yield self.session_id(4), _said(absent, "excused", "A doctor's note.")
        yield self.session_id(6), _said(UNSEEN, "excused", "She said so before the class.")
        yield first, _said(PHONE, "same_person", "His number.", **{"as": CALLER, "always": True})
        yield self.session_id(2), _said(person(2)[0], "note", "Helped the others.")

    def past(self, now: datetime) -> Iterator[Event]:
        """All that happened in it until now, by week and time."""
        for week in range(1, WEEKS):
            planned = plan_classes(
                [ROOM],
                people=PEOPLE,
                lasting=LASTING + 2 * EARLY,
                seed=SEED + week,
                starts_at=self.begins(week) - EARLY,
            )
            seen = [each for each in planned.events if not _is_away(each, week)]
            room = seen[0].room
            more = _stay(TEACHER, "Teacher", room, week, after=timedelta(seconds=1))
            if week % 3:
                more += _stay(PHONE, "", room, week, after=timedelta(minutes=4), kind="SIP")
            yield from heapq.merge(seen, more, key=lambda each: each.at)
        seen = list(takewhile(lambda each: each.at <= now, self.today()))
        came, _ = _stay(TEACHER, "Teacher", seen[0].room, WEEKS, after=timedelta(seconds=1))
        yield from heapq.merge(seen, [came], key=lambda each: each.at)

    def today(self) -> Iterator[Event]:
        """The class of today, for ever."""
        return endless_classes(
            [ROOM],
            people=PEOPLE,
            seed=SEED,
            starts_at=self.begins_at - EARLY,
            stay=240,
            away=30,
            arrival=480,
        )


def _pupils() -> Iterator[dict[str, str | None]]:
    """Those of the simulated people whom the class expects: all but the last, who is a guest."""
    for number in range(1, PEOPLE):
        user_id, name = person(number)
        yield {"user_id": user_id, "name": name or None}


def _is_away(event: Event, week: int) -> bool:
    away = {person(number)[0] for number, weeks in AWAY.items() if week in weeks}
    return event.visit is not None and event.visit.identity in away


def _stay(
    identity: str, name: str, room: Room, week: int, *, after: timedelta, kind: str = "STANDARD"
) -> list[Event]:
    """One who comes so long after the room began, and stays for the class."""
    joined_at, left_at = room.created_at + after, room.created_at + EARLY + LASTING
    visit = Visit(
        room=room,
        participant_sid=f"PA_{kind}{week}",
        identity=identity,
        name=name,
        joined_at=joined_at,
        gone_at=left_at,
        left_at=left_at,
        disconnect_reason="CLIENT_INITIATED",
        kind=kind,
    )
    came = Event(joined_at, "participant_joined", f"EV_{kind}{week}J", room, visit, 1)
    return [came, replace(came, at=left_at, kind="participant_left", event_id=f"EV_{kind}{week}L")]


def _said(user_id: str, kind: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"user_id": user_id, "kind": kind, "reason": reason, **more}
