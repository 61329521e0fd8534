"""A door in front of the receiver: closed, it refuses connections as a stopped process does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from threading import Thread
from typing import Any, Self


class Door:
    """A TCP proxy from a port of its own to another on this machine, on a thread of its own."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self._to_port = to_port
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._inside: set[asyncio.StreamWriter] = set()
        self.open()

    def open(self) -> None:
        self._run(self._open())

    def close(self) -> None:
        """Refuse new connections, and cut those that are open, as the end of a process does."""
        self._run(self._close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        self._server = None
        for writer in self._inside:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._entered(writer):
            there = await asyncio.open_connection("127.0.0.1", self._to_port)
            async with self._entered(there[1]):
                await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

    @contextlib.asynccontextmanager
    async def _entered(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        self._inside.add(writer)
        try:
            yield
        except OSError:
            pass  # cut off, at either end
        finally:
            self._inside.discard(writer)
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
