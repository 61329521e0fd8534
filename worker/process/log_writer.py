"""Where log lines go: streams that raise into nobody, whatever becomes of the disk or the reader.

What can't be written waits, up to MOST lines. How many were lost after that, a line of its own says
once writing works again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from io import UnsupportedOperation
from multiprocessing.util import Finalize
from threading import Event, Lock, RLock
from typing import TextIO

from worker.process.threads import LastingThread

MOST = 10_000
"""Lines that wait; what comes while there are so many is lost."""

PAUSE_SECONDS = 0.05
"""Between two looks of the thread: woken for every line, it would want Python's lock each time."""

RETRY_SECONDS = 0.5
"""The same while nothing can be written."""

STOP_SECONDS = 2.0


def _lost(count: int) -> str:
    return f"{count} lines were lost\n"


class LogStream:
    """Stands for a text stream. Each write is a line, and has the earlier ones written first."""

    def __init__(self, stream: TextIO, lost: Callable[[int], str] = _lost) -> None:
        """`lost` makes the line that says how many were lost."""
        self._stream, self._lost_line = stream, lost
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # what waits is written by the parent

    def write(self, text: str) -> None:
        """Never raises."""
        self._write_out()  # and so makes place, where there was none
        self._add(text)
        self._write_out()

    def flush(self) -> None:
        """Nothing is held back."""

    def _begin(self) -> None:
        self._waiting: deque[str] = deque()
        self._rest, self._lost = b"", 0
        self._writing, self._counting = Lock(), RLock()

    def _add(self, text: str) -> None:
        if len(self._waiting) < MOST:
            self._waiting.append(text)
            return
        with self._counting:
            self._lost += 1

    def _write_out(self) -> bool:
        """Write what waits; False when that fails. While another thread writes, or what this signal
        interrupted, the lines are left to them."""
        while (self._rest or self._waiting) and self._writing.acquire(blocking=False):
            try:
                self._write_waiting()
            except (OSError, ValueError):  # full, nobody reads it, closed
                return False
            finally:
                self._writing.release()
        return True

    def _write_waiting(self) -> None:
        if not self._rest:
            self._rest = self._next().encode(self._encoding, "backslashreplace")
        while self._rest:
            self._rest = self._rest[self._put(self._rest) :]

    def _next(self) -> str:
        """The lines that wait, in one text; those that were lost came after them."""
        texts = "".join(self._waiting.popleft() for _ in range(len(self._waiting)))
        if not self._lost:
            return texts
        with self._counting:
            count, self._lost = self._lost, 0
        return texts + self._lost_line(count)

    def _put(self, data: bytes) -> int:
        """How many bytes were written. Python's own buffer would not say which, were it to fail."""
        try:
            descriptor = self._stream.fileno()
        except (AttributeError, UnsupportedOperation):  # it is in memory
            self._stream.write(data.decode(self._encoding))
            self._stream.flush()
            return len(data)
        return os.write(descriptor, data)


class LogWriter(LogStream):
    """The same, whose lines are written by a thread of its own: who has one waits for nothing. They
    are written before the process ends in good order.

    A request that writes its line itself gives up Python's lock for it, and waits until none of the
    other threads wants it: at full load that cost 146 us of a webhook's 446.
    """

    def write(self, text: str) -> None:
        self._add(text)
        if not self._said.is_set():
            self._said.set()
        if self._ending.is_set() or not self._started():
            self._write_out()

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._ending.set()
        self._said.set()
        self._thread.join(STOP_SECONDS)
        self._write_out()

    def _begin(self) -> None:
        super()._begin()
        self._said, self._ending = Event(), Event()
        self._thread = LastingThread("log-writer", self._run)
        self._closes: Finalize | None = None

    def _started(self) -> bool:
        if self._closes is None:  # a fork forgets those of its parent when it begins its work
            self._closes = Finalize(self, self.close, exitpriority=0)
        try:
            self._thread.start()
        except RuntimeError:  # the system gives no thread
            return False
        return True

    def _run(self) -> None:
        while not self._ending.is_set():
            self._said.wait()
            self._said.clear()
            written = self._write_out()
            if not written:
                self._said.set()
            self._ending.wait(PAUSE_SECONDS if written else RETRY_SECONDS)
        self._write_out()
