"""Processes under measure: the Procfile's own lines and others, each on a port of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tests.bench.load import BenchFailed
from tests.build import KEY, SECRET
from tests.faults import free_port
from tests.processes import answers

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "var" / "bench"
START_SECONDS = 30
STOP_SECONDS = 15


def procfile(line: str, root: Path = ROOT) -> list[str]:
    """The command of that line, in the checkout at `root`."""
    for told in (root / "Procfile").read_text().splitlines():
        name, _, command = told.partition(": ")
        if name == line:
            return shlex.split(command)
    raise BenchFailed(f"the Procfile has no line {line}")


@contextmanager
def serving(
    command: list[str],
    environment: dict[str, str],
    *,
    name: str,
    path: str = "/healthz",
    root: Path = ROOT,
    venv: Path = ROOT / ".venv",
) -> Iterator[int]:
    """A server of a checkout on a port of its own, once it answers."""
    port = free_port()
    with running(
        command, environment | {"PORT": str(port)}, name=name, root=root, venv=venv
    ) as process:
        until(lambda: answers(port, path), process, name)
        yield port


@contextmanager
def running(
    command: list[str],
    environment: dict[str, str],
    *,
    name: str,
    root: Path = ROOT,
    venv: Path = ROOT / ".venv",
) -> Iterator[subprocess.Popen[bytes]]:
    """A process from a checkout's root, as the Procfile's runner starts it; its log in var/."""
    ours = {
        "LIVEKIT_API_KEY": KEY,
        "LIVEKIT_API_SECRET": SECRET,
        "PROMETHEUS_MULTIPROC_DIR": str(LOGS / "metrics"),
    }
    path = f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
    everything = os.environ | ours | environment | {"PATH": path}
    with (logs() / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, env=everything, stdout=log, stderr=log)
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


def logs() -> Path:
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS
