"""Engines: how SQLite and PostgreSQL are connected to, and for how long anybody waits for them."""

from __future__ import annotations

from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from models.storage import errors, postgres
from models.storage.breaker import Breaker
from models.storage.write_queue import WriteQueue

LOCK_SHARE = 0.8
BUSY_SECONDS = 5.0
"""How long a SQLite writer waits for another at most: contention is no outage."""


def make_engine(url: str, *, pool_size: int = 8, limit: float = 30.0) -> Engine:
    """An engine for `DATABASE_URL`, opened lazily.

    `limit`: seconds for a connection, for each round trip, and for a place in the pool. Its breaker
    lets an outage of PostgreSQL cost one slow answer (`db` asks it); SQLite is never far away.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, min(limit, BUSY_SECONDS))
    return _postgresql(parsed, pool_size, limit)


def _postgresql(url: URL, pool_size: int, limit: float) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=limit,
        # Most transactions are one statement. To ask for autocommit on each connection taken from
        # the pool, and to take it back, costs 100 us; `db.writing` asks for a transaction.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        hide_parameters=True,  # errors are logged and stored; names and user ids are not
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        connect_args={"options": _options(url, limit), "client_encoding": "utf8"},
    )
    breaker = Breaker("database", lambda: _ask(engine), failure=SQLAlchemyError)
    engine.update_execution_options(breaker=breaker)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: Any, kwargs: Any) -> Any:
        try:
            return postgres.connect(*args, limit=limit, **kwargs)
        except psycopg.OperationalError:
            breaker.trip()
            raise

    @event.listens_for(engine, "handle_error")
    def trip(context: ExceptionContext) -> None:
        if context.is_disconnect:
            breaker.trip()
        elif errors.sqlstate(context.original_exception) in errors.LOST_STATEMENTS:
            # Only this connection is of no use any more: it is closed, and the pool stays.
            context.is_disconnect, context.invalidate_pool_on_disconnect = True, False

    _translate_errors(engine)
    return engine


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


def _options(url: URL, limit: float) -> str:
    """The URL's own, such as a search_path, and ours, which win: whoever waits for another's lock
    is told so before `limit` makes an outage of it."""
    own = " ".join(url.normalized_query.get("options", ()))
    return f"{own} -c timezone=UTC -c lock_timeout={int(limit * 1000 * LOCK_SHARE)}".strip()


def _ask(engine: Engine) -> None:
    with engine.connect() as conn:
        conn.detach()  # closed after this: the pool may be gone by then
        conn.execute(select(1))


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
    engine.update_execution_options(turn=WriteQueue(busy_seconds))
    _translate_errors(engine)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # ours to begin, not the driver's
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # acknowledged is on disk

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        writes = conn.get_execution_options().get("writes")
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
