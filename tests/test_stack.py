"""The whole stack on one machine, as `make demo` and `make run` start it: it lives, and it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from honcho.printer import Message

from models.settings.settings import Settings
from tests.build import KEY, SECRET
from tests.faults import free_port, until
from tests.processes import listens
from tests.stack import PATIENCE_SECONDS, ROOT, started
from webhooks.__main__ import STOP_SECONDS
from webhooks.stack.processes import Terminal

KEYS = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}


def test_the_demo_is_a_living_class_and_ends_without_a_trace(tmp_path: Path) -> None:
    port = free_port()
    with started("--simulate", data=tmp_path / "demo", PORT=str(port)) as stack:
        found = stack.says(r"http://127\.0\.0\.1:(\d+)/sessions/([\w-]+)#token=(\S+)")
        assert found[1] == str(port)
        until(lambda: _present(port, found[2], found[3]) >= 2, seconds=PATIENCE_SECONDS)
        assert not listens(port, "127.0.0.2"), "it listens for this machine alone"
        assert len(stack.alive()) >= 6  # the stack, its Valkey, and the four that it looks after
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(PATIENCE_SECONDS) == 0
        until(lambda: not stack.alive())


def test_a_second_stack_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with started(data=tmp_path, PORT=str(free_port()), **KEYS) as first:
        first.says("Rollcall starts")
        with started(data=tmp_path, PORT=str(free_port()), **KEYS) as second:
            assert second.process.wait(PATIENCE_SECONDS) == 1
            second.says("runs on the data in .* already")


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Rollcall starts", signal.SIGINT),
        ("release started", signal.SIGHUP),
        ("web started", signal.SIGINT),
    ],
)
def test_an_interrupted_start_leaves_nobody(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    with started(data=tmp_path, PORT=str(free_port()), **KEYS) as stack:
        stack.says(moment)
        # As a terminal does it: to every process of the group at once.
        os.killpg(stack.process.pid, number)
        assert stack.process.wait(PATIENCE_SECONDS) == 0
        until(lambda: not stack.alive())


def test_a_process_that_dies_takes_the_stack_with_it(tmp_path: Path) -> None:
    with started(data=tmp_path, PORT=str(free_port()), **KEYS) as stack:
        worker = stack.says(r"worker started \(pid=(\d+)\)")
        os.kill(int(worker[1]), signal.SIGKILL)
        assert stack.process.wait(PATIENCE_SECONDS) not in (0, None)
        until(lambda: not stack.alive())


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("--simulate", data=tmp_path, PORT=str(port)) as stack:
            assert stack.process.wait(PATIENCE_SECONDS) == 1
            stack.says(f"Port {port} can't be listened on")


def test_a_missing_key_is_told(tmp_path: Path) -> None:
    with started(data=tmp_path) as stack:
        assert stack.process.wait(PATIENCE_SECONDS) == 1
        stack.says("LIVEKIT_API_KEY")
        stack.says(r"the file \.env: see \.env\.example")


@pytest.mark.parametrize(("line", "given"), [("LOG_FORMAT=json", ""), ("", "console")])
def test_on_a_terminal_logs_are_for_people_unless_a_dotenv_file_says_otherwise(
    tmp_path: Path, line: str, given: str
) -> None:
    (tmp_path / "Procfile").write_text('release: true\nweb: echo "given <$LOG_FORMAT>"\n')
    (tmp_path / ".env").write_text(f"{line}\nREDIS_URL=redis://127.0.0.1\n")
    code = f"""
from pathlib import Path
from webhooks.stack import processes as stack
stack.ROOT = Path({str(tmp_path)!r})
stack.main(["--data", "data"])
"""
    assert f"given <{given}>" in _on_a_terminal(code, KEYS | {"PORT": str(free_port())})


def _on_a_terminal(code: str, environment: dict[str, str]) -> str:
    """What that Python says whose output is a terminal."""
    ours, theirs = os.openpty()
    unset = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=kept | environment, cwd=ROOT, stdout=theirs, stderr=theirs):
        os.close(theirs)
        told = b""
        with suppress(OSError):  # once nobody is left who could say more
            while some := os.read(ours, 4096):
                told += some
        os.close(ours)
    return told.decode()


def _present(port: int, session: str, token: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/api/sessions/{session}/attendance", headers=headers)
    told: dict[str, Any] = orjson.loads(connection.getresponse().read())
    connection.close()
    present: int = told["summary"]["present"]
    return present


def test_a_web_process_that_still_starts_can_be_stopped(tmp_path: Path) -> None:
    """Its worker is a fork, which here takes half a second for its first step."""
    slow_fork = "import os, time; os.register_at_fork(after_in_child=lambda: time.sleep(0.5))"
    (tmp_path / "sitecustomize.py").write_text(slow_fork)
    environment = (
        os.environ
        | KEYS
        | {
            "PORT": str(free_port()),
            "DATABASE_URL": f"sqlite:///{tmp_path}/rollcall.db",
            "PYTHONPATH": str(tmp_path),
        }
    )
    process = subprocess.Popen([sys.executable, "-m", "webhooks"], env=environment)
    try:
        until(psutil.Process(process.pid).children, seconds=PATIENCE_SECONDS)
        process.terminate()
        assert process.wait(STOP_SECONDS / 2) == 0  # not only when its worker is given up
    finally:
        process.kill()
        process.wait()


def test_a_signal_that_comes_while_a_line_is_written_stops_the_stack_all_the_same() -> None:
    """Its handler writes a line of its own into the one at hand, which Python refuses."""

    class Writing(StringIO):
        def write(self, _: str) -> int:
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    stopping = Message("line", b"SIGTERM received", datetime.now(UTC), "system", None)
    Terminal(Writing()).write(stopping)
