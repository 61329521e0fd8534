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

EVERY_SECONDS = 2.0

log = structlog.get_logger()


class SpoolCopier:
    """One thread a process, which looks into the spool every few seconds once it is started."""

    def __init__(self, settings: Settings, apply_here: Callable[[], object]) -> None:
        """`apply_here` has this process apply what is copied when no worker can be asked to."""
        self._settings, self._apply_here = settings, apply_here
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._hindrance = ""

    def start(self) -> None:
        """Returns at once; does nothing when it runs already."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spool-copier", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread after the rows at hand; a process that just exits need not."""
        self._stopped.set()
        if self._thread is not None:
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
        except (RedisError, SQLAlchemyError) as error:
            hindrance = reasons.of(error)
            self._note(backend, hindrance)
            if hindrance != self._hindrance:
                log.warning("spool.waiting", reason=hindrance)
            self._hindrance = hindrance
        else:
            self._hindrance = ""
        if copied:
            log.info("spool.copied", count=copied)
            self._announce(backend)

    def _note(self, backend: Backend, hindrance: str) -> None:
        """For the doctor. A Redis that takes no writes has a finding of its own."""
        with suppress(RedisError):
            spool.note_hindrance(backend.redis, hindrance)

    def _announce(self, backend: Backend) -> None:
        try:
            bell.ring(backend.redis)
        except RedisError:
            self._apply_here()
