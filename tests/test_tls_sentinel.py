"""Redis behind Sentinel, and TLS with a private authority to all of them: `rediss+sentinel://`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from models.settings.settings import Settings
from tests.doors import Rollcall, ago, on_sqlite, serving
from tests.faults import free_port, until
from tests.processes import environment, listens, running
from tests.test_not_taken import named
from tests.test_redis_users import make_certificate
from tests.test_sentinel import alive

pytestmark = on_sqlite

SERVICE = "rollcall"
TLS = """
port 0
bind 127.0.0.1
tls-port {port}
tls-cert-file {authority}/own.crt
tls-key-file {authority}/own.key
tls-ca-cert-file {authority}/ca.crt
tls-auth-clients no
tls-replication yes
dir {directory}
"""
WATCHING = """
sentinel monitor rollcall 127.0.0.1 {primary} 2
sentinel down-after-milliseconds rollcall 500
sentinel failover-timeout rollcall 5000
"""


class Deployment:
    """A primary, its replica and three Sentinels of Debian's Redis, which speak TLS and no more."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack
        make_certificate(directory)
        self.authority = directory / "ca.crt"
        self.primary, primary = self._start("primary")
        self.replica, _ = self._start("replica", f"replicaof 127.0.0.1 {self.primary}\n")
        self._primary = primary
        watching = WATCHING.format(primary=self.primary)
        self.sentinels = [self._start(f"sentinel-{n}", watching)[0] for n in range(3)]
        until(lambda: all(self._knows(port) for port in self.sentinels))

    def url(self, *, options: str) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"rediss+sentinel://{hosts}/{SERVICE}/0{options}"

    def kill_primary(self) -> None:
        self._primary.kill()
        self._primary.wait(20)

    def connected(self, port: int) -> Redis:
        return Redis(host="127.0.0.1", port=port, ssl=True, ssl_ca_certs=str(self.authority))

    def _start(self, name: str, more: str = "") -> tuple[int, subprocess.Popen[bytes]]:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("A Redis with TLS is not installed: apt install redis-server")
        port, own = free_port(), self._directory / name
        own.mkdir()
        configuration = TLS.format(port=port, authority=self._directory, directory=own) + more
        (own / "redis.conf").write_text(configuration, "utf-8")
        mode = ["--sentinel"] if name.startswith("sentinel") else ["--save", ""]
        command = [program, str(own / "redis.conf"), *mode]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._stack.callback(process.wait, 20)
        self._stack.callback(process.kill)
        until(lambda: listens(port))
        return port, process

    def _knows(self, port: int) -> bool:
        with self.connected(port) as redis, suppress(RedisError):
            [state] = redis.sentinel_masters().values()
            return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
        return False


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with ExitStack() as stack:
        yield Deployment(tmp_path_factory.mktemp("tls"), stack)


def check(rollcall: Rollcall) -> Any:
    """What is found of Redis."""
    ready: Any = rollcall.client.get("/readyz").json
    return ready["checks"]["redis"]


def test_of_an_authority_that_nobody_knows_it_says_so(
    settings: Settings, deployment: Deployment
) -> None:
    with serving(settings.model_copy(update={"redis_url": deployment.url(options="")})) as rollcall:
        assert not check(rollcall)["well"]
        assert "a Sentinel does not answer (ConnectionError)" in check(rollcall)["seen"]


def test_events_are_applied_before_and_after_a_failover(
    settings: Settings, deployment: Deployment, tmp_path: Path
) -> None:
    url = deployment.url(options=f"?ssl_ca_certs={deployment.authority}")
    settings = settings.model_copy(update={"redis_url": url})
    env = environment(settings, tmp_path, LOG_LEVEL="error")
    with ExitStack() as stack:
        for module in ("worker", "worker.schedule"):
            stack.enter_context(running(module, env))
        rollcall = stack.enter_context(serving(settings))
        until(lambda: alive(rollcall.backend.redis) == (1, 1))
        assert rollcall.send(named(1, at=ago())) == [204]
        until(lambda: [row["status"] for row in rollcall.ledger()] == ["applied"])
        assert check(rollcall)["well"]
        deployment.kill_primary()
        until(lambda: check(rollcall)["well"])
        with deployment.connected(deployment.replica) as leader:
            assert leader.info("replication")["role"] == "master"
        until(lambda: alive(rollcall.backend.redis) == (1, 1))
        assert rollcall.send(named(2, at=ago())) == [204]
        until(lambda: {row["status"] for row in rollcall.ledger()} == {"applied"})
        assert len(rollcall.ledger()) == 2
