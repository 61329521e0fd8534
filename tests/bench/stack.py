"""The stack under measure: the Procfile's own lines as processes, on databases of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import cast

from redis import Redis
from sqlalchemy import Engine, text

from models import schema
from models.db import metadata, writing
from models.engine import make_engine
from tests import servers
from tests.bench.load import BenchFailed, free_port
from tests.bench.mail import KEY, SECRET, server_token

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "var" / "bench"
START_SECONDS = 30
STOP_SECONDS = 15

FLOORS = [sys.executable, "-m", "tests.bench.floors"]


@dataclass(frozen=True, slots=True)
class Stack:
    """One Rollcall: its database, its Valkey, and whichever of its processes were started."""

    name: str
    database_url: str
    redis_url: str
    engine: Engine = field(repr=False)
    redis: Redis = field(repr=False)

    @contextmanager
    def web(self) -> Iterator[int]:
        """The web process; its port."""
        with serving(procfile("web"), self.environment, name=f"{self.name}-web") as port:
            yield port

    @contextmanager
    def worker(self, *, workers: int = 1) -> Iterator[None]:
        """The worker process, listening."""
        environment = self.environment | {"WORKERS": str(workers)}
        with running(procfile("worker"), environment, name=f"{self.name}-worker") as process:
            until(lambda: self.redis.scard("rq:workers") == workers, process, "worker")
            yield

    @property
    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}

    def versions(self) -> dict[str, str]:
        """The servers' own versions."""
        with self.engine.connect() as conn:
            info = conn.dialect.server_version_info or ()
        told = cast("dict[str, str]", self.redis.info("server"))
        valkey = told.get("valkey_version") or told["redis_version"]
        return {self.name: ".".join(map(str, info)), "valkey": valkey}

    def empty(self) -> None:
        """No rows, no keys but those of RQ's workers."""
        tables = [table.name for table in metadata.sorted_tables]
        with writing(self.engine) as conn:
            if self.engine.dialect.name == "sqlite":
                for name in tables:
                    conn.execute(text(f"DELETE FROM {name}"))  # noqa: S608  (our own names)
            else:
                conn.execute(text(f"TRUNCATE {', '.join(tables)}"))
        stale = list(self.redis.scan_iter("rc:*"))
        self.redis.delete("rollcall:bell", *stale)


@contextmanager
def stack(dialect: str) -> Iterator[Stack]:
    """A migrated, empty Rollcall on that dialect's database and a Valkey of its own."""
    with ExitStack() as resources:
        redis_url = resources.enter_context(servers.valkey())
        if dialect == "sqlite":
            folder = resources.enter_context(tempfile.TemporaryDirectory(dir=_logs()))
            url = f"sqlite:///{folder}/rollcall.db"
        else:
            url = resources.enter_context(servers.postgres("bench"))
        schema.upgrade(url)
        engine, redis = make_engine(url), Redis.from_url(redis_url)
        resources.callback(engine.dispose)
        resources.callback(redis.close)
        yield Stack(dialect, url, redis_url, engine, redis)


@contextmanager
def floors(redis_url: str) -> Iterator[int]:
    """The floors' server; its port."""
    environment = {"DATABASE_URL": "sqlite://", "REDIS_URL": redis_url}
    with serving(FLOORS, environment, name="floors", path="/bare") as port:
        yield port


def register(port: int, session_ids: Iterable[str]) -> None:
    """Register a session for each room, its id the room's name: the usual case."""
    for session_id in session_ids:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        headers = {"Authorization": f"Bearer {server_token()}"}
        connection.request("PUT", f"/api/sessions/{session_id}", body=b"{}", headers=headers)
        if connection.getresponse().status not in (200, 201):
            raise BenchFailed(f"session {session_id} was not registered")
        connection.close()


def procfile(line: str) -> list[str]:
    """The command of that line."""
    for told in (ROOT / "Procfile").read_text().splitlines():
        name, _, command = told.partition(": ")
        if name == line:
            return shlex.split(command)
    raise BenchFailed(f"the Procfile has no line {line}")


@contextmanager
def serving(
    command: list[str], environment: dict[str, str], *, name: str, path: str = "/healthz"
) -> Iterator[int]:
    """A server on a port of its own, once it answers."""
    port = free_port()
    with running(command, environment | {"PORT": str(port)}, name=name) as process:
        until(lambda: _answers(port, path), process, name)
        yield port


@contextmanager
def running(
    command: list[str], environment: dict[str, str], *, name: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process from the repository's root, as the Procfile's runner starts it; its log in var/."""
    ours = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    everything = os.environ | ours | environment | {"PATH": path}
    with (_logs() / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=everything, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(
    holds: Callable[[], bool], process: subprocess.Popen[bytes], name: str, *, every: float = 0.05
) -> None:
    """Wait until it holds. Raises BenchFailed when the process ends, or after START_SECONDS."""
    deadline = monotonic() + START_SECONDS
    while not holds():
        if process.poll() is not None or monotonic() > deadline:
            raise BenchFailed(f"{name} did not start; see {LOGS / name}.log")
        sleep(every)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (HTTPException, OSError):
        return False
    finally:
        connection.close()


def _logs() -> Path:
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS
