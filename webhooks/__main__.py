"""`python -m webhooks`: the web process, granian on $PORT. SIGTERM lets it finish its requests."""

from __future__ import annotations

import sys

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from models.settings import BadSettings, Settings, load
from worker import metrics_dir


def main() -> None:
    try:
        settings = load()
    except BadSettings as error:
        sys.exit(str(error))
    metrics_dir.prepare()
    serve("webhooks.app:create_app", settings)


def serve(factory: str, settings: Settings) -> None:
    """Serve the WSGI application that `module:factory` makes, until stopped."""
    Granian(
        factory,
        factory=True,
        interface=Interfaces.WSGI,
        address="0.0.0.0",  # noqa: S104  (a server: what reaches it is its deployment's to say)
        port=settings.port,
        blocking_threads=settings.web_threads,
        # Its warnings judge the configuration: threads here wait for databases, not for a CPU.
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    main()
