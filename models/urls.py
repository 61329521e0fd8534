"""What may be at the URLs and origins of the settings, found out without connecting anywhere.

Each function raises ValueError with the end of a sentence that begins with the variable's name; in
none of them stands a password.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import AnyUrl, ValidationError
from redis import Redis
from redis.exceptions import RedisError

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:\d+)?")


def origin(text: str) -> str:
    """A web page's origin as browsers write it: no path, no default port, a host in ASCII.

    Flask-CORS compares text with text, but takes what has one of `*\\]?$^[]()` in it for a regular
    expression, in which each dot matches anything: so none of them may stand here.
    """
    try:
        written = str(AnyUrl(text)).removesuffix("/")
    except ValidationError:
        written = ""
    if not ORIGIN.fullmatch(written):
        raise ValueError(f"{text!r} is no origin such as https://app.example:8443, nor a lone *")
    return written


def redis(url: str) -> None:
    """A URL that redis-py can connect with: it makes the connection, which connects nowhere yet."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    try:
        Redis.from_url(url).connection_pool.make_connection()
    except (TypeError, ValueError, RedisError):
        raise ValueError(
            "is no Redis URL, or has an option that its scheme lacks"
        ) from None
    number = urlsplit(url).path.strip("/")
    if not url.startswith("unix://") and number and not number.isdecimal():
        raise ValueError("must end in the database's number, such as /0")
