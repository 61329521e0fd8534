"""The load: connections that each send their next request as soon as the last was answered.

One epoll loop over requests that are ready as bytes: it shares two cores with what it measures, so
it does as little as a client can. `ceiling` says how much that is.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil, inf
from time import perf_counter, sleep

PATIENCE_SECONDS = 10
"""How long an answer is waited for after the end of a turn."""

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class BenchFailed(Exception):
    """What was to be measured did not do what it is measured for."""


@dataclass(slots=True)
class Load:
    """What a turn came to. Latency is from the request's first byte to the answer's last."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return len(self.latencies_ms)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    def percentile(self, percent: float) -> float:
        return percentile(self.latencies_ms, percent)

    def only(self, status: int) -> Load:
        """Itself, if every answer had this status. Raises BenchFailed."""
        if not self.answered or set(self.statuses) != {status}:
            raise BenchFailed(f"answers were {dict(self.statuses)}, not {status}")
        return self


class _Lane:
    """One connection and the requests that it sends, one in flight."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.port, self.requests = port, requests
        self.sock = _connection(port)
        self.buffer = b""
        self.sent_at = 0.0
        self.last_byte = False
        """Whether the server closes the connection after this answer."""


def drive(
    port: int, lanes: Sequence[Iterator[bytes]], *, seconds: float, rate: float = inf
) -> Load:
    """Send every lane's requests, one in flight a lane, for so long or until there are none left;
    never more than `rate` a second over all.

    Answers that come after the time count with the time that they took.
    """
    load, epoll, waiting = Load(), select.epoll(), {}
    began = perf_counter()
    for requests in lanes:
        lane = _Lane(port, requests)
        if _send(lane):
            waiting[lane.sock.fileno()] = lane
            epoll.register(lane.sock, select.EPOLLIN)
    while waiting:
        ready = epoll.poll(PATIENCE_SECONDS)
        if not ready:
            raise BenchFailed(f"no answer on port {port} for {PATIENCE_SECONDS} s")
        for fileno, _ in ready:
            lane = waiting[fileno]
            if not _receive(lane, load):
                continue
            if rate < inf:
                sleep(max(0.0, began + load.answered / rate - perf_counter()))
            over = perf_counter() - began >= seconds
            if lane.last_byte:
                _reconnect(lane, epoll, waiting)
            if over or not _send(lane):
                del waiting[lane.sock.fileno()]
                lane.sock.close()
    load.seconds = perf_counter() - began
    epoll.close()
    return load


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank: a value that really happened."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def ceiling(request: bytes, *, seconds: float, connections: int) -> float:
    """Answers a second from a server that does nothing: what this client can ask for at most."""
    with _fixed_answers() as port:
        lanes = [iter(lambda: request, b"") for _ in range(connections)]
        return drive(port, lanes, seconds=seconds).only(204).rate


def _connection(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def _reconnect(lane: _Lane, epoll: select.epoll, waiting: dict[int, _Lane]) -> None:
    del waiting[lane.sock.fileno()]
    lane.sock.close()
    lane.sock = _connection(lane.port)
    waiting[lane.sock.fileno()] = lane
    epoll.register(lane.sock, select.EPOLLIN)


def _send(lane: _Lane) -> bool:
    request = next(lane.requests, None)
    if request is None:
        return False
    lane.sent_at = perf_counter()
    lane.sock.send(request)  # a few kilobytes into an empty buffer: never partial
    return True


def _receive(lane: _Lane, load: Load) -> bool:
    """Whether the answer is complete; then it is counted."""
    told = lane.sock.recv(65536)
    if not told:
        raise BenchFailed(f"port {lane.port} closed a connection within an answer")
    lane.buffer += told
    head, found, body = lane.buffer.partition(b"\r\n\r\n")
    if not found or len(body) < _length(head):
        return False
    load.latencies_ms.append((perf_counter() - lane.sent_at) * 1000)
    load.statuses[int(head[9:12])] += 1
    lane.last_byte = b"onnection: close" in head
    lane.buffer = b""
    return True


def _length(head: bytes) -> int:
    name = b"content-length: "
    at = head.lower().find(name)
    return int(head[at + len(name) :].partition(b"\r\n")[0]) if at >= 0 else 0


@contextmanager
def _fixed_answers() -> Iterator[int]:
    """A process that answers whatever comes; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        port: int = listening.getsockname()[1]
        process = multiprocessing.get_context("fork").Process(target=_answer, args=[listening])
        process.start()
        try:
            yield port
        finally:
            process.terminate()
            process.join()


def _answer(listening: socket.socket) -> None:
    epoll, connections = select.epoll(), {}
    epoll.register(listening, select.EPOLLIN)
    while True:
        for fileno, _ in epoll.poll():
            if fileno == listening.fileno():
                sock, _ = listening.accept()
                connections[sock.fileno()] = sock
                epoll.register(sock, select.EPOLLIN)
            elif connections[fileno].recv(65536):
                connections[fileno].send(ANSWER)
            else:
                connections.pop(fileno).close()
