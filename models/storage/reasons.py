"""The reason of a failure, for logs and for operators: the driver's words without anybody's data.

PostgreSQL quotes values, and names of hosts, roles and databases; Redis names its address and its
user. What is left says what to look at and may be shown to anybody.
"""

from __future__ import annotations

import re
import sqlite3

import psycopg
from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.storage import errors

HIDDEN = "…"
MAX_LENGTH = 300

_QUOTED = re.compile(r"""(?<!encoding )("[^"]*"|“[^”]*”|„[^“]*“|»[^«]*«|«[^»]*»)""")
_HOST = re.compile(r"(?<=host: )'[^']*'|(?<=hostaddr: )'[^']*'")
_ADDRESS = re.compile(r" \([0-9a-fA-F.:]+\)")
_BYTES = re.compile(r"0x[0-9a-fA-F]{2}( 0x[0-9a-fA-F]{2})*")
_REDIS_ADDRESS = re.compile(r"[^\s:]+(?=:\d+\b)|(?<=connecting to )/\S+(?=\.)")
_SENTINEL = re.compile(r" : .*?> - (?:\w+:)?(\w+).*")
"""Behind the colon is all that each client was made of; only the kind of its error is there."""

_REDIS_USER = re.compile(r"(?<=[Uu]ser )\S+(?= has)")


def of(error: BaseException) -> str:
    """What the driver says first, and the SQLSTATE; of other errors the class."""
    driver = error.orig if isinstance(error, DBAPIError) and error.orig else error
    words = _words(driver).strip()[:MAX_LENGTH] or type(driver).__name__
    code = errors.sqlstate(driver)
    return f"{words} (SQLSTATE {code})" if code else words


def _words(error: BaseException) -> str:
    if isinstance(error, MasterNotFoundError):
        return _SENTINEL.sub(r"; a Sentinel does not answer (\1)", _first_line(error))
    if isinstance(error, RedisError):
        return _REDIS_USER.sub(HIDDEN, _REDIS_ADDRESS.sub(HIDDEN, _first_line(error)))
    if isinstance(error, psycopg.Error):
        return _of_postgres(_first_line(error))
    if isinstance(error, sqlite3.Error | ConnectionError | PoolTimeout):
        return _first_line(error)
    if isinstance(error, SQLAlchemyError | OSError):
        return getattr(error, "strerror", None) or type(error).__name__
    return type(error).__name__


def _of_postgres(line: str) -> str:
    for pattern, instead in ((_QUOTED, f'"{HIDDEN}"'), (_HOST, HIDDEN), (_ADDRESS, "")):
        line = pattern.sub(instead, line)
    return _BYTES.sub(f"0x{HIDDEN}", line)


def _first_line(error: BaseException) -> str:
    """The first line, and the next where that one only announces it. The rest may quote a row."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    announces = lines[0].endswith(":") and len(lines) > 1
    return f"{lines[0]} {lines[1]}" if announces else lines[0]
