"""A proxy on this machine that does to connections what networks do: cut them, or forget them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

CHUNK = 65_536


@dataclass(eq=False, slots=True)
class _Pair:
    """A client's connection and the one that it stands for."""

    ends: tuple[socket.socket, socket.socket]
    forgotten: bool = False

    def carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if not self.forgotten:
                    target.sendall(data)
        self.close()

    def close(self) -> None:
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass(slots=True)
class Proxy:
    """Made by `proxy`."""

    port: int
    _pairs: list[_Pair] = field(default_factory=list)

    def cut(self) -> None:
        """Close every connection, as a server does that restarts."""
        for pair in self._pairs:
            pair.close()
        self._pairs.clear()

    def forget(self) -> None:
        """Carry nothing any more on the connections that are open, as a firewall that has not seen
        them for long. New ones work."""
        for pair in self._pairs:
            pair.forgotten = True

    def stand_between(self, client: socket.socket, server: socket.socket) -> None:
        pair = _Pair((client, server))
        self._pairs.append(pair)
        for ends in (pair.ends, pair.ends[::-1]):
            Thread(target=pair.carry, args=ends, daemon=True).start()


@contextmanager
def proxy(connect: Callable[[], socket.socket]) -> Iterator[Proxy]:
    """A proxy to whatever `connect` connects to; its port is on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Proxy(listener.getsockname()[1])
        Thread(target=_accept, args=(listener, made, connect), daemon=True).start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            made.cut()


def _accept(listener: socket.socket, made: Proxy, connect: Callable[[], socket.socket]) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            made.stand_between(client, connect())
