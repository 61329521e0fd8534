"""A Redis client for the path of a request: it gives up early, never retries, and has a breaker.

Redis makes things fast, never right, so nobody waits for it. (redis-py would retry ten times and
wait for seconds.) When it is down, every call raises at once until it is back.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis import Connection, Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisDown
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisLate
from redis.retry import Retry
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from models.storage.breaker import Breaker
from worker.process import redis_client

_TIMEVAL = struct.Struct("ll")


class QuickConnection(Connection):
    """A connection over TCP on which the kernel keeps the timeout.

    An answer costs two system calls then instead of four, and each of them gives up Python's lock,
    which the other threads of a web process want.
    """

    def _connect(self) -> socket.socket:
        timeout = float(self.socket_timeout or 0)
        sock: socket.socket = super()._connect()  # type: ignore[no-untyped-call]  # redis-py's
        timeval = _TIMEVAL.pack(int(timeout), int(timeout % 1 * 1_000_000))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, timeval)
        sock.settimeout(None)
        return sock

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except RedisDown as error:
            if isinstance(error.__context__, BlockingIOError):
                raise RedisLate("Timeout reading from socket") from None
            raise


class ManagedConnection(SentinelManagedConnection, QuickConnection):
    """A connection to the primary that Sentinels name."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        """As other connections do, it closes when no answer came. Otherwise that answer would be
        taken for the next command's."""
        closing = {"disconnect_on_error": True} | options
        return super().read_response(*args, **closing)


class ManagedTlsConnection(SentinelManagedSSLConnection):
    """The same over TLS."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        closing = {"disconnect_on_error": True} | options
        return super().read_response(*args, **closing)


class QuickRedis(Redis):
    """Construct through `connect`. Raises RedisDown at once while its breaker is open.

    A command takes the connection that was used last, and gives it back: it costs a third less than
    through the pool, which counts and times what it lends, and asks the kernel each time whether it
    is still good. There are as many as were ever in use at once. (One for each thread would be lost
    with it, and the web server ends threads that have had nothing to do for 30 s.)
    """

    breaker: Breaker
    _idle: deque[Connection]

    @classmethod
    def connect(cls, url: str, *, timeout: float) -> QuickRedis:
        """A client that gives Redis `timeout` seconds for an answer, and for a connection."""
        client = redis_client.connect(url, cls, **_quickly(url, timeout))
        client._idle = deque()
        probe = redis_client.connect(url, Redis, **_quickly(url, timeout))
        client.breaker = Breaker("redis", lambda: _ask(probe))
        return client

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with _guarded(self.breaker), self._taken() as connection:
            if connection.is_connected:
                try:
                    return self._asked(connection, *args, **options)
                except RedisDown:
                    pass  # Redis closed it since: once more, on a new one
            # A command would connect too, but ask no Sentinel where to.
            connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
            return self._asked(connection, *args, **options)

    @contextmanager
    def _taken(self) -> Iterator[Connection]:
        """A connection that nobody else uses meanwhile. It closes when an answer may still be on
        its way: that would be taken for the next command's."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.connection_pool.get_connection()
        try:
            yield connection
        except ResponseError:
            raise
        except BaseException as error:
            connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py's
            if isinstance(error, RedisLate):
                self._close_idle()
            raise
        finally:
            self._idle.append(connection)

    def _close_idle(self) -> None:
        """What has forgotten one connection, as a firewall does, may have forgotten all of them."""
        taken = list[Connection]()
        with suppress(IndexError):
            while True:
                taken.append(self._idle.pop())
        for connection in taken:
            connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py's
        self._idle.extend(taken)

    def _asked(self, connection: Connection, *args: Any, **options: Any) -> Any:
        connection.send_command(*args)  # type: ignore[no-untyped-call]  # redis-py's
        return self.parse_response(connection, args[0], **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> QuickPipeline:
        pipe = QuickPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.breaker = self.breaker
        return pipe


class QuickPipeline(Pipeline):
    """A pipeline of a QuickRedis."""

    breaker: Breaker

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        with _guarded(self.breaker):
            return super().execute(raise_on_error)


def _ask(probe: Redis) -> None:
    """On a new connection: the one before may be of before an outage."""
    probe.connection_pool.disconnect()
    probe.ping()


@contextmanager
def _guarded(breaker: Breaker) -> Iterator[None]:
    if breaker.is_open:
        raise RedisDown(breaker.reason)
    try:
        yield
    except (RedisDown, RedisLate) as error:
        breaker.trip(error)
        raise


MOST_CONNECTIONS = 1_000
"""More than a web process has threads: WEB_THREADS bounds them. redis-py's own bound is 100."""

CONNECTIONS: dict[str, type[Connection]] = {
    "redis": QuickConnection,
    "redis+sentinel": ManagedConnection,
    "rediss+sentinel": ManagedTlsConnection,
}
"""By the URL's scheme; for the others redis-py's own, over TLS or a Unix socket."""


def _quickly(url: str, timeout: float) -> dict[str, Any]:
    scheme = url.partition("://")[0]
    quick = {"connection_class": CONNECTIONS[scheme]} if scheme in CONNECTIONS else {}
    return quick | {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": MOST_CONNECTIONS,
    }
