"""`python -m webhooks.stack.demo`: a course to look at, beside the stack that `make demo` starts.

Waits for the web process, registers the course, imports what happened in it, says where to look,
and goes on as LiveKit would, until it is stopped.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from itertools import dropwhile
from time import monotonic, sleep
from urllib.parse import quote

import click
import orjson
from livekit.api import AccessToken, VideoGrants

from models.settings.settings import Settings, load
from webhooks.server import port
from webhooks.simulator.event import Event
from webhooks.simulator.run import run_until_stopped
from webhooks.simulator.sender import Target
from webhooks.stack.demo_course import COURSE, ROOM, TEACHER, Course

OLD = timedelta(minutes=25)
"""How long the class of today has gone on when the demo begins."""

READY_SECONDS = 60
TOKEN_LIFE = timedelta(hours=24)


def main() -> None:
    settings = load()
    _wait_until_ready(settings)
    now = datetime.now(UTC)
    course = Course((now - OLD).replace(second=0, microsecond=0))
    _send(settings, "PUT", ((_at(name), body) for name, body in course.sessions()))
    _import(course.past(now))
    corrections = course.corrections()
    _send(settings, "POST", ((f"{_at(name)}/corrections", body) for name, body in corrections))
    _say_where(settings)
    asyncio.run(_go_on(settings, course, now))


async def _go_on(settings: Settings, course: Course, now: datetime) -> None:
    """Post what happens from now on, until a signal comes."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url = f"{port.own_url(settings.host, settings.port)}/webhooks/livekit"
    key, secret = settings.livekit_api_key, settings.livekit_api_secret
    target = Target.parse(url, key=key, secret=secret)
    coming = dropwhile(lambda each: each.at <= now, course.today())
    await run_until_stopped(coming, target=target, stop=stop)


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


def _send(settings: Settings, method: str, wanted: Iterable[tuple[str, object]]) -> None:
    token = _token(settings, VideoGrants(room_list=True, room_create=True))
    for path, body in wanted:
        status = _ask(settings, method, path, token=token, body=body)
        if status not in (200, 201):
            sys.exit(f"The demo's {method} {path} was not taken: {status}.")


def _at(session_id: str) -> str:
    return f"/api/sessions/{quote(session_id)}"


def _import(events: Iterable[Event]) -> None:
    """Put what is past into the inbox, as an operator would."""
    lines = b"\n".join(event.body() for event in events)
    command = ["flask", "events", "import", "--trusted", "-"]  # of our own .venv
    subprocess.run(command, input=lines, stdout=subprocess.DEVNULL, check=True)  # noqa: S603


def _say_where(settings: Settings) -> None:
    teacher = _token(settings, VideoGrants(room=ROOM, room_join=True, room_admin=True))
    operator = _token(settings, VideoGrants(room_list=True, room_create=True))
    at = port.own_url(settings.host, settings.port)
    for what, page in (
        ("Look at the class", f"sessions/{quote(ROOM)}#token={teacher}"),
        ("The course", f"courses/{quote(COURSE)}#token={teacher}"),
        ("Join it yourself", f"#token={teacher}"),
        ("For operators", f"ops#token={operator}"),
    ):
        click.echo(f"\n{what}:  {at}/{page}")
    click.echo("\nCtrl-C stops everything.")


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
