"""The manual as pages: each is there, and whatever it links to is there too."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest
from flask.testing import FlaskClient

from webhooks.pages.manual import PAGES


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The manual asks no database."""
    return sqlite_url


@pytest.mark.parametrize("name", PAGES)
def test_a_page_and_whatever_it_links_to_are_there(client: FlaskClient, name: str) -> None:
    at = f"/manual/{name}"
    page = client.get(at)
    assert page.status_code == 200
    assert "<h1 id=" in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]
    links = set(re.findall(r'(?:href|src)="([^"]+)"', page.text))
    ours = {urljoin(at, link) for link in links if not urlsplit(link).scheme}
    assert len(ours) >= 6
    for link in ours:
        found = client.get(urlsplit(link).path, buffered=True)
        assert found.status_code == 200, link
        fragment = urlsplit(link).fragment
        assert not fragment or f'id="{fragment}"' in found.text, link


def test_markup_in_it_is_text(client: FlaskClient) -> None:
    page = client.get("/manual/docs/frontend.md").text
    assert "<attendance-status" not in page
    assert "&lt;attendance-status" in page


@pytest.mark.parametrize("name", ["pyproject.toml", "docs/../.env", "docs/pictures/../api.md", "x"])
def test_nothing_else_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/manual/{name}").status_code == 404
