"""The stack under measure: the Procfile's own lines as processes, on databases of their own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import cast

from redis import Redis
from sqlalchemy import Engine, text

from models.storage import schema
from models.storage.db import metadata, writing
from models.storage.engine import make_engine
from tests import servers
from tests.bench.load import BenchFailed
from tests.bench.mail import server_token
from tests.bench.peer.tables import Base
from tests.bench.peer.tables import engine as peer_engine
from tests.bench.process import logs, procfile, running, serving, until
from tests.faults import free_port
from tests.processes import answers
from worker.inbox import workers

FLOORS = [sys.executable, "-m", "tests.bench.floors"]
PEER = ["gunicorn", "--workers", "2", "tests.bench.peer.app:create_app()", "--bind"]
PEER_WORKER = ["rq", "worker", "--worker-class", "rq.worker.SimpleWorker", "--quiet"]


@dataclass(frozen=True, slots=True)
class Stack:
    """One Rollcall: its database, its Valkey, and whichever of its processes were started."""

    name: str
    database_url: str
    redis_url: str
    engine: Engine = field(repr=False)
    redis: Redis = field(repr=False)

    @contextmanager
    def web(self, **settings: str) -> Iterator[int]:
        """The web process, with these variables in its environment; its port."""
        environment = self.environment | settings
        with serving(procfile("web"), environment, name=f"{self.name}-web") as port:
            yield port

    @contextmanager
    def worker(self, *, workers: int = 1) -> Iterator[None]:
        """The worker process, listening."""
        environment = self.environment | {"WORKERS": str(workers)}
        with running(procfile("worker"), environment, name=f"{self.name}-worker") as process:
            until(lambda: self.redis.scard("rq:workers") == workers, process, "worker")
            yield

    @contextmanager
    def scheduler(self, **settings: str) -> Iterator[None]:
        """The scheduler process, with these variables in its environment, once it schedules."""
        environment = self.environment | settings
        with running(procfile("scheduler"), environment, name=f"{self.name}-scheduler") as process:
            until(lambda: workers.schedulers(self.redis) > 0, process, "scheduler")
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
def stack(dialect: str, *, name: str = "bench") -> Iterator[Stack]:
    """A migrated, empty Rollcall on that dialect's database and a Valkey of its own."""
    with ExitStack() as resources:
        redis_url = resources.enter_context(servers.valkey())
        if dialect == "sqlite":
            folder = resources.enter_context(tempfile.TemporaryDirectory(dir=logs()))
            url = f"sqlite:///{folder}/rollcall.db"
        else:
            url = resources.enter_context(servers.postgres(name))
        schema.upgrade(url)
        engine, redis = make_engine(url), Redis.from_url(redis_url)
        resources.callback(engine.dispose)
        resources.callback(redis.close)
        yield Stack(dialect, url, redis_url, engine, redis)


@contextmanager
def peer(database_url: str, redis_url: str, **settings: str) -> Iterator[int]:
    """The peer's web server; its port."""
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, **settings}
    made = peer_engine(database_url)
    Base.metadata.create_all(made)
    made.dispose()
    port = free_port()
    with running([*PEER, f"127.0.0.1:{port}"], environment, name="peer-web") as process:
        until(lambda: answers(port, "/alive"), process, "peer-web")
        yield port


@contextmanager
def peer_worker(under: Stack) -> Iterator[None]:
    """The peer's RQ worker on the same servers, listening."""
    command = [*PEER_WORKER, "--url", under.redis_url, "peer"]
    with running(command, under.environment, name="peer-worker") as process:
        until(lambda: under.redis.scard("rq:workers:peer") == 1, process, "peer-worker")
        yield


@contextmanager
def floors(redis_url: str) -> Iterator[int]:
    """The floors' server; its port."""
    with serving(FLOORS, {"REDIS_URL": redis_url}, name="floors", path="/bare") as port:
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
