"""A whole stack in a test, as `make run` starts one: what it says, and what is left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from uuid import uuid4

import psutil

from models.settings.settings import Settings

ROOT = Path(__file__).parents[1]
MARK = "ROLLCALL_TEST_STACK"
PATIENCE_SECONDS = 60


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
    own = {field.upper(): "" for field in Settings.model_fields}
    own |= {"PROMETHEUS_MULTIPROC_DIR": str(data / "metrics")}
    command = [sys.executable, "-m", "webhooks.stack", "--data", str(data), *arguments]
    with running(command, cwd=ROOT, environment=os.environ | own | environment) as stack:
        yield stack


@contextmanager
def running(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
) -> Iterator[Stack]:
    """Whatever starts a stack; it is asked to stop at the end, as all of its group."""
    mark = uuid4().hex
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**environment, MARK: mark},
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
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
        reading.join()


def _read(process: subprocess.Popen[str], lines: Queue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout as told:
        for line in told:
            lines.put(line)
    lines.put(None)
