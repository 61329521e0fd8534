"""The intake: where bodies are read, by few at a time.

The server reads a body in its request's thread, so a sender that is slow, or gone, keeps one. So
nothing is read for a token that is not genuine, everybody but LiveKit and operators shares most of
the threads, never all, and nobody has more than one body on its way. What takes too long the
janitor ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from webhooks.problems import Problem

BUSY_SECONDS = 1


class Intake:
    """One for all threads of a process."""

    def __init__(self, threads: int) -> None:
        self._seats = max(1, threads * 3 // 4)
        self._unknown_seats = max(1, threads // 2)
        self._lock = Lock()
        self._people: set[str] = set()
        self._unknown = 0

    @contextmanager
    def seat(self, who: str | None) -> Iterator[None]:
        """Read a body of this person's, or of somebody's whose token is in it (None).

        Raises Problem 429 at once when too many are being read.
        """
        self._take(who)
        try:
            yield
        finally:
            self._leave(who)

    def _take(self, who: str | None) -> None:
        with self._lock:
            full = len(self._people) + self._unknown >= self._seats
            if who is None:
                full = full or self._unknown >= self._unknown_seats
            if full or who in self._people:
                raise _busy()
            if who is None:
                self._unknown += 1
            else:
                self._people.add(who)

    def _leave(self, who: str | None) -> None:
        with self._lock:
            if who is None:
                self._unknown -= 1
            else:
                self._people.discard(who)


def _busy() -> Problem:
    detail = "Other bodies are still being read, yours perhaps. Send it again in a moment."
    return Problem(429, "busy", detail, headers={"Retry-After": str(BUSY_SECONDS)})
