"""The samples of ops/proxies before a real web process: what must pass does, and nothing else."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from models.settings.settings import Settings
from tests.build import joined, signed, webhook
from tests.doors import ago, ops_token, token
from tests.e2e import proxies
from tests.faults import free_port, until
from tests.processes import answers, environment, running

each_proxy = pytest.mark.parametrize(
    "proxy", [proxies.nginx, proxies.haproxy, proxies.caddy], ids=["nginx", "haproxy", "caddy"]
)


@dataclass(frozen=True, slots=True)
class Site:
    port: int

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        trusting = ssl._create_unverified_context()  # noqa: S323 - its certificate is the test's
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=30, context=trusting)
        with closing(connection):
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def post_webhook(self, *, path: str = "/webhooks/livekit", **more: object) -> int:
        body, signature = signed(webhook(joined(ago(1))) | more)
        return self.ask("POST", path, body, Authorization=signature)[0]


@pytest.fixture
def web(settings: Settings, tmp_path: Path) -> Iterator[int]:
    """A web process on a port of its own."""
    port = free_port()
    env = environment(settings, tmp_path, PORT=str(port), LOG_LEVEL="error")
    with running("webhooks", env):
        until(lambda: answers(port))
        yield port


@pytest.fixture
def proxied(
    web: int, proxy: Callable[[proxies.Place], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with proxies.running(proxy, web, tmp_path_factory.mktemp("proxy")) as port:
        site = Site(port)
        until(lambda: site.ask("GET", "/healthz")[0] == 200)
        yield site


@each_proxy
def test_a_proxy_passes_what_it_must_and_keeps_inside_what_needs_no_token(proxied: Site) -> None:
    assert proxied.post_webhook() == 204
    assert proxied.post_webhook(filler="é" * 950_000) == 204  # 1.9 MiB, byte for byte
    registration = json.dumps({"room_name": "quran-98"}).encode()
    padded = registration + b" " * (3_900_000 - len(registration))
    assert (
        proxied.ask("PUT", "/api/sessions/98", padded, Authorization=f"Bearer {ops_token()}")[0]
        == 201
    )
    status = "/api/sessions/98/attendance-status"
    long = token(attributes="x" * 40_000)  # 53 KiB once it is signed
    assert proxied.ask("GET", status, Authorization=f"Bearer {long}")[0] == 200
    assert [proxied.ask("GET", path)[0] for path in ("/metrics", "/readyz")] == [403, 403]


@each_proxy
def test_while_rollcall_is_away_livekit_is_asked_to_repeat(
    proxy: Callable[[proxies.Place], list[str]], tmp_path: Path
) -> None:
    """It takes any 4xx as delivered."""
    with proxies.running(proxy, free_port(), tmp_path) as port:
        assert Site(port).post_webhook() in (502, 503)


# --- under a path ---------------------------------------------------------------------------------


@pytest.fixture
def below(settings: Settings, tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    prefix = {"PATH_PREFIX": "/rollcall", "PORT": str(port), "LOG_LEVEL": "error"}
    with running("webhooks", environment(settings, tmp_path, **prefix)):
        until(lambda: answers(port))
        directory = tmp_path / "proxy"
        directory.mkdir()
        with proxies.running(proxies.nginx_under_a_path, port, directory) as own:
            yield Site(own)


def test_under_a_path_pages_and_the_element_work(below: Site, browser: Browser) -> None:
    assert below.post_webhook(path="/rollcall/webhooks/livekit") == 204
    assert below.ask("GET", "/rollcall/metrics")[0] == 403
    context = browser.new_context(ignore_https_errors=True)
    failed: list[str] = []

    def note(answer: Response) -> None:
        if answer.status >= 400:
            failed.append(answer.url)

    def tab() -> Page:
        """A new one: in one that has a token in use, a link asks before it replaces that."""
        page = context.new_page()
        page.on("response", note)
        return page

    site = f"https://127.0.0.1:{below.port}/rollcall"
    page = tab()
    page.goto(f"{site}/ops?lang=en#token={ops_token()}")
    expect(page.locator("#checks .well[data-what=database]")).to_contain_text("answers")
    page = tab()
    page.goto(f"{site}/?lang=en#token={token()}")
    expect(page.locator("#snippet")).to_contain_text(f"{site}/static/attendance-status.js")
    page.get_by_role("button", name="Join").click()
    expect(page.locator("attendance-status")).to_contain_text("In session")
    page = tab()
    page.goto(f"{site}/sessions/quran-98?lang=en#token={ops_token()}")
    expect(page.locator("#people tr")).to_have_count(1)
    page.locator("header a.language").click()
    expect(page.locator("html")).to_have_attribute("lang", "ar")
    assert page.url.startswith(f"{site}/sessions/quran-98")
    assert failed == []
    context.close()
