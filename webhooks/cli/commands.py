"""The commands of `flask …`, for operators and for trying things out.

`.flaskenv` names this module as the application, so that the web process need not load it.
"""

from __future__ import annotations

import os
from datetime import timedelta

import click
from flask import Flask
from livekit.api import AccessToken, VideoGrants

from webhooks import app as web
from webhooks.cli import rebuild, replay  # noqa: F401  (their commands)
from webhooks.cli.deliveries import deliveries
from webhooks.cli.doctor import doctor
from webhooks.cli.events import events
from webhooks.cli.ranges import FiniteRange
from webhooks.cli.sessions import sessions
from webhooks.cli.simulate import simulate
from webhooks.cli.users import users
from webhooks.door.context import EXTENSION, Context, backend
from webhooks.stack import own_redis
from worker.process.backend import UNHURRIED, Backend

MOST_HOURS = 10 * 366 * 24
"""Ten years: longer than any key should last."""


def create_app() -> Flask:
    """The web application with its commands, on `make run`'s Valkey unless another is named."""
    own_redis.use(os.environ)
    app = web.create_app()
    context: Context = app.extensions[EXTENSION]
    context.unhurried = Backend.of(context.backend.settings, UNHURRIED)
    for command in (deliveries, doctor, events, sessions, simulate, token, users):
        app.cli.add_command(command)
    return app


@click.command()
@click.option("--ops", is_flag=True, help="For an operator: everything.")
@click.option("--room", help="The LiveKit room that the token is for.")
@click.option("--user", help="The identity that it is made out to.")
@click.option("--name", help="The name that people see.")
@click.option("--admin", is_flag=True, help="Everybody's attendance in that room too.")
@click.option(
    "--hours", type=FiniteRange(0, MOST_HOURS, min_open=True), default=6.0, show_default=True
)
def token(
    *, ops: bool, room: str | None, user: str | None, name: str | None, admin: bool, hours: float
) -> None:
    """Print a LiveKit access token, signed with the configured key."""
    if ops == bool(room):
        raise click.UsageError("Say either --ops, or --room (and --user) for somebody in a room.")
    if not ops and not user and not admin:
        raise click.UsageError("Say whose token it is with --user, or --admin for a teacher's.")
    grants = VideoGrants(room_list=True, room_create=True)
    if room:
        grants = VideoGrants(room=room, room_join=bool(user), room_admin=admin)
    settings = backend().settings
    made = AccessToken(settings.livekit_api_key, settings.livekit_api_secret)
    made = made.with_grants(grants).with_ttl(timedelta(hours=hours))
    if user:
        made = made.with_identity(user)
    if name:
        made = made.with_name(name)
    click.echo(made.to_jwt())
