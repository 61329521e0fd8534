"""Whether a database is one that Rollcall can work on: asked by the release, before it migrates.

What can't work is refused with a sentence, before a class is the first to notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects.postgresql.base import PGIdentifierPreparer
from sqlalchemy.exc import DBAPIError

from models.storage import errors, postgres, reasons
from models.storage.db import OUTAGES, is_sqlite, reading
from models.storage.standby import Standby

ENCODINGS = ("UTF8", "SQL_ASCII")
ISO = "ISO"
NO_PRIVILEGE = "42501"
PROBE_SECONDS = 3.0
"""For each of the probe's answers: a pooler with a single connection to give gives none."""


class Unsuitable(Exception):
    """Rollcall can't work on this database; the message says why, and what to do."""


def check(engine: Engine) -> None:
    """Raises Unsuitable."""
    if engine.dialect.name == "sqlite":
        return
    with reading(engine) as conn:
        encoding = server_encoding(conn)
        if encoding not in ENCODINGS:
            raise Unsuitable(_WRONG_ENCODING.format(encoding=encoding))
        if _loses_statements(engine, conn):
            raise Unsuitable(_LOST_STATEMENTS)


def check_standby(standby: Standby) -> None:
    """Raises Unsuitable for what is no standby of that primary, OperationalError for one that is
    away. That it is behind is no reason: it has yet to replay the release."""
    check(standby.engine)
    hindrance = standby.examine(datetime.now(UTC)).hindrance
    if hindrance == "primary":
        raise Unsuitable(_NO_STANDBY)
    if hindrance == "other":
        raise Unsuitable(_OTHER_STANDBY)


def server_encoding(conn: Connection) -> str:
    """SQLite has but one of its own."""
    if is_sqlite(conn):
        return ENCODINGS[0]
    return str(conn.execute(select(func.current_setting("server_encoding"))).scalar_one())


def is_read_only(conn: Connection) -> bool:
    """Whether it takes no writes: a standby, or the default of its transactions."""
    if is_sqlite(conn):
        return False
    shown = func.current_setting("transaction_read_only")
    return bool(conn.execute(select(shown == "on")).scalar_one())


def date_style(conn: Connection) -> str:
    """How the session writes times; the driver reads `ISO` alone. SQLite has but one."""
    if is_sqlite(conn):
        return ISO
    return str(conn.execute(select(func.current_setting("DateStyle"))).scalar_one())


def refusal(engine: Engine, error: DBAPIError) -> str | None:
    """Why the database did not take a migration, and what to do; None for a mistake of ours."""
    if errors.sqlstate(error) == NO_PRIVILEGE:
        return f"{reasons.of(error)}. Have an administrator run: {_grant(engine)}"
    return reasons.of(error) if isinstance(error, OUTAGES) else None


def _grant(engine: Engine) -> str:
    quote = PGIdentifierPreparer(engine.dialect).quote
    with reading(engine) as conn:
        schema, role = conn.execute(select(func.current_schema(), func.current_user())).one()
    return f"GRANT CREATE ON SCHEMA {quote(schema or 'public')} TO {quote(role)};"


def _loses_statements(engine: Engine, conn: Connection) -> bool:
    """Whether what the driver prepared is gone when it comes to another connection of the server.

    A transaction of another client holds the connection that the first one had, if a pooler gave it
    away. Then the first one gets another.
    """
    with reading(engine) as other, _hurried(conn) as mine, _hurried(other) as its:
        if mine.prepare_threshold is None:
            return False  # the driver prepares nothing
        try:
            mine.execute("SELECT 1", prepare=True)
            with its.transaction():
                its.execute("SELECT 1", prepare=False)
                mine.execute("SELECT 1", prepare=True)
        except psycopg.Error as error:
            conn.invalidate()
            return errors.sqlstate(error) in errors.LOST_STATEMENTS
    return False


@contextmanager
def _hurried(conn: Connection) -> Iterator[postgres.TimedConnection]:
    driver: Any = conn.connection.driver_connection
    usual, driver.timeout = driver.timeout, PROBE_SECONDS
    try:
        yield driver
    finally:
        driver.timeout = usual


_WRONG_ENCODING = (
    "the database's encoding is {encoding}, which lacks letters of people's names. Make one with"
    " CREATE DATABASE rollcall ENCODING 'UTF8' TEMPLATE template0;"
)
_LOST_STATEMENTS = (
    "it leads to a pooler that gives each transaction another connection and loses prepared"
    " statements. Set PREPARED_STATEMENTS=false, or have the pooler keep them (PgBouncer 1.21 or"
    " newer: max_prepared_statements = 200)."
)
_NO_STANDBY = (
    "it leads to a server that takes writes. Name a standby (of several hosts:"
    " ?target_session_attrs=standby), or unset it."
)
_OTHER_STANDBY = "it leads to a standby of another server than DATABASE_URL's."
