"""Admission control: bodies are read, and long answers made, by few threads at a time.

The server reads a body in its request's thread, so a sender that is slow, or gone, keeps one. So
nothing is read for a token that is not genuine, everybody but LiveKit and operators shares most of
the threads, never all, and nobody has more than one body on its way. What takes too long the
connection reaper ends.

An export, and a long roster, takes a thread for longer than anything else. So a quarter of the
threads at most make some, and nobody has more than one made at a time.

A whole class closes its tabs in the same moment, and a beacon is not sent again. So whoever finds
no seat waits for one, since most bodies are read in a millisecond; but whoever waits keeps a thread
too, so all of them together may wait only so long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from threading import Condition
from time import monotonic

from webhooks.door.problems import Problem

WAIT_SECONDS = 0.3
BUSY_SECONDS = 1
EXPORTS_BUSY_SECONDS = 5


@dataclass(slots=True)
class _Seats:
    """How many threads may do one kind of work, and who has them do it."""

    most: int
    most_unknown: int
    detail: str
    retry_after: int
    people: set[str] = field(default_factory=set)
    unknown: int = 0

    @property
    def taken(self) -> int:
        return len(self.people) + self.unknown

    def is_free(self, who: str | None) -> bool:
        if self.taken >= self.most or who in self.people:
            return False
        return who is not None or self.unknown < self.most_unknown

    def take(self, who: str | None) -> None:
        if who is None:
            self.unknown += 1
        else:
            self.people.add(who)

    def leave(self, who: str | None) -> None:
        if who is None:
            self.unknown -= 1
        else:
            self.people.discard(who)

    def busy(self) -> Problem:
        return Problem(429, "busy", self.detail, headers={"Retry-After": str(self.retry_after)})


class Admission:
    """One for all threads of a process."""

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads * 3 // 4)
        self._bodies = _Seats(
            self._most,
            max(1, threads // 2),
            "Other bodies are still being read, yours perhaps. Send it again in a moment.",
            BUSY_SECONDS,
        )
        self._exports = _Seats(
            max(1, threads // 4),
            max(1, threads // 4),
            "Other exports are still being made or read, yours perhaps. Ask again in a moment.",
            EXPORTS_BUSY_SECONDS,
        )
        self._budget = Budget(threads)
        self._changed = Condition()

    def seat(self, who: str | None) -> AbstractContextManager[None]:
        """Read a body of this person's, or of somebody's whose token is in it (None).

        Raises Problem 429 when there is no seat within `WAIT_SECONDS`, or at once when others have
        waited so long that nobody may.
        """
        return self._held(self._bodies, who)

    def export(self, who: str | None) -> AbstractContextManager[None]:
        """Make an export, or a long roster, for this person, or for somebody whose token names
        nobody (None).

        Raises Problem 429, as `seat` does. Whoever makes one has no seat for a body, so both
        together never take all threads.
        """
        return self._held(self._exports, who)

    @contextmanager
    def _held(self, seats: _Seats, who: str | None) -> Iterator[None]:
        with self._changed:
            if not self._is_free(seats, who):
                self._wait(seats, who)
            seats.take(who)
        try:
            yield
        finally:
            with self._changed:
                seats.leave(who)
                self._changed.notify_all()

    def _wait(self, seats: _Seats, who: str | None) -> None:
        began = monotonic()
        if not self._budget.begin(began):
            raise seats.busy()
        free = self._changed.wait_for(lambda: self._is_free(seats, who), WAIT_SECONDS)
        self._budget.end(began, monotonic())
        if not free:
            raise seats.busy()

    def _is_free(self, seats: _Seats, who: str | None) -> bool:
        taken = self._bodies.taken + self._exports.taken
        return taken < self._most and seats.is_free(who)


class Budget:
    """How often somebody may still wait for `WAIT_SECONDS`, whatever thread they keep with it.

    At first as many as half of the threads may at once; in the long run an eighth of them.
    """

    def __init__(self, threads: int) -> None:
        self._most = float(max(1, threads // 2))
        self._regained = threads / 8 / WAIT_SECONDS
        self._left, self._at = self._most, 0.0

    def begin(self, now: float) -> bool:
        """Whether one more may wait; what they do not need of it, `end` gives back."""
        self._left = min(self._most, self._left + (now - self._at) * self._regained)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def end(self, began: float, now: float) -> None:
        self._left += max(0.0, 1 - (now - began) / WAIT_SECONDS)
