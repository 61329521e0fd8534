"""How much memory a piece of work takes at most."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable


def peak_mib(work: Callable[[], None]) -> float:
    """The most that Python's objects took during the work, in MiB, beyond what there was before.

    Python counts what it hands out, so that it is the same on each machine. What the kernel says of
    the process (VmHWM) is not: what a start took hides what the work takes, or is missing.
    """
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
