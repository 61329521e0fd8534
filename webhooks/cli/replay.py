"""`flask events replay`: what failed, or any other part of the ledger, applied once more."""

from __future__ import annotations

import sys
from typing import Any

import click

from models.ledger import replay as replays
from models.ledger.filters import Cursor
from models.storage import db
from webhooks.cli import terminal
from webhooks.cli.events import events
from webhooks.cli.ranges import FiniteRange
from webhooks.cli.terminal import INTERRUPTED, many
from webhooks.door.context import present, unhurried
from webhooks.schemas.event_bodies import Replay
from worker.operations import pacing
from worker.operations import replay as replaying
from worker.operations.replay import Progress, Stalled


@events.command()
@click.argument("event_ids", nargs=-1)
@terminal.event_filters
@click.option("--limit", type=click.IntRange(1, terminal.MOST), help="At most so many.")
@click.option(
    "--rate", type=FiniteRange(0, terminal.MOST, min_open=True), help="At most so many a second."
)
@terminal.dry_run
@terminal.as_json
def replay(
    *, limit: int | None, rate: float | None, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Have events applied again; without any filter, those that failed.

    They go back to be taken by the workers, oldest first, a little ahead of them. To apply what
    was applied changes nothing. Ctrl-C stops it; run it again to go on.
    """
    asked = terminal.asked(Replay, options)
    with db.reading(unhurried().engine) as conn:
        matched = replays.count(conn, asked.filters, after=asked.place, limit=limit)
    progress, status = Progress(at=asked.place), 0
    if not dry_run:
        progress, status = _run(asked, matched, limit=limit, rate=rate)
    if as_json:
        terminal.show_json(_as_json(progress, matched))
    else:
        _tell(progress, matched, dry_run=dry_run)
    if asked.event_ids and matched < len(set(asked.event_ids)):
        click.echo("Not all of these events are there and can be replayed.", err=True)
        status = status or 1
    sys.exit(status)


def _run(
    asked: Replay, matched: int, *, limit: int | None, rate: float | None
) -> tuple[Progress, int]:
    """Replay, with a bar; how far it came, and the exit status."""
    progress = Progress(at=asked.place)
    steps = replaying.replay(
        unhurried(), asked.filters, after=asked.place, limit=limit, rate=rate, now=present()
    )
    try:
        with terminal.ctrl_c() as stop, terminal.bar("Replaying", length=matched) as shown:
            for progress in steps:
                shown.update(progress.applied + progress.failed - shown.pos)
                if stop.is_set():
                    break
    except Stalled as error:
        click.echo(str(error), err=True)
        return progress, 1
    if stop.is_set():
        click.echo(f"Stopped. {_how_to_go_on(asked, progress.at)}", err=True)
        return progress, INTERRUPTED
    if progress.waiting:
        click.echo(_why_they_wait(), err=True)
    return progress, 1 if progress.failed else 0


def _why_they_wait() -> str:
    if pacing.workers_alive(unhurried()) is None:
        return "Redis does not answer: they wait until it does."
    return "No worker is running: they wait until one does."


def _how_to_go_on(asked: Replay, at: Cursor | None) -> str:
    """To put back the same few events twice changes nothing, and their ids are at hand already."""
    if at is None or asked.event_ids or asked.filters.status == "failed":
        return "Run it again to go on."
    return f"Run it again with --after {at} to go on."


def _as_json(progress: Progress, matched: int) -> dict[str, Any]:
    return {
        "matched": matched,
        "requeued": progress.put_back,
        "rung": progress.put_back,
        "applied": progress.applied,
        "failed": progress.failed,
        "waiting": progress.waiting,
        "next": str(progress.at) if progress.at is not None else None,
        "peak_memory_mib": terminal.peak_memory(),
    }


def _tell(progress: Progress, matched: int, *, dry_run: bool) -> None:
    if dry_run:
        click.echo(f"{many(matched, 'event')} would be replayed.")
        return
    click.echo(
        f"{progress.put_back:,} of {many(matched, 'event')} went back: "
        f"{progress.applied:,} applied, {progress.failed:,} failed again, "
        f"{progress.waiting:,} wait. Peak memory {terminal.peak_memory()} MiB."
    )
