"""The doctor: what is well and what is not, and what to do about it: `flask doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import click
import orjson
from flask.cli import with_appcontext
from livekit.api import ListRoomsRequest, LiveKitAPI, ServerError

from models.settings.settings import Settings
from webhooks.cli.group import Command
from webhooks.door.context import backend, present
from worker.health.check import Check
from worker.health.checks import findings

LIVEKIT_SECONDS = 5.0


@click.command("doctor", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_appcontext
def doctor(*, as_json: bool) -> None:
    """Look at everything that can be wrong; exit status 1 when something is."""
    here = backend()
    seen = [Check("settings.good")]
    seen += [*findings(here, now=present()), *_livekit(here.settings)]
    _print(seen, as_json=as_json)
    if not all(check.well for check in seen):
        raise SystemExit(1)


def _print(seen: list[Check], *, as_json: bool) -> None:
    if as_json:
        found = [check.as_json() for check in seen]
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    for check in seen:
        mark = click.style("ok  ", fg="green") if check.well else click.style("NOT ", fg="red")
        click.echo(f"{mark} {check.what:<11} {check.seen}")
        if not check.well:
            click.echo(f"     {'':<11} → {check.todo}")


def _livekit(settings: Settings) -> Iterator[Check]:
    if settings.livekit_url is None:
        return
    try:
        rooms = asyncio.run(_count_rooms(settings))
    except (aiohttp.ClientError, ServerError, TimeoutError, OSError, ValueError) as error:
        yield Check("livekit.down", {"reason": type(error).__name__})
    else:
        yield Check("livekit.answers", {"count": rooms})


async def _count_rooms(settings: Settings) -> int:
    key, secret = settings.livekit_api_key, settings.livekit_api_secret
    # LiveKitAPI's own `timeout` is turned off again by the `timeout=None` of its requests.
    async with (
        asyncio.timeout(LIVEKIT_SECONDS),
        LiveKitAPI(settings.livekit_url, key, secret) as api,
    ):
        return len((await api.room.list_rooms(ListRoomsRequest())).rooms)
