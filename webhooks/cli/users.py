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
from worker.operations import erase as erasing
from worker.operations.erase import Erased

UNASKED = (
    "Redis does not answer. Events of theirs that may wait there were not erased, and would bring"
    " them back: run this again when it answers."
)

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
    if as_json:
        terminal.show_json(asdict(done))
    else:
        click.echo(f"{'Would erase' if dry_run else 'Erased'} them from {_said(done)}.")
    if not complete:
        click.echo(UNASKED, err=True)
        sys.exit(1)


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
    return f"{visits}, {events} and {lists}"
