"""Threads beside a process's own work: nothing that is raised in them ends them for good."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

AGAIN_SECONDS = 1.0
"""Before work that failed begins again."""

log = structlog.get_logger()


class LastingThread:
    """One thread a process. When its work raises, that is logged, and the work begins anew."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        """`work` returns when there is to be no more of it."""
        self._name, self._work = name, work
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns at once; does nothing while it runs. Raises RuntimeError when the system gives no
        thread: call it again then."""
        if self._is_alive():
            return
        with self._lock:
            if not self._is_alive():
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread

    def join(self, seconds: float | None = None) -> None:
        """Wait until it has ended, if it was ever started, for so long at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._work()
            except BaseException:  # asyncio's CancelledError, too; nobody asks a thread to exit
                log.exception("thread.failed", thread=self._name)
                pause.wait(AGAIN_SECONDS)
            else:
                return
