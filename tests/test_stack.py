"""The whole stack on one machine, as `make demo` and `make run` start it: it lives, and it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from typing import Any
from uuid import uuid4

import orjson
import psutil
import pytest

from models.settings import Settings
from tests.faults import until

ROOT = Path(__file__).parents[1]
MARK = "ROLLCALL_TEST_STACK"
PATIENCE_SECONDS = 60
KEYS = {"LIVEKIT_API_KEY": "devkey", "LIVEKIT_API_SECRET": "devsecret"}


@dataclass(frozen=True, slots=True)
class Stack:
    """A started stack, all of whose processes carry a mark in their environment."""

    process: subprocess.Popen[str]
    lines: Queue[str | None]
    mark: str

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches."""
        heard: list[str] = []
        deadline = monotonic() + PATIENCE_SECONDS
        while monotonic() < deadline:
            try:
                line = self.lines.get(timeout=deadline - monotonic())
            except Empty:
                break
            if line is None:
                break
            heard.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"never said {pattern!r}: {''.join(heard)}")

    def alive(self) -> list[str]:
        """The command lines of its processes."""
        return [" ".join(one.cmdline()) for one in psutil.process_iter() if self._is_ours(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False


@contextmanager
def started(*arguments: str, data: Path, **environment: str) -> Iterator[Stack]:
    """A stack in a process group of its own, as a shell starts one."""
    mark = uuid4().hex
    empty = {field.upper(): "" for field in Settings.model_fields}
    process = subprocess.Popen(
        [sys.executable, "-m", "webhooks.stack", "--data", str(data), *arguments],
        cwd=ROOT,
        env=os.environ | empty | environment | {MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    lines: Queue[str | None] = Queue()
    reading = Thread(target=_read, args=(process, lines))
    reading.start()
    stack = Stack(process, lines, mark)
    try:
        yield stack
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        reading.join()


def test_the_demo_is_a_living_class_and_ends_without_a_trace(tmp_path: Path) -> None:
    port = _free_port()
    with started("--simulate", data=tmp_path / "demo", PORT=str(port)) as stack:
        found = stack.says(r"http://127\.0\.0\.1:(\d+)/sessions/([\w-]+)#token=(\S+)")
        assert found[1] == str(port)
        until(lambda: _present(port, found[2], found[3]) >= 2, seconds=PATIENCE_SECONDS)
        assert len(stack.alive()) >= 6  # the stack, its Valkey, and the four that it looks after
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(PATIENCE_SECONDS) == 0
        until(lambda: not stack.alive())


def test_a_second_stack_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with started(data=tmp_path, PORT=str(_free_port()), **KEYS) as first:
        first.says("Rollcall starts")
        with started(data=tmp_path, PORT=str(_free_port()), **KEYS) as second:
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
    with started(data=tmp_path, PORT=str(_free_port()), **KEYS) as stack:
        stack.says(moment)
        # As a terminal does it: to every process of the group at once.
        os.killpg(stack.process.pid, number)
        assert stack.process.wait(PATIENCE_SECONDS) == 0
        until(lambda: not stack.alive())


def test_a_process_that_dies_takes_the_stack_with_it(tmp_path: Path) -> None:
    with started(data=tmp_path, PORT=str(_free_port()), **KEYS) as stack:
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


def _present(port: int, session: str, token: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/api/sessions/{session}/attendance", headers=headers)
    told: dict[str, Any] = orjson.loads(connection.getresponse().read())
    connection.close()
    present: int = told["summary"]["present"]
    return present


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
        return number


def _read(process: subprocess.Popen[str], lines: Queue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout as told:
        for line in told:
            lines.put(line)
    lines.put(None)
