"""The pages as they are served: what they may run, in which language, and which files they need."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urljoin

import pytest
from flask import Flask, template_rendered
from flask.testing import FlaskClient

from webhooks.pages import RENDERED, pages
from webhooks.schemas.fields import AttendanceStatus, EndedBy, WhyUncounted

ELEMENT = "/static/attendance-status.js"
SESSION = '<img src=x onerror=alert(1)> "98" ملاك'


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Pages ask no database."""
    return sqlite_url


@pytest.mark.parametrize(
    "path",
    ["/", "/sessions", "/sessions/98", "/sessions/-?session=a/b", "/courses/a", "/people/5"],
)
def test_a_page_runs_nothing_but_our_files(client: FlaskClient, path: str) -> None:
    page = client.get(path)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<[^>]+\s(on\w+|style)=|<style|javascript:", page.text)


def test_no_script_makes_html_of_text() -> None:
    """Names come from participants: scripts write them as text nodes, and nothing else."""
    makes_html = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|DOMParser"
        r"|createContextualFragment|srcdoc|\beval\(|new Function"
    )
    scripts = list(Path(pages.__file__).parent.glob("static/**/*.js"))
    assert len(scripts) >= 25
    assert [each.name for each in scripts if makes_html.search(each.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    "path", ["/", "/sessions", "/sessions/98", "/courses/a", "/people/5", "/ops"]
)
def test_every_file_of_a_page_is_there(client: FlaskClient, path: str) -> None:
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get(path).text)
    assert len(files) >= 3
    seen = set(files)
    while files:
        found = client.get(name := files.pop(), buffered=True)
        assert found.status_code == 200, name
        if name.endswith(".js"):
            assert found.content_type.startswith("text/javascript")
            imported = re.findall(r'from "(\.[^"]+)"', found.text)
            files += {urljoin(name, each) for each in imported} - seen
            seen.update(files)


def test_what_the_address_says_is_text(client: FlaskClient) -> None:
    page = client.get("/sessions/-", query_string={"session": SESSION}).text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; &#34;98&#34; ملاك" in page


# --- rendered once --------------------------------------------------------------------------------

EVERY_PAGE = (
    "/",
    "/sessions",
    "/sessions/98",
    "/courses/quran",
    "/people/5",
    "/ops",
    "/docs",
    "/manual/README.md",
)


@pytest.fixture
def renderings(app: Flask) -> Iterator[list[str]]:
    """The templates that are rendered meanwhile."""
    seen: list[str] = []

    def rendered(_app: Flask, template: Any, **_: Any) -> None:
        seen.append(template.name)

    with template_rendered.connected_to(rendered, app):
        yield seen


@pytest.mark.parametrize("path", EVERY_PAGE)
def test_a_page_is_rendered_once_in_each_language(
    client: FlaskClient, renderings: list[str], path: str
) -> None:
    first = client.get(path, query_string={"lang": "en"})
    assert renderings
    once = list(renderings)
    assert client.get(path, query_string={"lang": "en"}).data == first.data
    assert renderings == once


def test_whatever_a_request_says_adds_no_page_to_those_that_are_kept(
    app: Flask, client: FlaskClient
) -> None:
    for path in (*EVERY_PAGE, "/openapi.json"):
        for language in pages.LANGUAGES:
            client.get(path, query_string={"lang": language})
    before = dict(app.extensions[RENDERED])
    for number in range(20):
        hostile = {
            "X-Forwarded-Prefix": f"/prefix-{number}",
            "X-Script-Name": f"/prefix-{number}",
            "Accept-Language": f"x-{number}, ar;q=0.{number % 10}",
            "Host": f"host-{number}.example",
        }
        for path in (
            "/",
            f"/sessions/{number}",
            f"/people/{number}",
            "/ops",
            "/docs",
            "/openapi.json",
        ):
            query = {"lang": f"{number}", "theme": f"{number}", f"{number}": "\0session\0"}
            page = client.get(path, headers=hostile, query_string=query).text
            assert f"prefix-{number}" not in page
            assert f"host-{number}" not in page
        assert client.get(f"/manual/{number}.md").status_code == 404
    assert app.extensions[RENDERED] == before


def test_pages_are_kept_for_few_prefixes(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says which; if it did so by a header, that could not fill the memory."""
    monkeypatch.setattr("webhooks.pages.MOST", 3)
    for number in range(10):
        page = client.get("/manual/README.md", base_url=f"http://localhost/prefix-{number}").text
        assert f'"/prefix-{number}/docs"' in page
        assert len(app.extensions[RENDERED]) <= 3


def test_a_page_says_what_its_own_request_asked(client: FlaskClient) -> None:
    client.get("/sessions/first?from=first")
    page = client.get("/sessions/-", query_string={"session": "\0session\0 second"}).text
    assert "first" not in page
    assert "\ufffdsession\ufffd second" in page
    assert "\0" not in page


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "ar-EG,ar;q=0.9,en;q=0.5", "ar"),
        ("", "fr,en;q=0.5", "en"),
        ("", "fr", "en"),
        ("?lang=ar", "en", "ar"),
        ("?lang=xx", "ar", "ar"),
    ],
)
def test_a_page_speaks_the_readers_language(
    client: FlaskClient, query: str, accepted: str, language: str
) -> None:
    page = client.get(f"/{query}", headers={"Accept-Language": accepted})
    direction = {"en": "ltr", "ar": "rtl"}[language]
    assert f'<html lang="{language}" dir="{direction}">' in page.text
    assert page.headers["Vary"] == "Accept-Language"


def test_the_other_language_is_of_the_same_page(client: FlaskClient) -> None:
    page = client.get("/sessions/-?session=a/b&lang=ar").text
    assert 'href="?session=a%2Fb&amp;lang=en"' in page


def test_both_languages_say_everything() -> None:
    english, arabic = (_gaps(pages.words(language)) for language in pages.LANGUAGES)
    assert english == arabic


@pytest.mark.parametrize("language", pages.LANGUAGES)
def test_every_status_and_every_end_of_a_visit_has_its_words(language: str) -> None:
    said = pages.words(language)
    assert {*get_args(AttendanceStatus)} == said["state"].keys()
    assert {*get_args(EndedBy), "next_session", "open"} <= said["ended_by"].keys()
    assert {*get_args(WhyUncounted)} == said["uncounted"]["why"].keys()


def test_the_console_says_in_each_language_what_the_doctor_says() -> None:
    """But for what only the doctor looks at."""
    english, arabic = (
        {
            (finding, which, *sorted(re.findall(r"{\w+}", said)))
            for finding, sentence in pages.findings(language).items()
            if not finding.startswith(("settings.", "livekit."))
            for which, said in sentence.items()
            if said
        }
        for language in pages.LANGUAGES
    )
    assert english == arabic


def test_the_element_may_be_embedded_anywhere_and_is_small(client: FlaskClient) -> None:
    element = client.get(ELEMENT, buffered=True)
    assert element.headers["Access-Control-Allow-Origin"] == "*"
    assert element.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert element.headers["Cache-Control"] == "public, max-age=300"
    assert "import " not in element.text
    assert len(gzip.compress(element.data)) < 12_000


def test_a_file_that_did_not_change_is_not_sent_again(client: FlaskClient) -> None:
    first = client.get("/static/pages.css", buffered=True)
    assert first.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": first.headers["ETag"]}
    again = client.get("/static/pages.css", headers=known, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


def test_no_file_is_served_from_elsewhere(client: FlaskClient) -> None:
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e/app.py").status_code == 404


def _gaps(said: Any, path: str = "") -> dict[str, list[str]]:
    """The {gaps} of each sentence, by its path; of one with plural forms, of `other`."""
    if isinstance(said, str):
        return {} if path in ("/dir", "/other/lang") else {path: sorted(re.findall(r"{\w+}", said))}
    if "other" in said and "one" in said:
        return _gaps(said["other"], path)
    found: dict[str, list[str]] = {}
    for word, inner in said.items():
        found |= _gaps(inner, f"{path}/{word}")
    return found
