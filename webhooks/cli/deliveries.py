"""`flask deliveries …`: webhooks of our own, and those that failed once more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, get_args

import click
from redis.exceptions import RedisError

from models.storage import db
from models.tables import delivery
from models.tables.delivery import Delivery, Status
from webhooks.cli import terminal
from webhooks.cli.group import Group
from webhooks.cli.terminal import many
from webhooks.door.context import present, unhurried
from webhooks.schemas import delivery_replies
from webhooks.schemas.delivery_replies import DeliveriesQuery
from webhooks.schemas.fields import instant
from worker.inbox import bell, own_job

AT_ONCE = 1_000
"""Deliveries that are put back in one transaction."""

NOUN = ("delivery", "deliveries")
NEWER = "The session has a newer version, which has a delivery of its own."

COLUMNS = ("made", "status", "session", "version", "attempts", "next", "id", "receiver", "error")

deliveries = Group("deliveries", help="Webhooks of our own: what was sent of final sessions.")


@deliveries.command("list")
@click.option("--status", type=click.Choice(get_args(Status)), help="Only these.")
@click.option("--session-id", help="Of this session.")
@click.option("--after", help="Beyond this place, which a page printed.")
@click.option("--limit", type=int, default=100, show_default=True, help="How many, at most 1000.")
@terminal.as_json
def index(*, as_json: bool, **options: Any) -> None:
    """The deliveries, the newest first."""
    asked = terminal.asked(DeliveriesQuery, options)
    with db.reading(unhurried().engine) as conn:
        listed = delivery.page(conn, **asked.model_dump())
    page = delivery_replies.page(listed, limit=asked.limit)
    if as_json:
        terminal.show_json(page)
        return
    if listed:
        terminal.show_table(COLUMNS, map(_row, listed), copied="id")
    else:
        click.echo("No delivery matches.", err=True)
    if page["next"]:
        click.echo(f"More with --after {page['next']}", err=True)


@deliveries.command()
@click.argument("delivery_ids", nargs=-1)
@terminal.dry_run
@terminal.as_json
def send(delivery_ids: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """Send deliveries again, at once; without any id, all whose last attempt failed.

    Also those that wait for their next attempt, and by their id those that the receiver took. Each
    goes out under its id, from the first attempt on. Only a session's newest version is sent.
    """
    ids, refused = _chosen(delivery_ids)
    matched = len(ids) if delivery_ids else _count_failed()
    count = 0
    if not dry_run:
        count = _send(ids) if delivery_ids else _send_failed(matched)
    if as_json:
        terminal.show_json({"matched": matched, "count": count, "refused": refused})
    elif dry_run:
        click.echo(f"{many(matched, *NOUN)} would be sent again.")
    else:
        click.echo(f"{many(count, *NOUN)} of {matched:,} will be sent again.")
    for delivery_id, why in refused.items():
        click.echo(f"{terminal.printable(delivery_id)}: {why}", err=True)
    if count:
        _ring()
    sys.exit(1 if refused else 0)


def _chosen(delivery_ids: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The ids that can be sent again, and why the others can't."""
    refused: dict[str, str] = {}
    with db.reading(unhurried().engine) as conn:
        for each in delivery_ids:
            known = delivery.find(conn, each)
            if known is None:
                refused[each] = "No delivery has this id."
            elif not delivery.is_newest(conn, known):
                refused[each] = NEWER
    return [each for each in dict.fromkeys(delivery_ids) if each not in refused], refused


def _count_failed() -> int:
    with db.reading(unhurried().engine) as conn:
        return delivery.count_failed(conn)


def _send(delivery_ids: Sequence[str]) -> int:
    count = 0
    with db.writing(unhurried().engine) as conn:
        for each in delivery_ids:
            known = delivery.find(conn, each)
            count += known is not None and delivery.send_again(conn, known, now=present())
    return count


def _send_failed(matched: int) -> int:
    """Have all of them sent again, and no more: some may fail again meanwhile."""
    count = 0
    while count < matched:
        limit = min(AT_ONCE, matched - count)
        with db.writing(unhurried().engine) as conn:
            more = delivery.send_failed_again(conn, now=present(), limit=limit)
        if not more:
            break
        count += more
    return count


def _ring() -> None:
    """Have them sent now; and say so when nobody will."""
    if not unhurried().settings.attendance_webhook_url:
        click.echo("ATTENDANCE_WEBHOOK_URL is not set here: nobody sends them.", err=True)
        return
    try:
        bell.enqueue_once(unhurried().redis, own_job.SEND)
    except RedisError:
        click.echo("Redis does not answer: they are sent when it does.", err=True)


def _row(each: Delivery) -> tuple[str | None, ...]:
    about = (instant(each.made_at), each.status, each.session_id, str(each.version))
    next_at = instant(each.next_attempt_at)
    return (*about, str(each.attempts), next_at, each.delivery_id, each.url, each.error)
