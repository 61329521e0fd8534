"""The wire: requests as bytes on connections of our own, since no library would send them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from tests.fuzz.attack import Request

ANSWER_SECONDS = 20


class Closed(Exception):
    """The server closed the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


class Wire:
    """One connection, opened again whenever it is closed."""

    def __init__(self, port: int, dice: Random) -> None:
        self._port, self._dice = port, dice
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request) -> Answer:
        """Raises Closed, and TimeoutError when nothing comes."""
        reader, writer = await self._open()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._send(writer, request)
                return await self._answer(reader, request.method)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Closed from error
        except BaseException:
            self.close()
            raise

    async def ask_nonsense(self) -> None:
        """Bytes that are no request; any answer, or none, will do."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        nonsense = self._dice.choice(
            (
                self._dice.randbytes(self._dice.randrange(1, 400)),
                b"GET / HTTP/9.9\r\n\r\n",
                b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
                b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            )
        )
        try:
            async with asyncio.timeout(2):
                writer.write(nonsense)
                await writer.drain()
                writer.write_eof()
                await reader.read()
        except (ConnectionError, TimeoutError, OSError):
            pass
        finally:
            writer.close()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    async def _send(self, writer: asyncio.StreamWriter, request: Request) -> None:
        lines = [request.method.encode() + b" " + request.target + b" HTTP/1.1", b"Host: rollcall"]
        for name, value in request.headers:
            clean = value.replace("\r", "").replace("\n", "")
            lines.append(f"{name}: {clean}".encode("utf-8", "surrogatepass"))
        body = request.body
        chunked = body is not None and self._dice.random() < 0.1
        if body is not None:
            length = b"Content-Length: %d" % len(body)
            lines.append(b"Transfer-Encoding: chunked" if chunked else length)
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
        if body is not None:
            writer.write(_chunks(body) if chunked else body)
        await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, method: str) -> Answer:
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ")[1])
        headers = {
            name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
        }
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = await _read_chunks(reader)
        else:
            body = await reader.readexactly(int(headers.get("content-length") or 0))
        if headers.get("connection") == "close" or status in (413, 400):
            self.close()  # what is left of our body would be read as the next request
        return Answer(status, body)


def _chunks(body: bytes) -> bytes:
    parts = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
