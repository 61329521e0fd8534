"""Whose fault an error of the database is: its own state's, or that of the rows it was given.

The drivers sort errors by kind, and so a read-only server, a pooler that lost a prepared statement
and a mistake in a query share a class. What counts here is the SQLSTATE. An engine raises all that
is the database's fault as an OperationalError: see `translated`.
"""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)

UNTRANSLATABLE = "22P05"
"""The encoding of the database has no such character: another database would take the row."""

TOO_MUCH = "54"
"""Class: an index entry, a row or a statement is larger than PostgreSQL can take."""

STATE_CLASSES = frozenset(
    {
        "08",  # connection
        "0A",  # a plan that a migration made impossible
        "25",  # read-only, or a transaction that a pooler left open
        "26",  # a prepared statement that is gone
        "28",  # authorization
        "3D",  # no such database
        "3F",  # no such schema
        "53",  # disk, memory or connections are used up
        "55",  # a lock, or the server's state
        "57",  # shutdown, cancelled
        "58",  # the server's files
        "F0",  # the server's configuration
        "XX",  # internal, corrupted
    }
)
STATES = frozenset(
    {
        "42501",  # no privilege
        "42P01",  # no such table: not migrated
        "42P05",  # a prepared statement of that name is there: a pooler's other client made it
    }
)
LOST_STATEMENTS = frozenset({"26000", "42P05", "0A000"})
"""What this connection has prepared is not what the server has: only a new connection helps."""


def translated(driver_error: BaseException) -> type[DBAPIError] | None:
    """The class of SQLAlchemy's that an error of the driver belongs to, where it has another."""
    if type(driver_error) is sqlite3.DatabaseError:  # a file that is damaged, or is no database
        return OperationalError
    code = sqlstate(driver_error)
    if code is None:
        return None
    if code.startswith(TOO_MUCH):
        return DataError
    return OperationalError if code[:2] in STATE_CLASSES or code in STATES else None


def sqlstate(error: BaseException | None) -> str | None:
    """PostgreSQL's code of a driver's error, or of SQLAlchemy's that wraps it."""
    if isinstance(error, DBAPIError):
        error = error.orig
    return error.sqlstate if isinstance(error, psycopg.Error) else None


def is_about_rows(error: SQLAlchemyError) -> bool:
    """Whether rows are the reason: the same statement with other rows might succeed."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError) or _cannot_be_sent(error)
    return isinstance(error, StatementError)  # a value that can't be made a parameter


def refuses_row(error: SQLAlchemyError) -> bool:
    """Whether a row that was stored alone is at fault: no database would ever take it."""
    return is_about_rows(error) and sqlstate(error) != UNTRANSLATABLE


def _cannot_be_sent(error: DBAPIError) -> bool:
    return isinstance(error.orig, sqlite3.ProgrammingError | sqlite3.InterfaceError | OverflowError)
