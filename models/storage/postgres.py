"""PostgreSQL's driver with a timeout: a server that accepts and never answers is a failure.

The server's own `statement_timeout` does not help when the server is what hangs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import RawCursor, RawServerCursor
from psycopg.pq import TransactionStatus

LEAST_SECONDS = 2
"""What psycopg takes any shorter limit for."""


class TimedConnection(psycopg.Connection[Any]):
    """A connection on which each round trip has `timeout` seconds; after them it is closed."""

    timeout: float | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cursor_factory, self.server_cursor_factory = RawCursor, RawServerCursor

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's, through which every operation goes, but never without a timeout."""
        try:
            return super().wait(gen, interval, self.timeout if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # still unanswered: nobody can use it again
            raise


def is_idle(connection: Any) -> bool:
    """Whether the server said, with its last answer, that no transaction is open."""
    status: TransactionStatus = connection.pgconn.transaction_status
    return status == TransactionStatus.IDLE


@contextmanager
def longer_timeout(connection: Any, timeout: float) -> Iterator[None]:
    """Let each round trip on this connection take `timeout` seconds at least, for a while."""
    usual = connection.timeout
    connection.timeout = max(usual, timeout)
    try:
        yield
    finally:
        connection.timeout = usual


def connect(*args: Any, timeout: float, **kwargs: Any) -> TimedConnection:
    """A connection made within `timeout` seconds, or psycopg.OperationalError.

    psycopg itself waits for two at least, so it connects in a thread, which nobody waits for
    longer; one that is made too late is closed at once.
    """
    made: Future[TimedConnection] = Future()
    # psycopg's own limit is 130 s: so many of these threads would wait for a host that is away.
    kwargs = {"connect_timeout": max(LEAST_SECONDS, math.ceil(timeout))} | kwargs
    thread = threading.Thread(target=_connect_into, args=(made, args, kwargs), daemon=True)
    try:
        thread.start()
        connection = made.result(timeout)
    except RuntimeError as error:  # the system has no thread left
        raise psycopg.OperationalError(str(error)) from error
    except Late:
        made.add_done_callback(_close_late)
        raise psycopg.OperationalError(f"no connection within {timeout} s") from None
    connection.timeout = timeout
    return connection


def _connect_into(made: Future[TimedConnection], args: Any, kwargs: Any) -> None:
    try:
        made.set_result(TimedConnection.connect(*args, **kwargs))
    except psycopg.Error as error:
        made.set_exception(error)


def _close_late(made: Future[TimedConnection]) -> None:
    if made.exception() is None:
        made.result().close()
