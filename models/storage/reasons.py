"""The reason of a failure, for logs and for operators: the driver's words without anybody's data.

PostgreSQL quotes values, and names of hosts, roles and databases; Redis names its address and its
user. What is left says what to look at and may be shown to anybody.
"""

from __future__ import annotations

import re

from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError

HIDDEN = "…"
MAX_LENGTH = 300

_ADDRESS = re.compile(r"[^\s:]+(?=:\d+\b)|(?<=connecting to )/\S+(?=\.)")
_SENTINEL = re.compile(r" : .*?> - (?:\w+:)?(\w+).*")
"""Behind the colon is all that each client was made of; only the kind of its error is there."""

_USER = re.compile(r"(?<=[Uu]ser )\S+(?= has)")


def of(error: BaseException) -> str:
    """What the driver says first, and the SQLSTATE; of other errors the class."""
    if isinstance(error, RedisError):
        return shortened(_of_redis(error), error)
    # With the drivers of databases, which not every process has.
    from models.storage import database_reasons  # noqa: PLC0415

    return database_reasons.of(error)


def shortened(words: str, error: BaseException) -> str:
    """So much of it that a line holds it; without words, the error's class."""
    return words.strip()[:MAX_LENGTH] or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line, and the next where that one only announces it. The rest may quote a row."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    announces = lines[0].endswith(":") and len(lines) > 1
    return f"{lines[0]} {lines[1]}" if announces else lines[0]


def _of_redis(error: RedisError) -> str:
    line = first_line(error)
    if isinstance(error, MasterNotFoundError):
        return _SENTINEL.sub(r"; a Sentinel does not answer (\1)", line)
    return _USER.sub(HIDDEN, _ADDRESS.sub(HIDDEN, line))
