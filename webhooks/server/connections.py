"""The connection reaper: shuts the web process's connections on which nothing comes of anything.

Beside the requests, and without their knowledge: the kernel knows of each connection when data last
came and went. A request that stays unanswered for too long is one that its sender never completed,
for whatever of ours takes long has a limit of its own. An answer of which the reader takes next to
nothing lies in the memory until it is shut. Linux only; elsewhere connections just stay.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import structlog

REQUEST_SECONDS = 60.0
"""From the first byte of a request that we saw to any byte of an answer."""

IDLE_SECONDS = 120.0
"""Without a byte either way. LiveKit's client gives an idle connection up after 90."""

READER_SECONDS, READER_BYTES = 60.0, 480 * 1024
"""Who is sent an answer has to take this much of it in this time, or all that there is. (8 KiB/s.)
"""

EVERY_SECONDS = 5.0
DESCRIPTORS = Path("/proc/self/fd")
ESTABLISHED, CLOSE_WAIT = 1, 8

# struct tcp_info (linux/tcp.h): eight bytes, then words of 32, of 64 and of 32 bits; ages are in
# milliseconds, as coarse as the kernel's clock.
_TCP_INFO = struct.Struct("=8B24I4Q3I")
_UNACKED, _LAST_DATA_SENT, _LAST_DATA_RECEIVED = 8 + 4, 8 + 9, 8 + 11
_BYTES_ACKED, _BYTES_RECEIVED, _NOT_SENT = 8 + 24 + 2, 8 + 24 + 3, 8 + 24 + 4 + 2

log = structlog.get_logger()

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Talk:
    """Seconds since data last came and went; since the beginning where none did."""

    received: float
    sent: float
    only_received: bool
    acked_bytes: int
    unsent: bool
    """Whether the client has yet to take something of what was said."""

    @property
    def asks(self) -> bool:
        """Whether the client said something that nothing was said to since."""
        return self.received < self.sent or self.only_received


class ConnectionReaper:
    """Looks after the connections to one port of this process."""

    def __init__(
        self,
        port: int,
        *,
        request_seconds: float = REQUEST_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        reader_seconds: float = READER_SECONDS,
    ) -> None:
        self._port = port
        self._request_seconds, self._idle_seconds = request_seconds, idle_seconds
        self._reader_seconds = reader_seconds
        self._asking: dict[Peer, float] = {}
        self._reading: dict[Peer, tuple[float, int]] = {}
        self._nothing, self._own = (os.open(os.devnull, os.O_RDONLY) for _ in range(2))

    def start(self, *, every: float = EVERY_SECONDS) -> threading.Event:
        """Reap in a thread, until the process ends or what is returned is set."""
        ended = threading.Event()
        if sys.platform == "linux":
            args, name = (every, ended), "connection-reaper"
            threading.Thread(target=self._run, args=args, name=name, daemon=True).start()
        return ended

    def reap(self) -> int:
        """Shut what has to be; how many connections."""
        asking, self._asking = self._asking, {}
        reading, self._reading = self._reading, {}
        now, shut = monotonic(), 0
        for connection, peer in self._connections():
            talk = _talk(connection)
            if talk is None:
                continue
            if talk.unsent:
                overdue = self._reads_too_slowly(peer, talk, reading.get(peer), now)
            elif talk.asks:
                since = self._asking[peer] = max(asking.get(peer, now), now - talk.sent)
                overdue = now - since >= self._request_seconds
            else:
                overdue = min(talk.received, talk.sent) >= self._idle_seconds
            if overdue:
                shut += self._shut(connection.fileno(), peer)
        return shut

    def _shut(self, descriptor: int, peer: Peer) -> bool:
        """Whether it could be. By a descriptor of our own: the server may close its own at any
        time, and have that number for another connection. Ours is there already, for the case that
        none is left."""
        try:
            os.dup2(descriptor, self._own, inheritable=False)
            with _socket_of(self._own) as connection:
                if is_same := self._peer(connection) == peer:
                    connection.shutdown(socket.SHUT_RDWR)
                return is_same
        except OSError:
            return False  # closed meanwhile
        finally:
            os.dup2(self._nothing, self._own, inheritable=False)

    def unsent(self) -> int:
        """On how many connections the client has yet to take something."""
        talks = (_talk(connection) for connection, _ in self._connections())
        return sum(talk is not None and talk.unsent for talk in talks)

    def _reads_too_slowly(
        self, peer: Peer, talk: Talk, before: tuple[float, int] | None, now: float
    ) -> bool:
        """`before` is since when something was unsent at every look, and what had been acked."""
        since, acked_bytes = before or (now, talk.acked_bytes)
        over = now - since >= self._reader_seconds
        slow = talk.acked_bytes - acked_bytes < READER_BYTES
        self._reading[peer] = (now, talk.acked_bytes) if over else (since, acked_bytes)
        return over and slow

    def _run(self, every: float, ended: threading.Event) -> None:
        while not ended.wait(every):
            try:
                shut = self.reap()
            except Exception:  # it is the only one that makes room for connections
                log.exception("connections.not_looked_at")
                continue
            if shut:
                log.info("connections.shut", count=shut)

    def _connections(self) -> Iterator[tuple[socket.socket, Peer]]:
        """Each connection to our port, by the server's own descriptor, for as long as it is looked
        at: no new one is needed, and what is read of one that the server closes is of no harm."""
        for descriptor in _descriptors():
            with suppress(OSError), _socket_of(descriptor) as connection:
                if (peer := self._peer(connection)) is not None:
                    yield connection, peer

    def _peer(self, connection: socket.socket) -> Peer | None:
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        try:
            if connection.getsockname()[1] != self._port:
                return None
            host, port, *_ = connection.getpeername()
        except OSError:
            return None  # it listens, or is gone
        return host, port


def _descriptors() -> Iterable[int]:
    """Of this process. Where none is left to open their directory, all below the limit are used."""
    try:
        return map(int, os.listdir(DESCRIPTORS))
    except OSError:
        return range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


@contextmanager
def _socket_of(descriptor: int) -> Iterator[socket.socket]:
    """The socket of a descriptor, which stays open. Raises OSError where it is none."""
    connection = socket.socket(fileno=descriptor)
    try:
        yield connection
    finally:
        connection.detach()


def _talk(connection: socket.socket) -> Talk | None:
    """None when it is not open any more."""
    try:
        packed = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        words = _TCP_INFO.unpack(packed)
    except (OSError, struct.error):
        return None
    if words[0] not in (ESTABLISHED, CLOSE_WAIT):  # who closed one half may still read
        return None
    return Talk(
        received=words[_LAST_DATA_RECEIVED] / 1000,
        sent=words[_LAST_DATA_SENT] / 1000,
        # Acknowledging our half of the handshake counts as a byte.
        only_received=words[_BYTES_RECEIVED] > 0 and words[_BYTES_ACKED] <= 1,
        acked_bytes=words[_BYTES_ACKED],
        unsent=words[_UNACKED] > 0 or words[_NOT_SENT] > 0,
    )
