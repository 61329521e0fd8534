"""The API's description: for programs at /openapi.json."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app

from webhooks import openapi
from webhooks.answers import answer
from webhooks.operation import JSON, Answer, operation

DOCUMENT = "openapi"

docs = Blueprint("docs", __name__)


@docs.get("/openapi.json")
@operation(answers={200: Answer("OpenAPI 3.1.", {JSON: None})})
def openapi_json() -> Response:
    """This description, for programs."""
    return answer(_document())


def _document() -> dict[str, Any]:
    """Made when somebody first asks; the routes don't change after that."""
    made: dict[str, Any] | None = current_app.extensions.get(DOCUMENT)
    if made is None:
        made = current_app.extensions[DOCUMENT] = openapi.document(current_app)
    return made
