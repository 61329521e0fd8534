"""`flask simulate`: a LiveKit server's webhook side, for the demo, for benchmarks and tests."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from models.settings.settings import BadSettings, load
from webhooks.cli.ranges import FiniteRange
from webhooks.simulator.event import Event
from webhooks.simulator.plan import LONGEST_TAIL, Plan, endless_classes, plan_classes
from webhooks.simulator.run import run, run_until_stopped
from webhooks.simulator.sender import (
    NotLoopback,
    Report,
    Target,
)

_LONGEST: Final = 604_800
"""A week in seconds: all of a class's events are made before it begins."""


def _default_url() -> str:
    return f"http://127.0.0.1:{os.environ.get('PORT') or 8000}/webhooks/livekit"


def _configured(name: str) -> Callable[[], str]:
    """An option's default that is that setting, from wherever the receiver has it."""

    def value() -> str:
        try:
            return str(getattr(load(), name))
        except BadSettings as error:
            raise click.UsageError(str(error)) from None

    return value


@click.command("simulate")
@click.option("--rooms", type=click.IntRange(1, 10_000), default=1, show_default=True)
@click.option(
    "--people", type=click.IntRange(1, 3000), default=30, show_default=True, help="A room."
)
@click.option(
    "--seconds", type=FiniteRange(1, _LONGEST), help="How long a class lasts.  [default: 60]"
)
@click.option("--speed", type=FiniteRange(0.01, 1000), default=1.0, help="Times faster.")
@click.option("--seed", type=int, default=1, show_default=True, help="Who comes and goes when.")
@click.option("--flat-out", is_flag=True, help="As fast as the receiver answers.")
@click.option("--forever", is_flag=True, help="Living classes, until SIGINT or SIGTERM.")
@click.option("--room", help="The one room's name.")
@click.option("--room-prefix", default="class", show_default=True, help="PREFIX-001 and so on.")
@click.option("--url", default=_default_url, show_default="this machine's $PORT")
@click.option("--key", default=_configured("livekit_api_key"), show_default="LIVEKIT_API_KEY")
@click.option(
    "--secret",
    default=_configured("livekit_api_secret"),
    show_default="LIVEKIT_API_SECRET",
    help="Everybody on this machine can see it here: better in the environment.",
)
@click.option(
    "--within", type=FiniteRange(0, _LONGEST, min_open=True), help="Stop after these seconds."
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.pass_context
def simulate(
    context: click.Context,
    *,
    rooms: int,
    room: str | None,
    room_prefix: str,
    url: str,
    key: str,
    secret: str,
    forever: bool,
    as_json: bool,
    seconds: float | None,
    within: float | None,
    flat_out: bool,
    people: int,
    seed: int,
    speed: float,
) -> None:
    """Post the webhooks of simulated LiveKit classes to a receiver on this machine.

    The exit status is 0 only when everything was acknowledged. With --forever, what is in flight
    when the signal comes is not held against the receiver.
    """
    if forever and (flat_out or seconds or within):
        raise click.UsageError("--forever has no end or pace: no --seconds, --within, --flat-out.")
    names = _room_names(rooms, room=room, prefix=room_prefix)
    target = _target(url, key=key, secret=secret)
    classes = _Classes(names, people=people, seed=seed, speed=speed)
    if forever:
        work = _live(classes, target)
    else:
        lasting = timedelta(seconds=seconds or 60)
        work = _run_once(classes, target, lasting=lasting, flat_out=flat_out, within=within)
    report = asyncio.run(work)
    _show(report, as_json=as_json)
    context.exit(1 if report.failed or (report.unfinished and not forever) else 0)


@dataclass(frozen=True, slots=True)
class _Classes:
    """What the options say of the classes to simulate."""

    room_names: list[str]
    people: int = field(kw_only=True)
    seed: int = field(kw_only=True)
    speed: float = field(kw_only=True)

    def plan(self, *, lasting: timedelta, flat_out: bool) -> Plan:
        starts_at = datetime.now(UTC)
        if flat_out:
            # All of it is over then: no receiver need believe an event from the future.
            starts_at -= (lasting + LONGEST_TAIL) / self.speed
        return plan_classes(
            self.room_names,
            people=self.people,
            lasting=lasting,
            seed=self.seed,
            starts_at=starts_at,
            speed=self.speed,
        )

    def endless(self) -> Iterator[Event]:
        return endless_classes(
            self.room_names,
            people=self.people,
            seed=self.seed,
            starts_at=datetime.now(UTC),
            speed=self.speed,
        )


async def _run_once(
    classes: _Classes,
    target: Target,
    *,
    lasting: timedelta,
    flat_out: bool,
    within: float | None,
) -> Report:
    return await run(
        classes.plan(lasting=lasting, flat_out=flat_out),
        target=target,
        paced=not flat_out,
        within=timedelta(seconds=within) if within else None,
        stop=_stop_signal(),
    )


async def _live(classes: _Classes, target: Target) -> Report:
    stop = _stop_signal()
    names = ", ".join(classes.room_names[:3]) + (" ..." if len(classes.room_names) > 3 else "")
    click.echo(f"{classes.people} people come and go in {names} until Ctrl-C.", err=True)
    return await run_until_stopped(classes.endless(), target=target, stop=stop)


def _room_names(rooms: int, *, room: str | None, prefix: str) -> list[str]:
    if room is None:
        return [f"{prefix}-{number:03d}" for number in range(1, rooms + 1)]
    if rooms != 1:
        raise click.UsageError("--room names one room: for several, use --room-prefix.")
    if not room:
        raise click.UsageError("--room is empty: a LiveKit room has a name.")
    return [room]


def _target(url: str, *, key: str, secret: str) -> Target:
    if not key or not secret:
        raise click.UsageError("--key and --secret are empty: webhooks are signed with both.")
    try:
        return Target.parse(url, key=key, secret=secret)
    except NotLoopback as error:
        raise click.UsageError(str(error)) from error


def _stop_signal() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set, as often as they like."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _show(report: Report, *, as_json: bool) -> None:
    """Print every number; the ids are for programs that call `run`."""
    numbers = asdict(report)
    del numbers["acknowledged_ids"]
    if as_json:
        click.echo(json.dumps(numbers))
        return
    table = Table("", "simulated webhooks", show_edge=False)
    for name, number in numbers.items():
        text = "-" if number is None else f"{number:,.1f}" if isinstance(number, float) else number
        table.add_row(name.replace("_", " "), str(text))
    table.columns[1].justify = "right"
    Console().print(table)
