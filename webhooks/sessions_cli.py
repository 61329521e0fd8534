"""`flask sessions list`: what is registered, and what was made on the spot."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models import db, session
from webhooks import answers, terminal
from webhooks.bodies import PageQuery
from webhooks.context import unhurried
from webhooks.group import Group

sessions = Group("sessions", help="Classes and meetings, and their attendance.")


@sessions.command("list")
@click.option("--room-name", help="Of this LiveKit room.")
@click.option("--from", "from_", help="Begun at or after, such as 2026-11-23T14:00:00Z.")
@click.option("--to", help="Begun before.")
@click.option("--after", help="Beyond this session's id.")
@click.option("--limit", type=int, default=100, show_default=True, help="How many, at most 1000.")
@terminal.as_json
def index(*, as_json: bool, from_: str | None, **options: Any) -> None:
    """Sessions by id."""
    asked = terminal.asked(PageQuery, options | {"from": from_})
    with db.reading(unhurried().engine) as conn:
        found = session.page(conn, **asked.model_dump())
    following = found[-1].id if len(found) == asked.limit else None
    if as_json:
        told = [answers.session(one) for one in found]
        terminal.show_json({"sessions": told, "next": following})
        return
    table = Table("session", "room", "begins", "minutes", "made by", box=None, pad_edge=False)
    for one in found:
        begins, minutes = answers.instant(one.scheduled_at) or "-", str(one.duration_minutes)
        names = (escape(terminal.printable(word)) for word in (one.id, one.room_name))
        table.add_row(*names, begins, minutes, one.made_by)
    Console().print(table)
    if following:
        click.echo(f"More with --after {terminal.printable(following)}", err=True)
