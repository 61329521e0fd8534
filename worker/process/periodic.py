"""Rounds: what the scheduler process does again and again in threads beside RQ's cron."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic

import structlog

from models.settings.settings import Settings
from models.storage import reasons
from worker.process.backend import Backend

PAUSE = 0.1
"""Of the time between two starts: what is left to others, however long a round took."""

log = structlog.get_logger()

Round = Callable[[], object]


@contextmanager
def going(
    name: str,
    settings: Settings,
    make: Callable[[Backend], Round],
    *,
    every: float,
    expected: tuple[type[Exception], ...],
) -> Iterator[None]:
    """Do one round each `every` seconds for as long as the context lasts.

    A round that fails is logged as `name.failed`, with a trace unless it was expected, and the next
    one comes at its time.
    """
    stopped = threading.Event()

    def go() -> None:
        with closing(Backend.of(settings)) as backend:
            one, pause = make(backend), 0.0
            while not stopped.wait(pause):
                began = monotonic()
                _try(name, one, expected)
                pause = max(every * PAUSE, every - (monotonic() - began))

    # A daemon: a stop waits for nobody's answer, and an open transaction rolls back.
    threading.Thread(target=go, name=name, daemon=True).start()
    try:
        yield
    finally:
        stopped.set()


def _try(name: str, one: Round, expected: tuple[type[Exception], ...]) -> None:
    failed = f"{name}.failed"
    try:
        one()
    except expected as error:
        log.warning(failed, reason=reasons.of(error))
    except Exception:  # a thread that ended would end its rounds in silence
        log.exception(failed)
