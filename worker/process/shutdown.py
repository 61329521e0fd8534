"""Being asked to stop, by SIGTERM or SIGINT."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Flag
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)

requested = Flag()
"""Set for good when this process was asked. Whoever works in rounds looks at it in each: what is
raised as well, to cut a wait short, may be raised where a library suppresses it (logging does that
with every Exception)."""


def listen() -> None:
    """From now on, being asked raises SystemExit."""
    for asked in SIGNALS:
        signal.signal(asked, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def held() -> Iterator[None]:
    """Hear that one is asked to stop only afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(*_: object) -> NoReturn:
    for asked in SIGNALS:  # asked again meanwhile, it would wait for the flag's lock, which it has
        signal.signal(asked, signal.SIG_IGN)
    requested.set()
    raise SystemExit
