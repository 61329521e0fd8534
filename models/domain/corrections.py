"""Corrections: what operators and teachers say beside the facts, as pure functions of them.

A correction is an event like any other, of source `operator`. It changes no fact: it is laid over
them at read, and goes when it is undone. docs/rules.md says what each kind means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal, TypeVar

T = TypeVar("T")

Kind = Literal["excused", "present", "not_a_visit", "same_person", "note"]


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction of one person's attendance in one session.

    `starts_at` and `ends_at` bound what a `present` adds. `participant_sid` is the cycle that is
    `not_a_visit`. `same_as` is whose visits those of a `same_person` are; with `always` also in the
    sessions of the same `room_name` that begin at `always_from` or later. Undone once `undone_at`
    is set.
    """

    id: str
    session_id: str
    room_name: str
    user_id: str
    kind: Kind
    made_at: datetime
    author: str
    reason: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    participant_sid: str | None = None
    same_as: str | None = None
    always_from: datetime | None = None
    undone_at: datetime | None = None
    undone_by: str | None = None

    @property
    def always(self) -> bool:
        """Whether it counts in later sessions of the room too."""
        return self.always_from is not None

    @property
    def adds(self) -> bool:
        """Whether it adds time."""
        return self.kind == "present"

    def names(self, user_id: str) -> bool:
        """Whether it says something of this person; else it was at most made or undone by them."""
        return user_id in (self.user_id, self.same_as)

    @property
    def age(self) -> tuple[datetime, str]:
        """The order in which corrections were made."""
        return (self.made_at, self.id)


@dataclass(frozen=True)
class Corrections:
    """The corrections that count in one session, in the order in which they were made."""

    made: tuple[Correction, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.made)

    def of(self, user_id: str) -> Sequence[Correction]:
        """Those of one user id, notes included."""
        return self._by_user.get(user_id, ())

    def of_person(self, user_id: str) -> list[Correction]:
        """Those of all identities of a person, notes included."""
        return [each for identity in self.identities(user_id) for each in self.of(identity)]

    def excuses(self, user_id: str) -> bool:
        """Whether this person's absence is excused."""
        return any(each.kind == "excused" for each in self.of_person(user_id))

    def added(self, user_id: str) -> list[Correction]:
        """The times that were added to what the facts say of this person."""
        return [each for each in self.of_person(user_id) if each.adds]

    def not_visits_of(self, user_id: str) -> frozenset[str]:
        """The ids of the cycles that do not count, of the person whose identity this is."""
        said = self.of_person(self.owner(user_id)) if self.made else ()
        return frozenset(
            each.participant_sid
            for each in said
            if each.kind == "not_a_visit" and each.participant_sid
        )

    @cached_property
    def same_as(self) -> dict[str, str]:
        """By user id of another identity: whose it is in the end. The latest word counts; what
        leads in a circle is nobody else's."""
        return _owners(
            {
                each.user_id: each.same_as
                for each in self.made
                if each.kind == "same_person" and each.same_as
            }
        )

    def owner(self, user_id: str) -> str:
        """The person whose identity this is; most are their own."""
        return self.same_as.get(user_id, user_id)

    def identities(self, user_id: str) -> list[str]:
        """The user ids whose visits are this person's; their own first. Who is somebody else has
        none but their own: their page still asks for itself."""
        return [user_id, *self._others.get(user_id, ())]

    def changes(self, user_id: str) -> bool:
        """Whether anything but a note was said of this person, or of another identity of theirs."""
        return any(each.kind != "note" for each in self.of_person(user_id))

    @property
    def people(self) -> set[str]:
        """Who has time of theirs added: they are in the session, whatever the facts say."""
        return {self.owner(each.user_id) for each in self.made if each.adds}

    @cached_property
    def _others(self) -> Mapping[str, Sequence[str]]:
        """By person: their other identities, in order."""
        others: dict[str, list[str]] = defaultdict(list)
        for user_id, owner in sorted(self.same_as.items()):
            others[owner].append(user_id)
        return dict(others)

    @cached_property
    def _by_user(self) -> Mapping[str, Sequence[Correction]]:
        by_user: dict[str, list[Correction]] = defaultdict(list)
        for each in self.made:
            by_user[each.user_id].append(each)
        return by_user


NONE = Corrections()


def effective(corrections: Iterable[Correction]) -> Corrections:
    """Those that count, by age: they are not undone, and of those that say whose an identity is
    only the latest is among them."""
    made = sorted(
        (each for each in corrections if each.undone_at is None), key=lambda each: each.age
    )
    latest = {each.user_id: each.id for each in made if each.kind == "same_person"}
    return Corrections(
        tuple(
            each for each in made if each.kind != "same_person" or latest[each.user_id] == each.id
        )
    )


def by_person(
    corrections: Corrections, by_identity: Iterable[tuple[str, Sequence[T]]]
) -> dict[str, list[T]]:
    """What came by user id, by the person whose identity it is."""
    by_owner: dict[str, list[T]] = defaultdict(list)
    for user_id, own in by_identity:
        by_owner[corrections.owner(user_id)].extend(own)
    return dict(by_owner)


def _owners(named: Mapping[str, str]) -> dict[str, str]:
    """The end of the chain that begins at each of these ids; without those that lead in a circle.
    Each id is looked at once: a room's admin can make a chain of a thousand."""
    ends: dict[str, str | None] = {}
    for first in named:
        path, current = [], first
        while current in named and current not in ends:
            ends[current] = None  # until its end is known: who comes back to it leads in a circle
            path.append(current)
            current = named[current]
        ends |= dict.fromkeys(path, ends.get(current, current))
    return {user_id: owner for user_id, owner in ends.items() if owner is not None}
