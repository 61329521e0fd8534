"""`make fuzz`: so many requests, and then a look at what came of them."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

import click
import psutil

from models.settings.settings import Settings
from models.storage import schema
from tests import servers
from tests.build import KEY, SECRET
from tests.faults import free_port, until
from tests.fuzz import judge
from tests.fuzz.attack import Attack
from tests.fuzz.wire import Closed, Wire
from tests.processes import environment, listens, running
from webhooks.app import create_app
from webhooks.door.context import EXTENSION
from worker.process.backend import Backend

VAR = Path(__file__).parents[2] / "var" / "fuzz"
CLIENTS = 4
NONSENSE = 0.01
TURNS = 5
"""Memory is measured after each; in the first one caches and pools fill."""

MOST_GROWTH = 1.10
SPARE_BYTES = 8 * 1024 * 1024
SHOWN = 20


@dataclass(slots=True)
class Run:
    """What came of the requests so far."""

    statuses: Counter[int] = field(default_factory=Counter)
    closed: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.statuses.total() + self.closed


@click.command()
@click.option("--requests", default=100_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(*, requests: int, seed: int) -> None:
    """Exit status 1 for any answer of 500 or more, growth, or a row or a log line too many."""
    began = monotonic()
    wrong = fuzz(requests, seed)
    click.echo(f"seed {seed}: {monotonic() - began:.0f} s; wrong: {len(wrong) or 'nothing'}")
    for line in wrong[:SHOWN]:
        click.echo(f"  WRONG {line}")
    sys.exit(1 if wrong else 0)


def fuzz(requests: int, seed: int) -> list[str]:
    """What is wrong after so many requests to processes of their own."""
    shutil.rmtree(VAR, ignore_errors=True)
    VAR.mkdir(parents=True)
    with ExitStack() as until_over:
        settings = Settings(
            livekit_api_key=KEY,
            livekit_api_secret=SECRET,
            database_url=until_over.enter_context(servers.postgres("fuzz")),
            redis_url=until_over.enter_context(servers.valkey()),
            port=free_port(),
            _env_file=None,
        )
        schema.upgrade(settings.database_url)
        app = create_app(settings)
        backend: Backend = app.extensions[EXTENSION].backend
        until_over.callback(backend.close)
        env = environment(settings, VAR, PORT=str(settings.port), LOG_LEVEL="debug")
        logs = {name: (VAR / f"{name}.log") for name in ("webhooks", "worker")}
        processes = {
            name: until_over.enter_context(running(name, env, log=path))
            for name, path in logs.items()
        }
        until(lambda: listens(settings.port))
        attacks = [Attack(app, f"{seed}-{number}") for number in range(CLIENTS)]
        web = psutil.Process(processes["webhooks"].pid)
        run, memory = Run(), []
        for turn in range(1, TURNS + 1):
            total = requests * turn // TURNS
            asyncio.run(_attack(settings.port, attacks, run, total, f"{seed}-{turn}"))
            memory.append(_memory(web))
        wrong = run.wrong + _after(backend, attacks, logs.values())
    told = " → ".join(str(one >> 20) for one in memory)
    if memory[-1] > memory[0] * MOST_GROWTH + SPARE_BYTES:
        wrong.append(f"memory grew: {told} MiB")
    click.echo(
        f"{run.requests} requests, {dict(sorted(run.statuses.items()))}, {run.closed} closed; "
        f"memory {told} MiB"
    )
    return wrong


async def _attack(port: int, attacks: Sequence[Attack], run: Run, total: int, seed: str) -> None:
    await asyncio.gather(
        *(_client(port, one, run, total, Random(f"{seed}-{n}")) for n, one in enumerate(attacks))
    )


async def _client(port: int, attack: Attack, run: Run, total: int, dice: Random) -> None:
    """Requests, each after the answer to the last, until all clients together have sent so many."""
    wire = Wire(port, dice)
    while run.requests < total:
        if dice.random() < NONSENSE:
            await wire.ask_nonsense()
            run.closed += 1
            continue
        request = attack.next()
        try:
            answer = await wire.ask(request)
        except Closed:
            run.closed += 1
            continue
        except TimeoutError:
            run.wrong.append(f"no answer: {request.method} {request.target[:200]!r}")
            continue
        run.statuses[answer.status] += 1
        if answer.status == 201:
            attack.learn(answer.body)
        if answer.status >= 500:
            run.wrong.append(f"{answer.status} {answer.body!r}: {request}"[:2000])
    wire.close()


def _after(backend: Backend, attacks: Sequence[Attack], logs: Iterable[Path]) -> list[str]:
    until(lambda: judge.is_settled(backend))
    click.echo(f"rows: {judge.counted(backend)}")
    told = "".join(path.read_text(errors="replace") for path in logs)
    allowed = [one.allowed for one in attacks]
    return [*judge.wrong_rows(backend, allowed), *judge.told_too_much(told)]


def _memory(web: psutil.Process) -> int:
    family = [web, *web.children(recursive=True)]
    return sum(one.memory_info().rss for one in family)


if __name__ == "__main__":
    main()
