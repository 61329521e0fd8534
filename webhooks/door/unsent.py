"""What was handed to the server and is not sent yet: it is in memory, so its size is bounded."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from threading import Lock
from time import monotonic

MAX_UNSENT_BYTES = 64 * 1024 * 1024
"""Of the large answers that lie in the server's memory. Those that need no token may take half."""

ON_ITS_WAY_SECONDS = 2.0
"""How long after it was handed over an answer may not have come to its connection yet."""

LOOK_SECONDS = 1.0
"""Between two looks at what is unsent: with thousands of connections one takes some 40 ms."""


class Unsent:
    """Large answers that were handed to the server and may still lie in its memory.

    One for all threads of a process. Nobody hears when an answer was sent. But a connection has one
    answer at a time, and the kernel knows on how many something is unsent (`connections`). Where
    nobody can say that, nothing is bounded.
    """

    def __init__(
        self, max_bytes: int = MAX_UNSENT_BYTES, connections: Callable[[], int] | None = None
    ) -> None:
        self._max_bytes, self.connections = max_bytes, connections
        self._answers: list[tuple[float, int]] = []
        self._bytes, self._looked_at = 0, float("-inf")
        self._lock = Lock()

    def take(self, size: int, *, public: bool = False) -> bool:
        """Whether an answer of this many bytes may be handed over; from then on it counts."""
        if self.connections is None:
            return True
        most = self._max_bytes // 2 if public else self._max_bytes
        with self._lock:
            now = monotonic()
            if self._bytes + size > most:
                self._forget_sent(now, self.connections)
            if self._bytes + size > most:
                return False
            self._answers.append((now, size))
            self._bytes += size
            return True

    def _forget_sent(self, now: float, connections: Callable[[], int]) -> None:
        """Keep what was handed over a moment ago, and the largest of the others, one for each
        connection on which something is unsent."""
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        since = now - ON_ITS_WAY_SECONDS
        recent = [answer for answer in self._answers if answer[0] >= since]
        older = [answer for answer in self._answers if answer[0] < since]
        unsent = heapq.nlargest(connections(), older, key=lambda answer: answer[1])
        self._answers = unsent + recent
        self._bytes = sum(size for _, size in self._answers)
