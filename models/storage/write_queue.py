"""The write queue: on SQLite, the threads of one process write one after another.

SQLite lets who finds it locked sleep, and looks again now and then. Many threads would keep one of
them asleep until it gives up, though each writes for a millisecond.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class WriteQueue:
    """One thread of this process at a time writes to SQLite, in the order in which they came.

    A mere Lock would be taken again by who lets go of it, over and over, before those who wait.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock, self._taken = Lock(), False
        self._waiting: deque[Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait for it."""
        return len(self._waiting)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Who waited too long goes on without it: SQLite then says whether the database is busy."""
        got = self._take()
        try:
            yield
        finally:
            if got:
                self._pass_on()

    def _take(self) -> bool:
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=self._timeout):
            return True
        with self._lock:
            if mine not in self._waiting:
                return True  # passed on at the last moment
            self._waiting.remove(mine)
            return False

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
