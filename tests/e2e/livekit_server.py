"""A livekit-server on free ports of this machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.build import KEY, SECRET
from tests.faults import free_port, until
from tests.processes import answers

MANUAL = Path(__file__).parents[2] / "docs" / "operating.md"
STOP_SECONDS = 20


class LiveKit:
    """A server on ports of its own, that can crash and come back."""

    def __init__(
        self, binary: Path, data: Path, *, webhooks_to: int, redis: str | None = None
    ) -> None:
        """It posts its webhooks to that port; what it says goes to livekit.log in `data`.

        With the URL of a Redis it keeps its rooms there, and goes on with them when it comes back.
        """
        self._port, tcp_port, udp_port = (free_port() for _ in range(3))
        self._binary, self._config, self._log = binary, data / "livekit.yaml", data / "livekit.log"
        self._config.write_text(
            CONFIG.format(port=self._port, tcp_port=tcp_port, udp_port=udp_port)
            + _documented(webhooks_to=webhooks_to)
            + ("" if redis is None else _redis_settings(redis))
        )
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            server = subprocess.Popen(
                [self._binary, "--config", self._config], stdout=log, stderr=log
            )
        self._server = server
        until(lambda: server.poll() is not None or answers(self._port, "/"))
        assert server.poll() is None, self._log.read_text()

    def kill(self) -> None:
        """kill -9: nobody is told anything."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def stop(self) -> None:
        assert self._server is not None
        # The first signal waits for rooms to empty.
        self._server.terminate()
        self._server.terminate()
        try:
            self._server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def running(binary: Path, data: Path, *, webhooks_to: int) -> Iterator[LiveKit]:
    """A started server."""
    livekit = LiveKit(binary, data, webhooks_to=webhooks_to)
    livekit.start()
    try:
        yield livekit
    finally:
        livekit.stop()


CONFIG = f"""
port: {{port}}
bind_addresses: ["127.0.0.1"]
rtc:
  tcp_port: {{tcp_port}}
  udp_port: {{udp_port}}
  use_external_ip: false
  node_ip: 127.0.0.1
  enable_loopback_candidate: true
keys:
  {KEY}: {SECRET}
room:
  empty_timeout: 300
  departure_timeout: 3
development: true
"""


def _documented(*, webhooks_to: int) -> str:
    """The blocks that docs/operating.md tells people to write, with our key and address in them."""
    manual = MANUAL.read_text()
    blocks = re.findall(r"```yaml\n# livekit.yaml[^\n]*\n(.*?)```", manual, re.DOTALL)
    assert len(blocks) == 2
    written = "".join(blocks)
    for theirs, ours in (
        ("your-key", KEY),
        ("your-rollcall-host:8000", f"127.0.0.1:{webhooks_to}"),
    ):
        assert theirs in written
        written = written.replace(theirs, ours)
    return written


def _redis_settings(url: str) -> str:
    """LiveKit's own words for the Redis of this URL."""
    parts = urlsplit(url)
    password = f"  password: {parts.password}\n" if parts.password else ""
    return f"redis:\n  address: {parts.hostname}:{parts.port}\n{password}"
