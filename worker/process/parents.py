"""A process that another one started must not outlive it: it would keep the port, and serve on."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have this process get SIGTERM when its parent, of this id, ends in whatever way. On Linux
    alone: elsewhere nobody tells."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before that
        signal.raise_signal(signal.SIGTERM)
