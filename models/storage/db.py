"""The database: the engine, its two ways to open a transaction, and the types of columns.

SQLite is the embedded default, PostgreSQL is production; what differs between them stands here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Index,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    func,
    select,
    text,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.types import TypeDecorator

from models.storage import postgres
from models.storage.breaker import Breaker
from models.storage.write_queue import WriteQueue

metadata = MetaData()

OUTAGES = (OperationalError, InterfaceError, PoolTimeout)
"""What the database raises when it is down, hung or out of reach."""

Key = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by code point everywhere, as Python sorts it: ties are broken by ids."""

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
RowId = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime to the microsecond; SQLite keeps it naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """None on PostgreSQL: its driver's instants are as they should be."""
        return super().result_processor(dialect, coltype) if dialect.name == "sqlite" else None

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.replace(tzinfo=UTC)


def partial(name: str, *columns: str) -> Index:
    """An index of the rows in which its last column says something: few."""
    says = text(f"{columns[-1]} IS NOT NULL")
    return Index(name, *columns, postgresql_where=says, sqlite_where=says)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection to read on: on PostgreSQL each statement sees the latest commit."""
    with _connect(engine) as conn:
        yield conn


@contextmanager
def snapshot(engine: Engine, *, timeout: float) -> Iterator[Connection]:
    """A transaction that reads: all its statements see the same moment, however long it takes.

    A round trip may take `timeout` seconds where the engine allows less: PostgreSQL sorts before
    it sends the first row of many.
    """
    with _connect(engine) as conn:
        if is_sqlite(conn):
            timed: AbstractContextManager[None] = nullcontext()
        else:
            conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            timed = postgres.longer_timeout(conn.connection.driver_connection, timeout)
        with timed, conn.begin():
            yield conn


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: committed at the end, rolled back by an exception.

    On SQLite it begins IMMEDIATE, so that it waits for other writers at once rather than fail
    when it first writes; those of this process stand in a queue, since SQLite only looks now and
    then whether it may, and many threads would keep one of them waiting for ever.
    """
    queue: WriteQueue | None = engine.get_execution_options().get("write_queue")
    with queue.held() if queue else nullcontext(), _connect(engine) as conn:
        if is_sqlite(conn):
            conn.execution_options(writes=True)
        else:
            conn.execution_options(isolation_level="READ COMMITTED")
        with conn.begin():
            limit_lock_waits(conn)
            yield conn


@contextmanager
def inserting(engine: Engine) -> Iterator[Connection]:
    """A transaction of one statement: on PostgreSQL it commits itself, in one round trip.

    Raises OperationalError when the statement is not committed after it: a pooler may begin a
    transaction by itself, and never commit it.
    """
    if engine.dialect.name == "sqlite":
        with writing(engine) as conn:
            yield conn
        return
    with _connect(engine) as conn:
        yield conn
        if not postgres.is_idle(conn.connection.driver_connection):
            conn.invalidate()
            uncommitted = ConnectionError("the connection is still in a transaction")
            raise OperationalError("commit", None, uncommitted)


def insert(conn: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """The dialect's INSERT, which knows ON CONFLICT."""
    return sqlite.insert(table) if is_sqlite(conn) else postgresql.insert(table)


def has_item(conn: Connection, column: Column[Any], value: str) -> ColumnElement[bool]:
    """Whether the JSON array in the column has this text in it."""
    if not is_sqlite(conn):
        return type_coerce(column, JSONB).contains([value])
    each = func.json_each(column).table_valued("value")
    return select(each).where(each.c.value == value).exists()


def among(conn: Connection, column: Column[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Whether the column has one of these values.

    On PostgreSQL they are one array: the statement is the same for any number of them, so it is
    compiled and prepared once. (500 parameters took 5 ms to compile and to parse.)
    """
    wanted = list(values)
    return (
        column.in_(wanted) if is_sqlite(conn) else column == any_(cast(wanted, ARRAY(column.type)))
    )


def among_bound(column: Column[Any], name: str, *, on_sqlite: bool) -> ColumnElement[bool]:
    """The same, of values that are bound by this name when the statement is executed."""
    if on_sqlite:
        return column.in_(bindparam(name, expanding=True))
    values = bindparam(name, type_=ARRAY(column.type))
    return column == any_(cast(values, ARRAY(column.type)))


def is_sqlite(conn: Connection) -> bool:
    return conn.dialect.name == "sqlite"


def lock(conn: Connection, words: Iterable[str], *, shared: bool = False) -> None:
    """Hold these words until the transaction ends, always in the same order.

    `shared`: others may hold them shared too. On SQLite the one writer holds everything.
    """
    keys = sorted({_lock_key(word) for word in words})
    if is_sqlite(conn) or not keys:
        return
    conn.execute(_lock(shared), {"keys": keys})


def limit_lock_waits(conn: Connection) -> None:
    """Wait for no lock for longer than the engine allows, in this transaction alone: in the options
    of a connection, poolers refuse it."""
    options = conn.get_execution_options()
    milliseconds = options.get("lock_timeout_ms")
    if milliseconds is not None and options.get("isolation_level") != "AUTOCOMMIT":
        conn.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")


def set_locally(conn: Connection, settings: Mapping[str, str]) -> None:
    """Change PostgreSQL's settings until the transaction ends."""
    if not is_sqlite(conn):
        conn.execute(_set_locally(tuple(settings.items())))


@cache
def _lock(shared: bool) -> Select[Any]:
    """Built once: each batch asks."""
    held = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
    keys = bindparam("keys", type_=ARRAY(BigInteger))
    return select(held(func.unnest(cast(keys, ARRAY(BigInteger))).column_valued("key")))


@cache
def _set_locally(settings: tuple[tuple[str, str], ...]) -> Select[Any]:
    return select(*(func.set_config(name, value, True) for name, value in settings))


def _lock_key(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], signed=True)


def _connect(engine: Engine) -> Connection:
    """A connection, or OperationalError at once while the database is known to be down."""
    breaker: Breaker | None = engine.get_execution_options().get("breaker")
    if breaker is not None and breaker.is_open:
        raise OperationalError("connect", None, ConnectionError(breaker.reason))
    return engine.connect()
