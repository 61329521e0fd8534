"""The turn: on SQLite, the threads of one process write one after another.

SQLite lets who finds it locked sleep, and looks again now and then. Many threads would keep one of
them asleep until it gives up, though each writes for a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Turn:
    """Who writes to SQLite: one thread of this process at a time."""

    def __init__(self, most_seconds: float) -> None:
        self._lock, self._most_seconds = Lock(), most_seconds

    @contextmanager
    def held(self) -> Iterator[None]:
        """Who waited too long goes on without it: SQLite then says whether the database is busy."""
        got = self._lock.acquire(timeout=self._most_seconds)
        try:
            yield
        finally:
            if got:
                self._lock.release()
