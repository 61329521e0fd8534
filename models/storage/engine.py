"""Engines: how SQLite and PostgreSQL are connected to, and for how long anybody waits for them."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from models.settings.urls import parse_database
from models.storage import errors, postgres
from models.storage.breaker import Breaker
from models.storage.write_queue import WriteQueue

SESSION = {"PGDATESTYLE": "ISO, MDY", "PGTZ": "UTC"}
"""How each session begins, whatever the server, the database or the role say. libpq sends these
variables as parameters that every PgBouncer keeps for each client; it refuses the same in `options`
unless it is told not to. JSON's times and a driver's are read in this form only."""

ALIVE = {
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""For libpq. A connection over a network says each minute that it is still there, or a firewall may
forget it; what is not acknowledged within a minute (here in milliseconds) is given up, by whoever
waits longer for an answer. The system's own defaults are two hours, and fifteen minutes."""

LOCK_SHARE = 0.8
"""Of the limit of a round trip: whoever waits for another's lock in a transaction that writes is
told so before the limit makes an outage of it."""

BUSY_SECONDS = 5.0
"""How long a SQLite writer waits for another at most: contention is no outage."""


def make_engine(
    url: str,
    *,
    pool_size: int = 8,
    timeout: float = 30.0,
    prepared_statements: bool = True,
    name: str = "database",
) -> Engine:
    """An engine for `DATABASE_URL`, or for another one's `name` in the logs; opened lazily.

    `timeout`: seconds for a connection, for each round trip, and for a place in the pool. Its
    breaker lets an outage of PostgreSQL cost one slow answer (`db` asks it); SQLite is never far.
    """
    parsed = parse_database(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, min(timeout, BUSY_SECONDS))
    prepares = prepared_statements
    return _postgresql(parsed, pool_size, timeout, prepared_statements=prepares, name=name)


def _postgresql(
    url: URL, pool_size: int, timeout: float, *, prepared_statements: bool, name: str
) -> Engine:
    os.environ |= SESSION
    args = _connect_args(url, prepared_statements=prepared_statements)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        pool_use_lifo=True,  # what was used last has its plans and caches at hand
        max_overflow=2,
        pool_timeout=timeout,
        # Most transactions are one statement. To ask for autocommit on each connection taken from
        # the pool, and to take it back, costs 100 us; `db.writing` asks for a transaction.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        hide_parameters=True,  # errors are logged and stored; names and user ids are not
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        # PostgreSQL's own placeholders, which the driver need not look for: in each statement of
        # more than 4,096 characters it would do so anew.
        paramstyle="numeric_dollar",
        use_native_hstore=False,  # it would ask each database, by other placeholders
        connect_args=args,
    )
    breaker = Breaker(name, lambda: _ask(engine, args, timeout))
    lock_timeout_ms = int(timeout * 1000 * LOCK_SHARE)
    engine.update_execution_options(breaker=breaker, lock_timeout_ms=lock_timeout_ms)
    _watch(engine, breaker, timeout)
    _translate_errors(engine)
    return engine


def _watch(engine: Engine, breaker: Breaker, timeout: float) -> None:
    """Connect within the limit, trip the breaker when the database is lost, and use no connection
    that was closed."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: Any, kwargs: Any) -> Any:
        try:
            return postgres.connect(*args, timeout=timeout, **kwargs)
        except psycopg.OperationalError as error:
            breaker.trip(error)
            raise

    @event.listens_for(engine, "handle_error")
    def trip(context: ExceptionContext) -> None:
        if context.is_disconnect:
            breaker.trip(context.original_exception)
        elif errors.sqlstate(context.original_exception) in errors.LOST_STATEMENTS:
            # Only this connection is of no use any more: it is closed, and the pool stays.
            context.is_disconnect, context.invalidate_pool_on_disconnect = True, False

    event.listen(engine, "checkout", _refuse_closed)


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection that waited in the pool has nothing to read, unless the server, a pooler or a
    restart has closed it: then the others are closed too, and a new one is made. 5 us."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        raise InvalidatePoolError("closed while nobody used it")


def _translate_errors(engine: Engine) -> None:
    """Raise as an OperationalError whatever is the database's fault: see `errors`."""

    @event.listens_for(engine, "handle_error", retval=True)
    def translate(context: ExceptionContext) -> DBAPIError | None:
        kind = errors.translated(context.original_exception)
        if kind is None or isinstance(context.sqlalchemy_exception, kind):
            return None
        return kind(
            context.statement,
            None,
            context.original_exception,
            hide_parameters=True,
            connection_invalidated=context.is_disconnect,
        )


def _connect_args(url: URL, *, prepared_statements: bool) -> dict[str, Any]:
    """The driver prepares what is executed for the sixth time, or nothing. What the URL says of
    keeping connections alive is kept to."""
    alive = {name: seconds for name, seconds in ALIVE.items() if name not in url.query}
    return (
        {"client_encoding": "utf8"}
        | alive
        | ({} if prepared_statements else {"prepare_threshold": None})
    )


def _ask(engine: Engine, connect_args: Mapping[str, Any], timeout: float) -> None:
    """On a new connection: the pool's may all be of before an outage."""
    args, kwargs = engine.dialect.create_connect_args(engine.url)
    with postgres.connect(*args, timeout=timeout, **kwargs, **connect_args) as connection:
        connection.execute("SELECT 1")


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _sqlite(url: URL, busy_seconds: float) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        connect_args={"timeout": busy_seconds},
    )
    engine.update_execution_options(write_queue=WriteQueue(busy_seconds))
    _translate_errors(engine)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # ours to begin, not the driver's
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # acknowledged is on disk

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        options = conn.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":  # a migration that works in batches
            conn.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")

    return engine
