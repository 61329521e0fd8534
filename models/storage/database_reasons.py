"""The reason of a database's failure: see `reasons`."""

from __future__ import annotations

import re
import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.storage import errors
from models.storage.reasons import HIDDEN, first_line, shortened

_QUOTED = re.compile(r"""(?<!encoding )("[^"]*"|“[^”]*”|„[^“]*“|»[^«]*«|«[^»]*»)""")
_HOST = re.compile(r"(?<=host: )'[^']*'|(?<=hostaddr: )'[^']*'")
_ADDRESS = re.compile(r" \([0-9a-fA-F.:]+\)")
_BYTES = re.compile(r"0x[0-9a-fA-F]{2}( 0x[0-9a-fA-F]{2})*")


def of(error: BaseException) -> str:
    """What the driver says first, and the SQLSTATE; of other errors the class."""
    driver = error.orig if isinstance(error, DBAPIError) and error.orig else error
    words = shortened(_words(driver), driver)
    code = errors.sqlstate(driver)
    return f"{words} (SQLSTATE {code})" if code else words


def _words(error: BaseException) -> str:
    if isinstance(error, psycopg.Error):
        return _of_postgres(first_line(error))
    if isinstance(error, sqlite3.Error | ConnectionError | PoolTimeout):
        return first_line(error)
    if isinstance(error, SQLAlchemyError | OSError):
        return getattr(error, "strerror", None) or type(error).__name__
    return type(error).__name__


def _of_postgres(line: str) -> str:
    for pattern, instead in ((_QUOTED, f'"{HIDDEN}"'), (_HOST, HIDDEN), (_ADDRESS, "")):
        line = pattern.sub(instead, line)
    return _BYTES.sub(f"0x{HIDDEN}", line)
