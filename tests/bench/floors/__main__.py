"""`python -m tests.bench.floors`: the floors on the web server that `python -m webhooks` runs."""

from __future__ import annotations

from models.settings.settings import load
from webhooks.__main__ import serve

if __name__ == "__main__":
    serve("tests.bench.floors.app:create_app", load())
