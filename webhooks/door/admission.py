"""Admission control: bodies are read by few threads at a time.

The server reads a body in its request's thread, so a sender that is slow, or gone, keeps one. So
nothing is read for a token that is not genuine, everybody but LiveKit and operators shares most of
the threads, never all, and nobody has more than one body on its way. What takes too long the
connection reaper ends.

A whole class closes its tabs in the same moment, and a beacon is not sent again. So whoever finds
no seat waits for one, since most bodies are read in a millisecond; but whoever waits keeps a thread
too, so all of them together may wait only so long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from time import monotonic

from webhooks.door.problems import Problem

WAIT_SECONDS = 0.3
BUSY_SECONDS = 1


class Admission:
    """One for all threads of a process."""

    def __init__(self, threads: int) -> None:
        self._seats = max(1, threads * 3 // 4)
        self._unknown_seats = max(1, threads // 2)
        self._budget = Budget(threads)
        self._changed = Condition()
        self._people: set[str] = set()
        self._unknown = 0

    @contextmanager
    def seat(self, who: str | None) -> Iterator[None]:
        """Read a body of this person's, or of somebody's whose token is in it (None).

        Raises Problem 429 when there is no seat within `WAIT_SECONDS`, or at once when others have
        waited so long that nobody may.
        """
        with self._changed:
            if not self._is_free(who):
                self._wait(who)
            self._take(who)
        try:
            yield
        finally:
            with self._changed:
                self._leave(who)

    def _wait(self, who: str | None) -> None:
        began = monotonic()
        if not self._budget.begin(began):
            raise _busy()
        free = self._changed.wait_for(lambda: self._is_free(who), WAIT_SECONDS)
        self._budget.end(began, monotonic())
        if not free:
            raise _busy()

    def _is_free(self, who: str | None) -> bool:
        if len(self._people) + self._unknown >= self._seats or who in self._people:
            return False
        return who is not None or self._unknown < self._unknown_seats

    def _take(self, who: str | None) -> None:
        if who is None:
            self._unknown += 1
        else:
            self._people.add(who)

    def _leave(self, who: str | None) -> None:
        if who is None:
            self._unknown -= 1
        else:
            self._people.discard(who)
        self._changed.notify_all()


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


def _busy() -> Problem:
    detail = "Other bodies are still being read, yours perhaps. Send it again in a moment."
    return Problem(429, "busy", detail, headers={"Retry-After": str(BUSY_SECONDS)})
