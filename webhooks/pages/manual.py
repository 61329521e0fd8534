"""The manual as pages: README.md and docs/, of this very version, for whoever reads them here."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from flask import Blueprint, Response, abort, send_from_directory
from markupsafe import Markup

from webhooks.door.operation import HTML, Answer, operation
from webhooks.pages import page
from webhooks.pages.docs import POLICY

if TYPE_CHECKING:
    from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{one.name}" for one in ROOT.glob("docs/*.md")))
PICTURES = "docs/pictures/"
PNG, SVG = "image/png", "image/svg+xml; charset=utf-8"

manual = Blueprint("manual", __name__)


@manual.get("/manual/<path:name>")
@operation(
    answers={200: Answer("A page, or one of its pictures.", {HTML: None, PNG: None, SVG: None})},
    problems=(404,),
)
def read(name: str) -> Response:
    """A page of the manual, by its file's name."""
    if name.startswith(PICTURES) and name.endswith((".png", ".svg")):
        return send_from_directory(ROOT / PICTURES, name.removeprefix(PICTURES))
    if name not in PAGES:
        abort(404)
    title, body = _rendered(name)
    return page("manual.html", POLICY, variant=name, title=title, body=body, name=name)


@cache
def _rendered(name: str) -> tuple[str, Markup]:
    """The title, and the page as HTML: markup in the text stays text."""
    from markdown_it import MarkdownIt  # noqa: PLC0415  (most processes never show a page)

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse((ROOT / name).read_text(encoding="utf-8"))
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if before.type == "heading_open":
            before.attrSet("id", _anchor(token.content))
        elif before.type == "th_open" and not token.content:
            before.tag = after.tag = "td"  # it is the header of nothing
        for child in token.children or ():
            _keep_inside(child, name)
    title = next(token.content for token in tokens if token.type == "inline")
    return title, Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 (ours)


def _anchor(heading: str) -> str:
    """As links in the files have it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _keep_inside(token: Token, name: str) -> None:
    """A link to a file that is no page of the manual leads nowhere here: its words stay."""
    link = str(token.attrs.get("href", ""))
    leads = urlsplit(link).scheme or urljoin(name, urlsplit(link).path or name) in PAGES
    if token.type == "link_open" and not leads:
        del token.attrs["href"]
