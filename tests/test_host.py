"""HOST: on which of the machine's addresses the web process listens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.settings.settings import Settings
from tests.doors import on_sqlite, wait_for
from tests.faults import free_port
from tests.processes import environment, listens, running
from webhooks.server.port import PortTaken, check, own_url

ADDRESSES = ("127.0.0.1", "127.0.0.2", "::1")


@on_sqlite
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address")
@pytest.mark.parametrize(
    ("host", "expected"),
    [("", ("127.0.0.1", "127.0.0.2")), ("127.0.0.1", ("127.0.0.1",)), ("::1", ("::1",))],
)
def test_it_listens_where_host_says_and_else_on_all_addresses(
    settings: Settings, tmp_path: Path, host: str, expected: tuple[str, ...]
) -> None:
    port = free_port()
    with running("webhooks", environment(settings, tmp_path, HOST=host, PORT=str(port))):
        wait_for(lambda: listens(port, expected[0]))
        assert tuple(each for each in ADDRESSES if listens(port, each)) == expected


@on_sqlite
def test_an_address_of_another_machine_is_told(settings: Settings, tmp_path: Path) -> None:
    env = environment(settings, tmp_path, HOST="192.0.2.1", PORT=str(free_port()))
    command = [sys.executable, "-m", "webhooks"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (
        1,
        "HOST: 192.0.2.1 is no address of this machine.",
    )
    with pytest.raises(PortTaken, match="no address of this machine"):
        check("192.0.2.1", free_port())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("192.0.2.1", "http://192.0.2.1:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_the_url_for_this_machine_is_one_that_it_reaches(host: str, url: str) -> None:
    assert own_url(host, 8000) == url
