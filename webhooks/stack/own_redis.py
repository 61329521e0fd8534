"""Where the URL of `make run`'s own Valkey stands while it runs, password included, for other
terminals.

The files are their owner's alone, and the password is in no process's arguments.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values

URL, PASSWORD = "url", "password"
OF_RUN = Path("var/valkey") / URL


def password(data: Path) -> str:
    """The password of the Valkey that keeps its files in `data`: once made, it stays."""
    path = data / PASSWORD
    if not path.exists():
        _write(path, secrets.token_urlsafe(32))
    return path.read_text()


@contextmanager
def known(data: Path, url: str) -> Iterator[None]:
    """The URL stands in `data` for as long as the context lasts."""
    _write(data / URL, url)
    try:
        yield
    finally:
        (data / URL).unlink(missing_ok=True)


def use(environment: MutableMapping[str, str]) -> None:
    """Have the settings name `make run`'s Valkey, where there is one and nothing names another."""
    known = dotenv_values(".env") | dict(environment)
    if OF_RUN.exists() and not (known.get("REDIS_URL") or known.get("REDIS_URL_FILE")):
        environment["REDIS_URL_FILE"] = str(OF_RUN)


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
