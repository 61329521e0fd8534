"""Under a path of another site, whether its proxy takes the prefix away or not."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from models.settings.settings import Settings
from tests.build import joined, signed, webhook
from tests.doors import Rollcall, bearer, on_sqlite, serving, token

pytestmark = on_sqlite

PREFIX = "/school/rollcall"
both = pytest.mark.parametrize("sent", ["", PREFIX], ids=["taken away", "left"])


@pytest.fixture
def below(settings: Settings) -> Settings:
    return settings.model_copy(update={"path_prefix": PREFIX})


def plain(rollcall: Rollcall) -> FlaskClient:
    """One that does not look for the route of each path, of which the prefix is no part."""
    rollcall.client.application.test_client_class = FlaskClient
    return rollcall.client.application.test_client()


def links(client: FlaskClient, path: str) -> set[str]:
    """What a page loads and leads to."""
    page = client.get(path).text
    return set(re.findall(r'(?:href|src)="(?!https:)([^"#?<][^"]*)"', page))


@both
@pytest.mark.parametrize("page", ["/", "/sessions/98", "/ops", "/docs"])
def test_pages_lead_below_the_prefix(below: Settings, page: str, sent: str) -> None:
    with serving(below) as rollcall:
        client = plain(rollcall)
        found = links(client, sent + page)
        assert found
        assert {link for link in found if not link.startswith(f"{PREFIX}/")} == set()
        for link in found:
            assert client.get(link, buffered=True).status_code == 200


@both
def test_the_api_answers_below_the_prefix(below: Settings, sent: str) -> None:
    with serving(below) as rollcall:
        client = plain(rollcall)
        body, signature = signed(webhook(joined()))
        headers = {"Authorization": signature}
        url = f"{sent}/webhooks/livekit"
        assert client.post(url, data=body, headers=headers).status_code == 204
        rollcall.drain()
        url = f"{sent}/api/sessions/quran-98/attendance-status"
        assert client.get(url, headers=bearer(token())).status_code == 200
        told = client.get(f"{sent}/openapi.json").json
        assert told is not None
        assert told["servers"] == [{"url": PREFIX}]


def test_without_a_prefix_nothing_is_taken_away(settings: Settings) -> None:
    with serving(settings) as rollcall:
        client = plain(rollcall)
        assert client.get(f"{PREFIX}/docs").status_code == 404
        told = client.get("/openapi.json").json
        assert told is not None
        assert told["servers"] == [{"url": "/"}]
