"""What the pages' tests stand on: a real browser before the real application, served on loopback.

It is Chromium, or Firefox where `BROWSER=firefox` says so (`make firefox`).

A page that logs an error, a refused script or style among them, fails its test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from livekit.api import AccessToken, VideoGrants
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)
from werkzeug.serving import WSGIRequestHandler, make_server

from models.domain.event import Event
from models.settings.settings import Settings
from tests import build
from tests.browser import firefox
from tests.build import KEY, SECRET
from tests.doors import drain
from worker.process.backend import Backend

ROOM, SESSION = "quran-98", "98"
CHROMIUMS = ("chromium-headless-shell", "chromium", "google-chrome")
"""The first is the same engine without the desktop around it: a quarter of the CPU for a page."""

NO_CHROMIUM = (
    "These tests drive Chromium, and there is none. Install it (Debian: apt-get install"
    " chromium-headless-shell) or say where it is: CHROMIUM=/path/to/chromium make test"
)
NO_FIREFOX = (
    "There is no Firefox to drive. Install it (Debian: apt-get install firefox-esr) or say where it"
    " is: FIREFOX=/path/to/firefox make firefox"
)


def chromium() -> str:
    """The path: $CHROMIUM, else what is installed. Fails rather than skips when nothing is."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        pytest.fail(NO_CHROMIUM, pytrace=False)
    return found


expect.set_options(timeout=30_000)  # a busy machine is slow, and what is waited for ends it


@contextmanager
def launched(directory: Path) -> Iterator[Browser]:
    """The browser; what it takes to start Firefox is written into the directory."""
    in_firefox = os.environ.get("BROWSER") == "firefox"
    if in_firefox and firefox.firefox() is None:
        pytest.skip(NO_FIREFOX)
    with sync_playwright() as playwright:
        if in_firefox:
            made = firefox.script(directory)
            browser = playwright.firefox.launch(channel="moz-firefox", executable_path=made)
        else:
            browser = playwright.chromium.launch(executable_path=chromium())
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all of these tests in a process. It ends before others begin: Playwright keeps an
    event loop in their thread."""
    with launched(tmp_path_factory.mktemp("firefox")) as made:
        yield made


@pytest.fixture
def in_chromium(browser: Browser) -> None:
    """For tests of what Playwright can only do there."""
    if browser.browser_type.name != "chromium":
        pytest.skip("Playwright prints, emulates media and keeps downloads in Chromium only.")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What a browser shows does not depend on where it is stored."""
    return sqlite_url


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Pages of any origin may ask: the element is for those of others."""
    return settings.model_copy(update={"cors_origins": ("*",)})


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Nobody reads it."""


@contextmanager
def served(app: Callable[..., Any]) -> Iterator[str]:
    """The application on a port of its own; its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    serving = Thread(target=server.serve_forever, args=(0.02,))  # how fast it ends
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture
def site(app: Flask) -> Iterator[str]:
    """Where Rollcall answers."""
    with served(app) as address:
        yield address


@dataclass
class Class:
    """A class in the room quran-98: what LiveKit and operators tell Rollcall about it."""

    client: FlaskClient
    backend: Backend
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    room_began: float = 40

    def ago(self, minutes: float) -> datetime:
        return self.now - timedelta(minutes=minutes)

    def registered(self, *, began: float, minutes: int = 60, **more: Any) -> None:
        """Session 98, begun that many minutes ago."""
        self.room_began = began + 5
        told = {"room_name": ROOM, "scheduled_at": self.ago(began), "duration_minutes": minutes}
        answer = self.client.put(
            f"/api/sessions/{SESSION}",
            data=orjson.dumps(told | more),
            headers={"Authorization": f"Bearer {operator()}"},
        )
        assert answer.status_code in (200, 201), answer.text

    def happens(self, *events: Event) -> None:
        """LiveKit tells it, and it is applied."""
        for event in events:
            body, token = build.signed(build.webhook(event))
            headers = {"Authorization": token, "Content-Type": "application/webhook+json"}
            assert (
                self.client.post("/webhooks/livekit", data=body, headers=headers).status_code == 204
            )
        drain(self.backend)

    def visit(
        self, user: str, began: float, ended: float | None = None, **words: Any
    ) -> list[Event]:
        """Somebody's visit, from and to so many minutes ago."""
        words |= {"user": user, "sid": f"PA_{user.encode().hex()[:40]}_{began}"}
        since = {"joined_at": self.ago(began), "room_created": self.ago(self.room_began)}
        events = [build.joined(self.ago(began), **words | since)]
        if ended is not None:
            events.append(build.left(self.ago(ended), **words | since))
        return events

    def joins(self, user: str, *, name: str) -> None:
        """Somebody's page says that they joined."""
        answer = self.client.post(
            "/api/sessions/meeting/join",
            data=orjson.dumps({"session_id": SESSION, "name": name}),
            headers={"Authorization": f"Bearer {pupil(user)}"},
        )
        assert answer.status_code == 201, answer.text

    def roster(self) -> dict[str, Any]:
        answer = self.client.get(
            f"/api/sessions/{SESSION}/attendance",
            headers={"Authorization": f"Bearer {teacher()}"},
        )
        told: dict[str, Any] = orjson.loads(answer.data)
        return told

    def person(self, user: str) -> dict[str, Any]:
        """One person of the roster; empty when they are not in it."""
        found = (one for one in self.roster()["attendances"] if one["user_id"] == user)
        return next(found, {})


@pytest.fixture
def quran(client: FlaskClient, backend: Backend) -> Class:
    return Class(client, backend)


def pupil(user: str = "5", *, room: str = ROOM, name: str = "Ada") -> str:
    return _token(VideoGrants(room=room, room_join=True), user, name)


def teacher(room: str = ROOM) -> str:
    return _token(VideoGrants(room=room, room_join=True, room_admin=True), "teacher", "Teacher")


def operator() -> str:
    return _token(VideoGrants(room_list=True, room_create=True), "operator", "Operator")


def _token(grants: VideoGrants, user: str, name: str) -> str:
    made = AccessToken(KEY, SECRET).with_identity(user).with_name(name).with_grants(grants)
    return made.with_ttl(timedelta(hours=1)).to_jwt()


Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Open]:
    """`opened("/path", **context)`: a page in a context of its own, held to log no error.

    `before` is shown the page before it loads anything. `expect_errors` for a page whose test
    makes requests fail: Chromium logs each of those.
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(
        path: str, *, expect_errors: bool = False, before: Any = None, **more: Any
    ) -> Page:
        context = browser.new_context(**{"locale": "en-GB", "timezone_id": "Asia/Riyadh"} | more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        if not expect_errors:
            page.on("console", note)
        page.on("pageerror", lambda error: wrong(str(error), expect_errors=expect_errors))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        if before is not None:
            before(page)
        page.goto(path if path.startswith("http") else site + path)
        return page

    def wrong(error: str, *, expect_errors: bool) -> None:
        """Firefox tells of a request to another origin that fails as an error of the page."""
        if not (expect_errors and "Same Origin Policy" in error):
            errors.append(error)

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


HOST = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Academy</title>
<link rel="icon" href="data:,">
<script type="module" src="{site}/static/attendance-status.js"></script>
<p>Attendance: <attendance-status session="{session}" {attributes}></attendance-status></p>"""
ELSEWHERE = b'<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">'
STRICT = "default-src 'none'; script-src {site}; connect-src {site}; img-src data:"


@pytest.fixture
def academy(site: str) -> Iterator[Callable[..., str]]:
    """`academy(attributes)`: a page of another origin with the element, under a strict policy."""
    pages: dict[str, bytes] = {}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        page = pages.get(environ["PATH_INFO"], ELSEWHERE)
        headers = [("Content-Type", "text/html; charset=utf-8")]
        headers.append(("Content-Security-Policy", STRICT.format(site=site)))
        start_response("200 OK", headers)
        return [page]

    with served(app) as address:

        def publish(attributes: str = "", *, session: str = "98") -> str:
            path = f"/{len(pages)}"
            page = HOST.format(site=site, session=session, attributes=attributes)
            pages[path] = page.encode()
            return address + path

        yield publish
