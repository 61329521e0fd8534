"""The API's own description: for programs, and as a page for people."""

from __future__ import annotations

import re
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, request
from markupsafe import Markup, escape

from webhooks import pages
from webhooks.door.operation import HTML, JSON, Answer, operation
from webhooks.schemas.answers import answer

DOCUMENT = "openapi"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page is text: it runs nothing at all."""

docs = Blueprint("docs", __name__)


@docs.get("/openapi.json")
@operation(answers={200: Answer("OpenAPI 3.1.", {JSON: None})})
def openapi_json() -> Response:
    """This description, for programs."""
    return answer(pages.once("openapi.json", "", _dump))


@docs.get("/docs")
@operation(answers={200: Answer("A page.", {HTML: None})})
def page() -> Response:
    """This description, for people."""
    return pages.page("docs.html", POLICY, api=_document())


@docs.app_template_filter()
def prose(text: str) -> Markup:
    """What stands in backticks is code; the rest is text, whatever it contains."""
    parts = re.split(r"`([^`]*)`", text)
    code = Markup("<code>{}</code>")
    return Markup("").join(
        code.format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


@docs.app_template_filter()
def model_name(ref: str) -> str:
    """The name of the model that a `$ref` means."""
    return ref.rpartition("/")[2]


@docs.app_template_filter()
def pretty(value: object) -> str:
    """JSON as people read it."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _dump() -> orjson.Fragment:
    """The document as JSON, to be answered as it is."""
    servers = [{"url": request.script_root or "/"}]
    return orjson.Fragment(orjson.dumps(_document() | {"servers": servers}))


def _document() -> dict[str, Any]:
    """Made when somebody first asks; the routes don't change after that."""
    made: dict[str, Any] | None = current_app.extensions.get(DOCUMENT)
    if made is None:
        from webhooks.openapi import document  # noqa: PLC0415  (most processes are never asked)

        made = current_app.extensions[DOCUMENT] = document.document(current_app)
    return made
