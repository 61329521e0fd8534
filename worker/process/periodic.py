"""Periodic work: what the scheduler process does in threads of its own beside RQ's cron."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic

import structlog

from models.settings.settings import Settings
from models.storage import reasons
from worker.process.backend import Backend
from worker.process.threads import LastingThread

PAUSE = 0.1
"""Of the time between two starts: what is left to others, however long the work took."""

log = structlog.get_logger()

Work = Callable[[], object]


@contextmanager
def going(
    name: str,
    settings: Settings,
    make: Callable[[Backend], Work],
    *,
    every: float,
    expected: tuple[type[Exception], ...],
) -> Iterator[None]:
    """Do the work each `every` seconds for as long as the context lasts.

    When it fails, that is logged as `name.failed`, with a trace unless it was expected, and it is
    done again at its time. Raises RuntimeError when the system gives no thread for it.
    """
    stopped = threading.Event()

    def go() -> None:
        with closing(Backend.of(settings)) as backend:
            work, pause = make(backend), 0.0
            while not stopped.wait(pause):
                began = monotonic()
                _try(name, work, expected)
                pause = max(every * PAUSE, every - (monotonic() - began))

    # A daemon: a stop waits for nobody's answer, and an open transaction rolls back.
    LastingThread(name, go).start()
    try:
        yield
    finally:
        stopped.set()


def _try(name: str, work: Work, expected: tuple[type[Exception], ...]) -> None:
    failed = f"{name}.failed"
    try:
        work()
    except expected as error:
        log.warning(failed, reason=reasons.of(error))
    except Exception:  # whatever it is: it is done again at its time
        log.exception(failed)
