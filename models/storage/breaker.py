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

    def __init__(self, name: str, probe: Callable[[], object], *, failure: type[Exception]) -> None:
        """`probe` raises `failure` while it is down; its own time limit bounds each try."""
        self._name, self._probe, self._failure = name, probe, failure
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
        log.warning("breaker.opened", what=self._name, reason=self.reason)
        threading.Thread(
            target=self._close_when_back, name=f"{self._name}-probe", daemon=True
        ).start()

    def _close_when_back(self) -> None:
        pause = threading.Event()
        while not self._answers():
            pause.wait(PROBE_SECONDS)
        self._closed.set()
        log.info("breaker.closed", what=self._name)

    def _answers(self) -> bool:
        try:
            self._probe()
        except self._failure:
            return False
        return True
