"""A checkout at work: its processes, on a database and a Valkey of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from redis import Redis

from tests import servers
from tests.bench.checkout import Checkout
from tests.bench.load import BenchFailed
from tests.bench.process import procfile, running, serving

PATIENCE_SECONDS = 120
EVERY_SECONDS = 0.05
PENDING = b"rollcall_events_pending 0.0\n"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A checkout whose database is migrated."""

    checkout: Checkout
    database_url: str
    redis: Redis
    environment: dict[str, str]

    @property
    def name(self) -> str:
        return self.checkout.name

    def command(self, line: str) -> list[str]:
        """The command of that line of its Procfile."""
        return procfile(line, self.checkout.root)

    @contextmanager
    def running(self, command: list[str], **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process with these variables in its environment."""
        root, venv = self.checkout.root, self.checkout.venv
        environment = self.environment | settings
        with running(command, environment, name="deployed", root=root, venv=venv) as process:
            yield process

    @contextmanager
    def serving(self, **settings: str) -> Iterator[int]:
        """Its web process, once it answers; its port."""
        root, venv = self.checkout.root, self.checkout.venv
        command, environment = self.command("web"), self.environment | settings
        with serving(command, environment, name="deployed", root=root, venv=venv) as port:
            yield port


@contextmanager
def deployed(checkout: Checkout, *, prefix: str) -> Iterator[Deployed]:
    """The checkout's servers, and its tables as its own release makes them."""
    name = f"{prefix}_{''.join(filter(str.isalnum, checkout.name))}"
    with ExitStack() as resources:
        redis_url = resources.enter_context(servers.valkey())
        database_url = resources.enter_context(servers.postgres(name))
        redis = resources.enter_context(Redis.from_url(redis_url))
        metrics = resources.enter_context(TemporaryDirectory(prefix="bench-metrics-"))
        environment = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PROMETHEUS_MULTIPROC_DIR": metrics,
        }
        made = Deployed(checkout, database_url, redis, environment)
        with made.running(made.command("release")) as release:
            release.wait(PATIENCE_SECONDS)
        yield made


def until_applied(port: int) -> None:
    """Wait until the web process on that port says that nothing waits to be applied."""
    deadline = perf_counter() + PATIENCE_SECONDS
    while PENDING not in _metrics(port):
        if perf_counter() > deadline:
            raise BenchFailed(f"events were not applied within {PATIENCE_SECONDS} s")
        sleep(EVERY_SECONDS)


def _metrics(port: int) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    answer = connection.getresponse().read()
    connection.close()
    return answer
