"""The Procfile's Python processes as forks of `make run`: they share what it has imported.

A process that imports by itself has all of it for itself; of a fork, only what it writes to.
"""

from __future__ import annotations

import os
import shlex
import signal
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context

from worker.process import memory
from worker.process.parents import end_with

MAINS = {
    "webhooks": "webhooks.__main__",
    "worker": "worker.__main__",
    "worker.schedule": "worker.schedule",
}
"""By what a line runs with `python -m`: the module whose `main` does that."""

LATER = ("webhooks.app", "worker.jobs")
"""What they import once they have begun."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def load() -> None:
    """Import what the processes need."""
    memory.pause_collector()
    for module in (*MAINS.values(), *LATER):
        import_module(module)
    memory.keep()


def main_of(line: str) -> str | None:
    """The module whose `main` does what this line of the Procfile does, if there is one."""
    python, option, module, *more = [*shlex.split(line), "", "", ""]
    runs_module = (python, option) == ("python", "-m") and not any(more)
    return MAINS.get(module) if runs_module else None


class Fork:
    """A fork that runs a module's `main`, in a session of its own: what Honcho needs of a Popen."""

    def __init__(self, module: str) -> None:
        read, write = os.pipe()
        ready, leads = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            ends = _Ends(write, leads, theirs=(read, ready), parent=os.getpid())
            self._process = get_context("fork").Process(target=_run, args=(module, ends))
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(write)
        os.close(leads)
        os.read(ready, 1)  # until it leads its session, which is what signals are sent to
        os.close(ready)
        self.stdout = os.fdopen(read, "rb")

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> None:
        self._process.join()


@dataclass(frozen=True, slots=True)
class _Ends:
    """The ends of two pipes: `output` is the fork's, it closes `leads` when it leads its session;
    `theirs` are those that its parent reads."""

    output: int
    leads: int
    theirs: tuple[int, ...]
    parent: int


def _run(module: str, ends: _Ends) -> None:
    """In the fork. Signals were held back: this process must not do what its parent does."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.dup2(ends.output, 1)
    os.dup2(ends.output, 2)
    for descriptor in (ends.output, ends.leads, *ends.theirs):
        os.close(descriptor)
    end_with(ends.parent)  # nobody would read what it writes
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    import_module(module).main()
