"""A course in the browser's tests: eight weeks of classes in one room, told as LiveKit tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from models.domain.event import Event
from tests import build
from tests.browser.conftest import ROOM, Class, operator

COURSE = "quran-autumn"

PUPILS = {
    "p-01": "Ada Lovelace",
    "p-02": "أحمد المصري",
    "p-03": "Zoë Müller",
    "p-04": "فاطمة الزهراء",
    "p-05": "Tomás Rivera",
    "p-06": "Huda Karim",
}

STORIES = {
    "p-01": "aaaaaaaaaaaa",
    "p-02": "aalaaalaaala",
    "p-03": "aaaaeaaaaeaa",
    "p-04": "a.aa.aa.a.aa",
    "p-05": "la.laa.aslaa",
    "p-06": "............",
}
"""What each pupil does in each class: `a` attends, `l` comes late, `e` leaves early, `s` comes for
a short while, `.` stays away. Four of twelve is more than a quarter, two are not."""

PARTS = {"a": (0, 60), "l": (20, 60), "e": (0, 35), "s": (25, 40)}
"""From which to which minute of the class each is inside."""


@dataclass
class Course:
    """Classes of an hour in the room of `quran`, a few days apart, the last one a while ago."""

    quran: Class
    name: str = COURSE
    days_apart: float = 3.5
    last_began: float = 24 * 60
    """Minutes ago."""

    def held(self, stories: Mapping[str, str] = STORIES, **more: Any) -> None:
        """Every class that the stories tell of."""
        count = max(map(len, stories.values()))
        for number in range(count):
            self.registered(number, count, stories, **more)
            self.quran.happens(*self.visits(number, count, stories))

    def began(self, number: int, count: int) -> datetime:
        apart = timedelta(days=self.days_apart)
        return self.quran.ago(self.last_began) - (count - 1 - number) * apart

    def id(self, number: int) -> str:
        return f"{self.name}-{number + 1:02d}"

    def registered(self, number: int, count: int, stories: Mapping[str, str], **more: Any) -> None:
        body = {
            "room_name": ROOM,
            "course_id": self.name,
            "title": f"Quran, class {number + 1}",
            "scheduled_at": self.began(number, count),
            "duration_minutes": 60,
            "minimum_percentage": 75,
            "expected": [{"user_id": user, "name": PUPILS.get(user)} for user in stories],
        }
        answer = self.quran.client.put(
            "/api/sessions/-",
            query_string={"session": self.id(number)},
            data=orjson.dumps(body | more),
            headers={"Authorization": f"Bearer {operator()}"},
        )
        assert answer.status_code == 201, answer.text

    def visits(self, number: int, count: int, stories: Mapping[str, str]) -> Iterator[Event]:
        """The visits to one class, in a life of the room that is its own."""
        start = self.began(number, count)
        for user, story in stories.items():
            if (part := PARTS.get(story[number])) is None:
                continue
            joined_at, left_at = (start + timedelta(minutes=minute) for minute in part)
            words: build.Words = {"user": user, "name": PUPILS.get(user, user)}
            words |= {"sid": f"PA_{user}_{number}", "room": f"RM_{self.name}_{number}"}
            words |= {"room_created": start - timedelta(minutes=5), "joined_at": joined_at}
            yield build.joined(joined_at, **words)
            yield build.left(left_at, **words)
