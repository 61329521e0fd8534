"""Reports: what everybody's attendances in many sessions that are over amount to.

Sessions are read one after another, by their start, so that their number does not matter for the
memory. What is kept is one tally a person, and no more people than a page has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from models.domain import attendance
from models.domain.attendance import Attendance
from models.domain.facts import Meeting, Rules, Session
from models.domain.tally import Tally
from models.lookup import batches, personal, session_facts, session_list
from models.lookup.session_list import Wanted


@dataclass(frozen=True, slots=True)
class SessionOver:
    """A session that is over, with everybody's attendance, hosts included."""

    meeting: Meeting
    people: Sequence[Attendance]

    @property
    def session(self) -> Session:
        return self.meeting.session


@dataclass(slots=True)
class Person:
    """One person of a report: their names, their tally, and on demand what `keep` made of each of
    their attendances."""

    user_id: str
    registered_name: str | None = None
    participant_name: str | None = None
    tally: Tally = field(default_factory=Tally)
    kept: list[object] = field(default_factory=list)

    @property
    def name(self) -> str | None:
        """As registered last, else what they were called last."""
        return self.registered_name or self.participant_name


class People:
    """The people of a report, by user id: the first `most` (None: all) beyond `after`."""

    def __init__(self, *, after: str | None = None, most: int | None = None) -> None:
        self._after, self._most = after or "", most
        self._known: dict[str, Person] = {}
        self._last: str | None = None
        self.is_cut = False
        """Whether `fit` left people out who are on the next page now."""

    def add(self, over: SessionOver) -> Iterator[tuple[Person, Attendance]]:
        """Count one more session; the people of this page with what was counted."""
        names = {user_id: person.name for user_id, person in over.meeting.expected.items()}
        for seen in over.people:
            if not seen.is_host and (person := self._person(seen.user_id)) is not None:
                person.registered_name = names.get(seen.user_id) or person.registered_name
                person.participant_name = seen.name or person.participant_name
                person.tally.add(over.session, seen)
                yield person, seen

    def in_order(self) -> list[Person]:
        """By user id."""
        return [self._known[user_id] for user_id in sorted(self._known)][: self._most]

    def fit(self, most: int) -> int:
        """Leave out the last people until no more than `most` is kept of the others together, but
        not the first of all; how much is."""
        count, first = 0, list[str]()
        for user_id in sorted(self._known):
            kept = len(self._known[user_id].kept)
            if first and count + kept > most:
                self.is_cut = True
                self._keep(first)
                break
            count += kept
            first.append(user_id)
        return count

    def _keep(self, first: Sequence[str]) -> None:
        """Have these people alone, in their order: whoever comes after them is on the next page."""
        self._known = {user_id: self._known[user_id] for user_id in first}
        self._last = first[-1]

    def _person(self, user_id: str) -> Person | None:
        """None for who stands on another page."""
        known = self._known.get(user_id)
        if known is not None:
            return known
        if user_id <= self._after or (self._last is not None and user_id > self._last):
            return None
        self._known[user_id] = made = Person(user_id)
        if self._most is not None and len(self._known) > 2 * self._most:
            self._keep(sorted(self._known)[: self._most])
            return self._known.get(user_id)
        return made


def sessions_over(conn: Connection, wanted: Wanted, *, rules: Rules) -> Iterator[SessionOver]:
    """The sessions that are wanted and over, by their start, each with everybody's attendance."""
    for each in batches.of_sessions(
        conn, session_ids(conn, wanted, rules=rules), rules=rules, seen_from=wanted.of_room
    ):
        meeting, now = each.facts.meeting, wanted.now
        if attendance.is_over(meeting, now=now, rules=rules):
            people = sorted(each.cycles.items())
            seen = session_facts.everyone(each.facts, people, now=now, rules=rules)
            yield SessionOver(meeting, list(seen))


def session_ids(conn: Connection, wanted: Wanted, *, rules: Rules) -> list[str]:
    """The ids of the sessions that are wanted and may be over, by their start."""
    return list(session_list.beginnings(conn, personal.among(conn, wanted, rules=rules), over=True))
