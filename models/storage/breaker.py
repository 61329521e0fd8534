"""A breaker: after one failure nobody waits for what is down; a thread asks until it answers.

So that an outage costs one slow answer, not every answer. No request is ever the one that tries
again: the probing is done beside them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from models.storage import reasons

PROBE_SECONDS = 0.5
"""Between two probes of what is down: how late, at most, its return is noticed."""

log = structlog.get_logger()


class Breaker:
    """Closed while things go well; `trip` opens it, and the first probe that succeeds closes it."""

    reason: str
    """Why it was opened last."""

    def __init__(self, name: str, probe: Callable[[], object]) -> None:
        """`probe` raises while it is down, whatever that is; its own time limit bounds each try.

        It uses nothing that was there before: what an outage has cut says nothing of its end.
        """
        self._name, self._probe = name, probe
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._closed.set()
        self.reason = ""

    @property
    def is_open(self) -> bool:
        return not self._closed.is_set()

    def trip(self, failure: BaseException) -> None:
        """Open it because of this, and have a thread find out when to close it."""
        with self._lock:
            if self.is_open:
                return
            self.reason = reasons.of(failure)
            self._closed.clear()
        try:
            threading.Thread(
                target=self._close_when_back, name=f"{self._name}-probe", daemon=True
            ).start()
        except RuntimeError:  # the system has no thread left: the next failure opens it again
            self._closed.set()
        log.warning("breaker.opened", what=self._name, reason=self.reason)

    def _close_when_back(self) -> None:
        pause = threading.Event()
        while not self._answers():
            pause.wait(PROBE_SECONDS)
        self._closed.set()
        log.info("breaker.closed", what=self._name)

    def _answers(self) -> bool:
        try:
            self._probe()
        except Exception as error:
            self._note(reasons.of(error))
            return False
        return True

    def _note(self, reason: str) -> None:
        """Say it, unless it is what was said last."""
        if reason != self.reason:
            self.reason = reason
            log.warning("breaker.still_open", what=self._name, reason=reason)
