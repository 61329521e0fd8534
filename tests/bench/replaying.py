"""An incident is replayed: 344,202 failed events, one worker, Ctrl-C half way, a second run.

RQ's own requeue is known to crash on that many. `python -m tests.bench.replaying` runs it alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from time import perf_counter, sleep
from typing import Any

from models.storage import db
from models.tables import webhook_event
from tests.bench import incident, report
from tests.bench.load import BenchFailed
from tests.bench.process import ROOT
from tests.bench.stack import Stack, stack
from tests.bench.turns import Figure, Goal
from tests.build import KEY, SECRET

COUNT = 344_202
FEW = 2_000
"""A replay so small that its memory is what the command takes by itself."""

MINUTES = 4
COMMAND = [
    sys.executable,
    "-m",
    "flask",
    "--app",
    "webhooks.cli.commands",
    "events",
    "replay",
    "--json",
]


def replaying(*, rounds: int) -> list[Figure]:
    """It takes minutes, so it is measured once, whatever `rounds` says."""
    with stack("postgresql") as under:
        small, _ = _replayed(under, FEW, half_way=False)
        whole, seconds = _replayed(under, COUNT, half_way=True)
    figure = Figure(
        f"{COUNT:,} failed events replayed by one worker, stopped half way and run again",
        "seconds",
        {"both runs": [seconds]},
        notes={
            "events/s": COUNT / seconds,
            "peak memory of the command, MiB": whole,
            f"peak memory for {FEW:,} events, MiB": small,
        },
    )
    figure.goals.append(Goal(f"< {MINUTES} minutes", seconds, 60 * MINUTES, most=True))
    figure.goals.append(Goal("memory as for a small one", whole / small, 1.1, most=True))
    return [figure]


def _replayed(under: Stack, count: int, *, half_way: bool) -> tuple[float, float]:
    """The command's peak memory in MiB, and the seconds that it took, both runs of it."""
    under.empty()
    incident.fill(under.engine, count=count, failed=1_000)
    with under.worker():
        began = perf_counter()
        said = [_stopped(under, count // 2)] if half_way else []
        said.append(_said(_command(under)))
        seconds = perf_counter() - began
    if _failed(under) or said[-1]["waiting"]:
        raise BenchFailed(f"not all of {count:,} events were applied: {said}")
    return max(one["peak_memory_mib"] for one in said), seconds


def _stopped(under: Stack, enough: int) -> dict[str, Any]:
    """What a replay says that somebody stops when so many are left."""
    process = _command(under)
    while _failed(under) > enough:
        if process.poll() is not None:
            raise BenchFailed("the replay ended before it was half way")
        sleep(0.5)
    process.send_signal(signal.SIGINT)
    return _said(process, status=130)


def _command(under: Stack) -> subprocess.Popen[str]:
    ours = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
    return subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=os.environ | ours | under.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _said(process: subprocess.Popen[str], *, status: int = 0) -> dict[str, Any]:
    output, errors = process.communicate()
    if process.returncode != status:
        raise BenchFailed(f"the replay ended with {process.returncode}: {errors}")
    said: dict[str, Any] = json.loads(output)
    return said


def _failed(under: Stack) -> int:
    with db.reading(under.engine) as conn:
        return webhook_event.failed(conn)


if __name__ == "__main__":
    report.show(replaying(rounds=1))
