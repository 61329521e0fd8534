"""`flask sessions list`: what is registered, and what was made on the spot."""

from __future__ import annotations

from typing import Any

import click

from models.domain.facts import Session
from models.lookup import session_facts, session_list
from models.storage import db
from models.tables import session
from webhooks.cli import terminal
from webhooks.cli.group import Group
from webhooks.door.context import present, unhurried
from webhooks.schemas import answers
from webhooks.schemas.bodies import PageQuery
from webhooks.schemas.fields import instant

COLUMNS = ("session", "room", "begins", "minutes", "made by")

sessions = Group("sessions", help="Classes and meetings, and their attendance.")


@sessions.command("list")
@click.option("--room-name", help="Of this LiveKit room.")
@click.option("--academy-id", help="Of this academy.")
@click.option("--course-id", help="Of this course.")
@click.option("--label", help="With this among its labels.")
@click.option("--status", type=click.Choice(["upcoming", "running", "over"]), help="Of classes.")
@click.option("--from", "from_", help="Begun at or after, such as 2026-11-23T14:00:00Z.")
@click.option("--to", help="Begun before.")
@click.option("--after", help="Beyond this session's id.")
@click.option("--limit", type=int, default=100, show_default=True, help="How many, at most 1000.")
@terminal.as_json
def index(*, as_json: bool, from_: str | None, **options: Any) -> None:
    """Sessions by id."""
    asked = terminal.asked(PageQuery, options | {"from": from_})
    if asked.since is not None and asked.until is not None and asked.until <= asked.since:
        raise click.UsageError("--to must be later than --from.")
    now = present()
    with db.reading(unhurried().engine) as conn:
        wanted = asked.wanted(now)
        page = session_list.page(conn, wanted, after=asked.after, limit=asked.limit)
        counts = session_list.counts(conn, wanted)
        listed = session_facts.that_own(conn, page, rules=unhurried().rules)
        overlaps = session.overlapping(conn, listed)
    following = page[-1].id if len(page) == asked.limit else None
    if as_json:
        as_put = [answers.session(each, overlaps.get(each.id, []), now) for each in listed]
        terminal.show_json({"sessions": as_put, "counts": counts, "next": following})
        return
    if listed:
        terminal.show_table(COLUMNS, map(_row, listed), copied="session")
    else:
        click.echo("No session matches.", err=True)
    if following:
        click.echo(f"More with --after {terminal.printable(following)}", err=True)


def _row(session: Session) -> tuple[str | None, ...]:
    begins, minutes = instant(session.scheduled_at), str(session.duration_minutes)
    return (session.id, session.room_name, begins, minutes, session.made_by)
