"""`flask users erase`: a person is forgotten, everywhere at once."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click
from redis.exceptions import RedisError

from webhooks.cli import terminal
from webhooks.cli.group import Group
from webhooks.cli.terminal import many
from webhooks.door.context import unhurried
from worker.operations import copies
from worker.operations import erase as erasing
from worker.operations.copies import Copy
from worker.operations.erase import Erased

UNASKED = (
    "Redis does not answer. Events of theirs that may wait there were not erased, and would bring"
    " them back: run this again when it answers."
)

AGAIN = "Then run: flask users erase-copies."

LEFT: dict[Copy, str] = {
    "sqlite-file": "SQLite's file could not be rewritten, and may still hold their names: others"
    f" used it all the time, or the disk has no room for a second one. {AGAIN}",
    "redis-append-only-file": "Redis's append-only file could not be rewritten, and may still hold"
    " their names until Redis rewrites it by itself: Redis was busy with it, or its user may not"
    f" ask for it (ACL: +bgrewriteaof). {AGAIN}",
}

users = Group("users", help="People.")


@users.command()
@click.argument("user_id")
@terminal.dry_run
@terminal.yes
@terminal.as_json
def erase(user_id: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Put random pseudonyms into a person's place, one for each session, and forget their names.

    It can't be undone. Sums stay as they are: somebody was there. Events that come later for a
    visit of theirs take its pseudonym too.
    """
    complete = _fetched()
    known = erasing.known(unhurried(), user_id)
    if not any(asdict(known).values()):
        nothing = "Nothing is kept of a person of this id."
        raise click.ClickException(nothing if complete else f"{UNASKED} In the database: {nothing}")
    done = known
    if not dry_run:
        terminal.confirm(f"Erase them from {_said(known)}, for ever?", sure=yes)
        complete = _fetched()  # the question may have stood for long
        done = erasing.erase(unhurried(), user_id)
    left = [] if dry_run else copies.remove(unhurried())
    if as_json:
        terminal.show_json(asdict(done) | {"copies_left": left})
    else:
        click.echo(f"{'Would erase' if dry_run else 'Erased'} them from {_said(done)}.")
    for copy in left:
        click.echo(LEFT[copy], err=True)
    if not complete:
        click.echo(UNASKED, err=True)
        sys.exit(1)


@users.command("erase-copies")
def erase_copies() -> None:
    """Rewrite the files that may still hold names of people who were erased.

    Each erasure does it: SQLite's file, and Redis's append-only file. This does it again, for an
    erasure that could not, or was interrupted.
    """
    left = copies.remove(unhurried())
    for copy in left:
        click.echo(LEFT[copy], err=True)
    if left:
        sys.exit(1)
    click.echo("SQLite's file is rewritten, and Redis rewrites its own, where there are any.")


def _fetched() -> bool:
    """Whether all that may wait in Redis is in the ledger now."""
    try:
        erasing.fetch(unhurried())
    except RedisError:
        return False
    return True


def _said(found: Erased) -> str:
    visits, events = many(found.cycles, "visit"), many(found.events, "event")
    lists = many(found.sessions, "list of expected people", "lists of expected people")
    corrections = many(found.corrections, "correction")
    return f"{visits}, {events}, {corrections} and {lists}"
