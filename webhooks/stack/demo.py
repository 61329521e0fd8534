"""`python -m webhooks.stack.demo`: a class to look at, beside the stack that `make demo` starts.

Waits for the web process, registers a session, says where to look, and becomes the simulator.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from time import monotonic, sleep
from urllib.parse import quote

import click
import orjson
from livekit.api import AccessToken, VideoGrants

from models.settings.settings import Settings, load
from webhooks.server import port
from webhooks.simulator import plan

ROOM = "demo-class"
PEOPLE = 12
TEACHER = "teacher"
READY_SECONDS = 60
TOKEN_LIFE = timedelta(hours=24)

NEVER_COME = (
    {"user_id": "pupil-98", "name": "Huda Karim"},
    {"user_id": "pupil-99", "name": "Tomás Rivera"},
)


def main() -> None:
    """Does not return: this process becomes `flask simulate`."""
    settings = load()
    _wait_until_ready(settings)
    _register(settings)
    _say_where(settings)
    url = f"{port.own_url(settings.host, settings.port)}/webhooks/livekit"
    simulate = ["flask", "simulate", "--forever", "--room", ROOM, "--people", str(PEOPLE)]
    simulate += ["--url", url]
    os.execvp("flask", simulate)  # noqa: S606, S607  (of our own .venv)


def _wait_until_ready(settings: Settings) -> None:
    deadline = monotonic() + READY_SECONDS
    while monotonic() < deadline:
        try:
            if _ask(settings, "GET", "/readyz") == 200:
                return
        except (OSError, HTTPException):
            pass
        sleep(0.1)
    sys.exit(f"The web process is not ready on port {settings.port} after {READY_SECONDS} s.")


def _register(settings: Settings) -> None:
    """Fifteen seconds ahead, so that some come early, some late and some never."""
    body = {
        "session_type": "academic",
        "scheduled_at": datetime.now(UTC) + timedelta(seconds=15),
        "duration_minutes": 60,
        "late_after_minutes": 0,
        "minimum_percentage": 50,
        "hosts": [TEACHER],
        "expected": [*_pupils(), *NEVER_COME],
    }
    token = _token(settings, VideoGrants(room_list=True, room_create=True))
    status = _ask(settings, "PUT", f"/api/sessions/{ROOM}", token=token, body=body)
    if status not in (200, 201):
        sys.exit(f"The demo's session was not taken: {status}.")


def _pupils() -> Iterator[dict[str, str | None]]:
    """Those of the simulated people whom the class expects: all but the last, who is a guest."""
    for number in range(1, PEOPLE):
        user_id, name = plan.person(number)
        yield {"user_id": user_id, "name": name or None}


def _say_where(settings: Settings) -> None:
    teacher = _token(settings, VideoGrants(room=ROOM, room_join=True, room_admin=True))
    operator = _token(settings, VideoGrants(room_list=True, room_create=True))
    at = port.own_url(settings.host, settings.port)
    click.echo("")
    click.echo(f"Look at the class:  {at}/sessions/{quote(ROOM)}#token={teacher}")
    click.echo("")
    click.echo(f"Join it yourself:  {at}/#token={teacher}")
    click.echo("")
    click.echo(f"For operators:  {at}/ops#token={operator}")
    click.echo("")
    click.echo("Ctrl-C stops everything.")


def _token(settings: Settings, grants: VideoGrants) -> str:
    made = AccessToken(settings.livekit_api_key, settings.livekit_api_secret)
    made = made.with_identity(TEACHER).with_name("Teacher")
    return made.with_grants(grants).with_ttl(TOKEN_LIFE).to_jwt()


def _ask(
    settings: Settings, method: str, path: str, *, token: str | None = None, body: object = None
) -> int:
    """The status of the web process's answer. Raises OSError or HTTPException without one."""
    connection = HTTPConnection(port.own_host(settings.host), settings.port, timeout=5)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        sent = None if body is None else orjson.dumps(body)
        connection.request(method, path, body=sent, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


if __name__ == "__main__":
    main()
