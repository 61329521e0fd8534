"""The local drain: a web process applies its own mail while Redis, and so the bell, is down."""

from __future__ import annotations

import threading
from contextlib import closing

import structlog

from models.settings.settings import Settings
from models.storage import reasons
from worker.jobs import draining
from worker.process.backend import Backend
from worker.process.threads import LastingThread

log = structlog.get_logger()


class LocalDrain:
    """One thread a process, made when it is first needed; the same drain as the workers'."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mail, self._stopped = threading.Event(), threading.Event()
        self._thread = LastingThread("local-drain", self._run)

    def wake(self) -> None:
        """There is mail, and no bell to ring. Returns at once."""
        self._mail.set()
        try:
            self._thread.start()
        except RuntimeError:  # the mail is stored; whoever has the next wakes it again
            log.error("thread.not_started", thread="local-drain")

    def stop(self) -> None:
        """End the thread after the batch at hand; a process that just exits need not."""
        self._stopped.set()
        self._mail.set()
        self._thread.join()

    def _run(self) -> None:
        self._mail.set()  # begun anew after an error, it has mail that nobody wakes it for again
        # Its own connections: a batch takes longer than a request may wait for an answer.
        with closing(Backend.of(self._settings)) as backend:
            while self._mail.wait():
                self._mail.clear()  # first: what is set from here on is seen the next time
                if self._stopped.is_set():
                    return
                self._drain_all(backend)

    def _drain_all(self, backend: Backend) -> None:
        try:
            draining.work_off(backend, self._stopped)
        except draining.NOBODYS_FAULT as error:
            log.warning("drain.failed", reason=reasons.of(error))
            self._stopped.wait(draining.RETRY_SECONDS)
            self._mail.set()
