"""Where the URL of `make run`'s own Valkey stands, password included, for other terminals.

The file is its owner's alone, and the password is in no process's arguments.
"""

from __future__ import annotations

import secrets
from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

URL = "url"
OF_RUN = Path("var/valkey") / URL


def password(data: Path) -> str:
    """The password of the Valkey that keeps its files in `data`: once made, it stays."""
    path = data / URL
    known = urlsplit(path.read_text()).password if path.exists() else None
    return known or secrets.token_urlsafe(32)


def write(data: Path, url: str) -> None:
    """Have the URL stand in `data`, for its owner alone."""
    path = data / URL
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(url)


def use(environment: MutableMapping[str, str]) -> None:
    """Have the settings name `make run`'s Valkey, where there is one and nothing names another."""
    known = dotenv_values(".env") | dict(environment)
    if OF_RUN.exists() and not (known.get("REDIS_URL") or known.get("REDIS_URL_FILE")):
        environment["REDIS_URL_FILE"] = str(OF_RUN)
