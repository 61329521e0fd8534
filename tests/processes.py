"""The Procfile's processes, for real: started on a test's own servers, and stopped by the test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from models.settings.settings import Settings
from worker.process import metrics_dir


def environment(settings: Settings, directory: Path, **more: str) -> dict[str, str]:
    """What a process needs to work on the test's servers."""
    return os.environ | {
        "LIVEKIT_API_KEY": settings.livekit_api_key,
        "LIVEKIT_API_SECRET": settings.livekit_api_secret,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        metrics_dir.VARIABLE: str(directory / "metrics"),
        **more,
    }


@contextmanager
def running(
    module: str, env: Mapping[str, str], *, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module`, terminated at the end if it still runs; what it says goes to `log`."""
    with ExitStack() as stack:
        said = stack.enter_context(log.open("ab")) if log else None
        process = subprocess.Popen([sys.executable, "-m", module], env=env, stderr=said)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections on that port of this machine's address."""
    try:
        socket.create_connection((host, port)).close()
    except OSError:
        return False
    return True


def answers(port: int, path: str = "/healthz") -> bool:
    """Whether a server on that port of 127.0.0.1 answers that path with 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (HTTPException, OSError):
        return False
    finally:
        connection.close()
