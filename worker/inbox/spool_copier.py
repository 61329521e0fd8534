"""The spool copier: a web process empties the spool as soon as the database takes events again.

Workers do that too, but a job for them needs a Redis that takes writes. A full one, or a replica,
still gives what is in the spool.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from models.settings.settings import Settings
from models.storage import reasons
from worker.inbox import bell, spool
from worker.process.backend import Backend
from worker.process.threads import LastingThread

EVERY_SECONDS = 2.0
EXPECTED = (RedisError, SQLAlchemyError)

log = structlog.get_logger()


class SpoolCopier:
    """One thread a process, which looks into the spool every few seconds once it is started."""

    def __init__(self, settings: Settings, apply_here: Callable[[], object]) -> None:
        """`apply_here` has this process apply what is copied when no worker can be asked to."""
        self._settings, self._apply_here = settings, apply_here
        self._stopped = threading.Event()
        self._thread = LastingThread("spool-copier", self._run)
        self._hindrance = ""

    def start(self) -> None:
        """Returns at once; does nothing when it runs already."""
        try:
            self._thread.start()
        except RuntimeError:  # whoever spools the next event tries again, and drains copy as well
            log.error("thread.not_started", thread="spool-copier")

    def stop(self) -> None:
        """End the thread after the rows at hand; a process that just exits need not."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        # Its own connections: a batch takes longer than a request may wait for an answer.
        with closing(Backend.of(self._settings)) as backend:
            while not self._stopped.wait(EVERY_SECONDS):
                self._try(backend)

    def _try(self, backend: Backend) -> None:
        """Copy all that there is. The same hindrance is logged once."""
        copied = 0
        try:
            while not self._stopped.is_set() and (count := spool.copy(backend)):
                copied += count
        except Exception as error:  # of any kind: what is in the spool was acknowledged
            self._hinder(backend, error)
        else:
            self._hindrance = ""
        if copied:
            log.info("spool.copied", count=copied)
            self._announce(backend)

    def _hinder(self, backend: Backend, error: Exception) -> None:
        """Say it in the log, and to the doctor. A Redis that takes no writes has a finding of its
        own."""
        hindrance, expected = reasons.of(error), isinstance(error, EXPECTED)
        if hindrance != self._hindrance:
            log.warning("spool.waiting", reason=hindrance, exc_info=not expected)
        self._hindrance = hindrance
        with suppress(RedisError):
            spool.note_hindrance(backend.redis, hindrance)

    def _announce(self, backend: Backend) -> None:
        try:
            bell.ring(backend.redis)
        except RedisError:
            self._apply_here()
