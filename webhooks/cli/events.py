"""`flask events …`: the ledger on a terminal. Filters, JSON and sentences are the API's."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

import click

from models.ledger import entry, retention
from models.ledger.entry import Entry
from models.settings.settings import MAX_RETENTION_DAYS
from models.storage import db
from webhooks.cli import imports, terminal
from webhooks.cli.group import Group
from webhooks.cli.imports import Tally
from webhooks.cli.terminal import INTERRUPTED, many
from webhooks.door.context import present, unhurried
from webhooks.schemas import event_replies
from webhooks.schemas.event_bodies import EventsQuery
from webhooks.schemas.fields import instant
from worker.jobs import prune as pruning

SHOWN = 20
"""Lines of an import that are named one by one."""

COLUMNS = ("received", "status", "event", "room", "user", "session", "id", "error")

events = Group("events", help="The ledger: what came, what became of it, and once more.")


@events.command("list")
@terminal.event_filters
@click.option("--limit", type=int, default=100, show_default=True, help="How many, at most 1000.")
@terminal.as_json
def index(*, as_json: bool, **options: Any) -> None:
    """The events that were received, the newest first."""
    asked = terminal.asked(EventsQuery, options)
    with db.reading(unhurried().engine) as conn:
        found = entry.page(conn, asked.filters, after=asked.place, limit=asked.limit)
    page = event_replies.page(found, limit=asked.limit)
    if as_json:
        terminal.show_json(page)
        return
    if found:
        terminal.show_table(COLUMNS, map(_row, found), copied="id")
    else:
        click.echo("No event matches.", err=True)
    if page["next"]:
        click.echo(f"More with --after {page['next']}", err=True)


@events.command()
@click.argument("event_id")
@terminal.as_json
def show(event_id: str, *, as_json: bool) -> None:
    """One event with its payload, and what it changed."""
    with db.reading(unhurried().engine) as conn:
        found = entry.find(conn, event_id, rules=unhurried().rules)
        if found is None:
            raise click.ClickException(f"The ledger has no event {event_id}.")
        known, payload = found
        changed = entry.changed(conn, known, rules=unhurried().rules)
        detail = event_replies.detail(known, payload, changed)
    if as_json:
        terminal.show_json(detail)
        return
    parts = {name: detail.pop(name) for name in ("payload", "changed")}
    width = max(len(name) for name in detail)
    for name, value in detail.items():
        said = "-" if value is None else terminal.printable(str(value))
        click.echo(f"{name:<{width}}  {said}")
    for name, value in parts.items():
        click.echo(f"\n{name}")
        terminal.show_json(value)


@events.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--trusted", is_flag=True, help="Take lines without a fresh token on your word.")
@terminal.as_json
def import_file(file: IO[bytes], *, trusted: bool, as_json: bool) -> None:
    """Put webhooks from a FILE (- for stdin), one a line, into the inbox.

    A line is a webhook's body, or an object with `headers` and `body`. What is there already is
    not stored twice.
    """
    tally, stopped, broke = Tally(), False, ""
    try:
        with terminal.bar("Importing", length=_size(file)) as shown:
            steps = imports.store(unhurried(), file, tally=tally, trusted=trusted, now=present())
            for read in steps:
                shown.update(read - shown.pos)
    except KeyboardInterrupt:
        stopped = True
    except OSError as error:  # the file's alone: databases have errors of their own
        broke = error.strerror or type(error).__name__
    if as_json:
        terminal.show_json(_as_json(tally))
    else:
        _tell_import(tally)
    if stopped:
        click.echo("Stopped. Import the file again to go on.", err=True)
        sys.exit(INTERRUPTED)
    if broke:
        click.echo(f"The file can't be read on: {broke}. Import it again to go on.", err=True)
    sys.exit(0 if tally.complete and not broke else 1)


@events.command()
@click.option(
    "--days", type=click.IntRange(1, MAX_RETENTION_DAYS), help="Instead of RETENTION_DAYS."
)
@terminal.dry_run
@terminal.yes
@terminal.as_json
def prune(*, days: int | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove events that were applied (or ignored) and are past their retention.

    The scheduler does it every night. What failed or waits is never removed.
    """
    before = pruning.bound(unhurried(), present(), days=days)
    with db.reading(unhurried().engine) as conn:
        count = retention.prunable(conn, before=before)
    removed, stopped = 0, False
    if count and not dry_run:
        what = many(count, "event that was", "events that were")
        terminal.confirm(f"Remove {what} received before {instant(before)}?", sure=yes)
        with terminal.ctrl_c() as stop, terminal.bar("Pruning", length=count) as shown:
            for batch in pruning.batches(unhurried(), before=before):
                removed += batch
                shown.update(batch)
                if stopped := stop.is_set():
                    break
    if as_json:
        terminal.show_json({"before": instant(before), "matched": count, "removed": removed})
    elif dry_run:
        click.echo(f"{many(count, 'event')} would be removed.")
    else:
        click.echo(f"Removed {many(removed, 'event')}.")
    if stopped:
        click.echo("Stopped. Run it again to go on.", err=True)
        sys.exit(INTERRUPTED)


def _row(entry: Entry) -> tuple[str | None, ...]:
    when = (instant(entry.received_at), entry.status, entry.event)
    return (*when, entry.room_name, entry.user_id, entry.session_id, entry.event_id, entry.error)


def _size(file: IO[bytes]) -> int | None:
    """Bytes to read; nobody knows for a pipe."""
    try:
        return os.fstat(file.fileno()).st_size or None
    except OSError:
        return None


def _as_json(tally: Tally) -> dict[str, Any]:
    left_out = {"unreadable": tally.unreadable, "unverified": tally.unverified}
    return {
        "stored": tally.stored,
        "duplicate": tally.duplicate,
        "unused": tally.unused,
        **{
            name: [{"line": number, "reason": reason} for number, reason in lines]
            for name, lines in left_out.items()
        },
    }


def _tell_import(tally: Tally) -> None:
    click.echo(
        f"Stored {many(tally.stored, 'event')}. {tally.duplicate:,} were there already, "
        f"{tally.unused:,} tell nothing about attendance."
    )
    for what, lines in (("unreadable", tally.unreadable), ("not verified", tally.unverified)):
        if lines:
            click.echo(f"{many(len(lines), 'line')} {what}:", err=True)
        for number, reason in lines[:SHOWN]:
            click.echo(f"  line {number}: {terminal.printable(reason)}", err=True)
        if len(lines) > SHOWN:
            rest = ", ".join(str(number) for number, _ in lines[SHOWN:])
            click.echo(f"  and lines {rest}", err=True)
    if tally.unverified:
        click.echo("--trusted takes them on your word.", err=True)
