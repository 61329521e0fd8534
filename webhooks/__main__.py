"""`python -m webhooks`: granian on $PORT, with WEB_PROCESSES. SIGTERM lets requests finish."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from multiprocessing import set_start_method
from threading import Thread, Timer
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.common import AbstractServer
from granian.server.mp import MPServer
from granian.server.mt import MTServer, WorkerThread

from models.settings.settings import Settings, load_or_exit
from webhooks.server import port
from webhooks.server.port import PortTaken
from worker.process import logs, memory, metrics_dir
from worker.process.parents import end_with

SPARE_DESCRIPTORS = 256
"""For files, databases, Redis, and all else that a process opens."""

STOPS = {signal.SIGTERM}
STOP_SECONDS = 10
"""How long requests may take to finish once the process was asked to stop."""


MOST_CONNECTIONS = 4096
"""What one process holds, where the system gives it descriptors for them; granian leaves all others
waiting, however idle these are. (The connection reaper shuts idle ones.)"""

HEADERS = HTTP1Settings(header_read_timeout=10_000, max_buffer_size=128 * 1024)
"""Ten seconds and 128 KiB for the headers of a request: a token may have half of that."""


def main() -> None:
    memory.pause_collector()
    settings = load_or_exit()
    metrics_dir.prepare(settings)
    logs.configure(settings)
    try:
        port.check(settings.host, settings.port)
    except PortTaken as error:
        sys.exit(str(error))
    with logs.announced("web", settings):
        serve("webhooks.app:create_served_app", settings)


def serve(factory: str, settings: Settings) -> None:
    """Serve the WSGI application that `module:factory` makes, until stopped.

    HTTP/1 alone: over HTTP/2 one connection could have 200 bodies on their way.
    """
    most_connections = _allow_connections()
    kind: type[AbstractServer[Any]] = InOneProcess
    if settings.web_processes > 1:
        if sys.platform == "linux":
            set_start_method("fork", force=True)  # not Python 3.14's own choice
        _share(factory)
        kind = InProcesses
    server = kind(
        factory,
        factory=True,
        interface=Interfaces.WSGI,
        address=settings.host,
        port=settings.port,
        workers=settings.web_processes,
        blocking_threads=settings.web_threads,
        backpressure=most_connections,
        http=HTTPModes.http1,
        http1_settings=HEADERS,
        websockets=False,
        workers_kill_timeout=STOP_SECONDS,
        # Its warnings judge the configuration: threads here wait for databases, not for a CPU.
        log_level=LogLevels.error,
    )
    with _awake():
        server.serve()


class Interruptible(AbstractServer[Any]):
    """Granian's, which waits for the very event that its handler sets: a signal at the moment at
    which it begins to would wait for the event's lock, which it has itself."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        Thread(target=super().signal_handler_interrupt, args=args, kwargs=kwargs).start()

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """SIGHUP: the terminal was closed."""
        self.signal_handler_interrupt(*args, **kwargs)


class InProcesses(Interruptible, MPServer):
    """Several processes, which are forks of this one."""


class InOneProcess(Interruptible, MTServer):
    """This process alone, which serves in a thread: a parent for one process took 50 MiB.

    Granian has this for Pythons without a global lock, where several such threads are of use.
    """

    @property
    def _failed(self) -> int:
        """1 where the thread that serves has ended by itself: Granian says so after `shutdown`."""
        return int(bool(self.interrupt_children))

    def _check_gil(self) -> None:
        """One thread is of use with that lock, too."""

    def _spawn_worker(self, *args: Any, **kwargs: Any) -> WorkerThread:
        made = super()._spawn_worker(*args, **kwargs)
        made.inner.daemon = True
        return made

    def shutdown(self, exit_code: int = 0) -> None:
        """Granian waits for requests for STOP_SECONDS, but Python would wait for its threads until
        the last of them has ended."""
        overdue = Timer(STOP_SECONDS + 1, lambda: os._exit(exit_code or self._failed))
        overdue.daemon = True
        overdue.start()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]  # Granian's


def _share(factory: str) -> None:
    """Import what serves before it is forked: each further process takes 16 MiB instead of 60."""
    import_module(factory.partition(":")[0])
    memory.keep()
    os.register_at_fork(
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, STOPS),
        after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, STOPS),
        after_in_child=partial(_stop_with_parent, os.getpid()),
    )


@contextmanager
def _awake() -> Iterator[None]:
    """Wake the main thread every second.

    It alone runs Python's handlers, and Granian has it wait for good: it would never hear of a
    signal that came just before (one stop of 30 while processes started on a busy machine).
    """
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    try:
        yield
    finally:  # it would kill a Python that ends, without handlers
        signal.setitimer(signal.ITIMER_REAL, 0)


def _stop_with_parent(parent: int) -> None:
    """In Granian's worker, which is a fork of this process.

    It would lose a SIGTERM to this process's handler until it has imported the application, and
    then serve on for ever. And it would do so, with the port, when this process is killed.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)  # a fork has its parent's handler, but no timer
    end_with(parent)


def _allow_connections() -> int:
    """How many a process may hold: each takes a descriptor, and many systems give 1,024 unless
    asked. Where they give few, half of them are for everything else."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(wanted - SPARE_DESCRIPTORS, wanted // 2)


if __name__ == "__main__":
    main()
