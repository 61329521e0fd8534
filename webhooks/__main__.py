"""`python -m webhooks`: the web process, granian on $PORT. SIGTERM lets it finish its requests."""

from __future__ import annotations

import os
import signal
import sys

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from models.settings import BadSettings, Settings, load
from worker import metrics_dir

STOP_SECONDS = 10
"""How long requests may take to finish once the process was asked to stop."""


def main() -> None:
    try:
        settings = load()
    except BadSettings as error:
        sys.exit(str(error))
    metrics_dir.prepare()
    serve("webhooks.app:create_app", settings)


def serve(factory: str, settings: Settings) -> None:
    """Serve the WSGI application that `module:factory` makes, until stopped."""
    # Granian's worker is a fork, which would lose a SIGTERM to this process's handler until it has
    # imported the application, and then serve on for ever.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    Granian(
        factory,
        factory=True,
        interface=Interfaces.WSGI,
        address="0.0.0.0",  # noqa: S104  (a server: what reaches it is its deployment's to say)
        port=settings.port,
        blocking_threads=settings.web_threads,
        workers_kill_timeout=STOP_SECONDS,
        # Its warnings judge the configuration: threads here wait for databases, not for a CPU.
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    main()
