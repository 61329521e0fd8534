"""`flask events verify` and `flask sessions rebuild`: the tables beside the ledger, and mended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import click

from models.ledger import retention
from models.repair.difference import Comparison, Difference
from models.storage import db
from models.tables import session
from webhooks.cli import terminal
from webhooks.cli.events import events
from webhooks.cli.sessions import sessions
from webhooks.cli.terminal import INTERRUPTED, many
from webhooks.door.context import present, unhurried
from webhooks.schemas.fields import instant
from worker.operations import rebuild as rebuilding
from worker.operations.rebuild import Find

Step = Callable[[Find], Comparison]


@dataclass(slots=True)
class Seen:
    """What a run found: `left` are the extents with something of which no event tells, `unreadable`
    the events that can't be mended."""

    checked: int = 0
    unverifiable: int = 0
    unrecorded: int = 0
    unreadable: int = 0
    differences: list[Difference] = field(default_factory=list)
    left: list[Find] = field(default_factory=list)
    stopped: bool = False

    def add(self, find: Find, found: Comparison) -> None:
        self.checked += found.checked
        self.unverifiable += len(found.kept)
        self.differences += found.differences
        self.unreadable += found.unreadable
        if found.unrecorded:
            self.unrecorded += found.unrecorded
            self.left.append(find)


@events.command()
@click.option("--session", "session_id", help="Only this session.")
@terminal.as_json
def verify(*, session_id: str | None, as_json: bool) -> None:
    """Compare rooms, visits and corrections with what the ledger tells; name each difference."""
    seen = _walk(session_id, lambda find: rebuilding.verified(unhurried(), find), quiet=as_json)
    if as_json:
        terminal.show_json(_as_json(seen))
    else:
        click.echo(f"{_rows(seen.checked)} compared.")
        _tell_unverifiable(seen, "unverifiable")
    if seen.stopped:
        click.echo("Stopped before the end.", err=True)
    sys.exit(INTERRUPTED if seen.stopped else 1 if seen.differences else 0)


@sessions.command()
@click.option("--session", "session_id", help="Only this session.")
@click.option("--all", "everything", is_flag=True, help="Every session.")
@terminal.dry_run
@click.option("--yes", is_flag=True, help="Remove what no event tells of, without asking.")
@terminal.as_json
def rebuild(
    *, session_id: str | None, everything: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Derive rooms, visits and corrections anew from the ledger, where they differ from it.

    What began before the ledger was pruned stays as it is.
    """
    if everything == bool(session_id):
        raise click.UsageError("Say which session with --session, or --all.")

    def mend(find: Find) -> Comparison:
        return rebuilding.rebuilt(unhurried(), find, remove=yes, now=present())

    def look(find: Find) -> Comparison:
        return rebuilding.verified(unhurried(), find)

    seen = _walk(session_id, look if dry_run else mend, quiet=as_json)
    left = 0 if yes else _remove_left(seen, ask=not dry_run and not seen.stopped)
    left += seen.unreadable
    if as_json:
        terminal.show_json(_as_json(seen) | {"left": left})
    else:
        what = "would be mended" if dry_run else "mended"
        mended = many(len(seen.differences) - left, "difference")
        click.echo(f"{_rows(seen.checked)} derived, ", nl=False)
        click.echo(f"{mended} {what}.")
        _tell_unverifiable(seen, "they can't be derived any more, and stay as they are")
        if seen.unreadable:
            click.echo(f"{many(seen.unreadable, 'event')} can't be read any more.", err=True)
    if seen.stopped:
        rest = "" if dry_run else " What was mended stays mended."
        click.echo(f"Stopped before the end.{rest}", err=True)
    refused = session_id is not None and seen.unverifiable > 0
    sys.exit(INTERRUPTED if seen.stopped else 1 if left or refused else 0)


def _walk(session_id: str | None, step: Step, *, quiet: bool) -> Seen:
    """Take the step for one session or for all; each difference is printed as it is found."""
    if session_id is not None:
        _check_known(session_id)
    seen = Seen()
    try:
        extents = rebuilding.extents(unhurried(), session_id)
        with terminal.bar("Comparing", length=len(extents)) as shown:
            for find in extents:
                found = step(find)
                seen.add(find, found)
                shown.update(1)
                for difference in () if quiet else found.differences:
                    click.echo(terminal.printable(str(difference)))
    except KeyboardInterrupt:
        seen.stopped = True
    return seen


def _check_known(session_id: str) -> None:
    with db.reading(unhurried().engine) as conn:
        if session.find(conn, session_id) is None:
            raise click.UsageError(f"No session has the id {session_id}.")


def _remove_left(seen: Seen, *, ask: bool) -> int:
    """Remove what no event tells of when somebody says so; how much is left."""
    if not seen.unrecorded:
        return 0
    what = _rows(seen.unrecorded)
    if not ask or not sys.stdin.isatty():
        click.echo(f"{what} of which no event tells stay: --yes removes them.", err=True)
        return seen.unrecorded
    left = seen.unrecorded
    try:
        if click.confirm(f"Remove {what} of which no event tells?", err=True):
            for find in seen.left:
                left -= rebuilding.rebuilt(unhurried(), find, remove=True, now=present()).unrecorded
            left = 0
    except (click.Abort, KeyboardInterrupt):  # what was mended before is still to be printed
        seen.stopped = True
    return max(left, 0)


def _tell_unverifiable(seen: Seen, what: str) -> None:
    if not seen.unverifiable:
        return
    with db.reading(unhurried().engine) as conn:
        since = instant(retention.watermark(conn))
    count = _rows(seen.unverifiable)
    click.echo(f"{count} began before {since}, until when the ledger was pruned: {what}.")


def _rows(count: int) -> str:
    return many(count, "room, visit or correction", "rooms, visits and corrections")


def _as_json(seen: Seen) -> dict[str, Any]:
    return {
        "checked": seen.checked,
        "unverifiable": seen.unverifiable,
        "differences": [_plain(asdict(one)) for one in seen.differences],
        "complete": not seen.stopped,
    }


def _plain(difference: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in difference.items()
    }
