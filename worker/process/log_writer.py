"""The log writer: a stream whose lines are written by a thread of its own.

A request that writes its line itself gives up Python's lock for it, and waits until none of the
other threads wants it: at full load that cost 146 us of a webhook's 446.
"""

from __future__ import annotations

import os
from contextlib import suppress
from multiprocessing.util import Finalize
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import TextIO

MOST = 10_000
"""Lines that may wait; with more, whoever has one waits for the stream as well."""

PAUSE_SECONDS = 0.05
"""Between two looks of the thread: woken for every line, it would want Python's lock each time."""

STOP_SECONDS = 2.0


class LogWriter:
    """Stands for a text stream. What was said is written before the process ends in good order."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # a fork has no threads

    def write(self, text: str) -> None:
        self._said.put(text)
        if self._thread is None:
            self._start()
        if self._said.qsize() > MOST:
            self._help()

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Write what waits, and end the thread."""
        if self._thread is not None:
            self._said.put(None)
            self._ending.set()
            self._thread.join(STOP_SECONDS)

    def _begin(self) -> None:
        self._said: SimpleQueue[str | None] = SimpleQueue()
        self._lock, self._ending = Lock(), Event()
        self._thread: Thread | None = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()
                Finalize(self, self.close, exitpriority=0)

    def _run(self) -> None:
        while self._write_with(self._said.get()):
            self._ending.wait(PAUSE_SECONDS)

    def _help(self) -> None:
        """Write a part of it for the thread, to which the end is left."""
        with suppress(Empty):
            if not self._write_with(self._said.get_nowait()):
                self._said.put(None)

    def _write_with(self, text: str | None) -> bool:
        """Write this and what else waits, in one go; False when the end was among it."""
        texts: list[str] = []
        with suppress(Empty):
            while text is not None:
                texts.append(text)
                if len(texts) == MOST:
                    break
                text = self._said.get_nowait()
        self._stream.write("".join(texts))
        self._stream.flush()
        return text is not None
