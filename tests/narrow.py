"""A web process that may have next to nothing unsent: `python -m tests.narrow`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.settings.settings import load_or_exit
from webhooks.__main__ import serve
from worker.process import metrics_dir

if TYPE_CHECKING:
    from flask import Flask


def create_narrow_app() -> Flask:
    # The metrics' library looks for its directory when it is imported: not before that is set up.
    from webhooks.app import create_served_app  # noqa: PLC0415
    from webhooks.door.context import EXTENSION  # noqa: PLC0415
    from webhooks.door.unsent import Unsent  # noqa: PLC0415

    app = create_served_app()
    app.extensions[EXTENSION].unsent = Unsent(max_bytes=0, connections=lambda: 0)
    return app


if __name__ == "__main__":
    loaded = load_or_exit()
    metrics_dir.prepare(loaded)
    serve("tests.narrow:create_narrow_app", loaded)
