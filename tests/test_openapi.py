"""The API's description says what the doors do: every route, every answer, every example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from pydantic import BaseModel

from webhooks.door import verify
from webhooks.door.operation import of_view
from webhooks.openapi import document as description
from webhooks.pages import docs
from webhooks.schemas import replies
from webhooks.schemas.delivery_replies import AttendanceFinal

REFERENCE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is declared does not depend on where it is stored."""
    return sqlite_url


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(client.get("/openapi.json").data)
    return told


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_it_has_every_route_of_the_application(app: Flask, document: dict[str, Any]) -> None:
    undeclared = [
        str(rule)
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "pages.static"  # files, not routes
        and of_view(app.view_functions[rule.endpoint]) is None
    ]
    assert undeclared == [], "declare them with webhooks.operation.operation"
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule, _ in description.operations(app)
        for method in rule.methods or ()
        if method.lower() in METHODS
    }
    told = {(path, method) for path, item in document["paths"].items() for method in item}
    assert told == routes


def test_it_has_the_webhook_that_we_post(document: dict[str, Any]) -> None:
    posted = document["webhooks"]["attendance.final"]["post"]
    schema = posted["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/AttendanceFinal"}
    [example] = document["components"]["schemas"]["AttendanceFinal"]["examples"]
    AttendanceFinal.model_validate_json(json.dumps(example), strict=True)


def test_what_reads_a_request_is_what_describes_it(document: dict[str, Any]) -> None:
    """Bounds come from the models that validate, so one that moves is told at once."""
    body = document["components"]["schemas"]["SessionBody"]["properties"]
    assert {"type": "integer", "minimum": 1, "maximum": 10080} in body["duration_minutes"]["anyOf"]
    asked = document["paths"]["/api/sessions"]["get"]["parameters"]
    filters = ["room_name", "academy_id", "course_id", "label", "user_id", "from", "to", "status"]
    assert [one["name"] for one in asked] == [*filters, "after", "limit"]
    assert asked[-1]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}


def test_every_example_is_one(app: Flask) -> None:
    checked = 0
    for model in _models(app):
        told = model.model_config.get("json_schema_extra")
        for example in told["examples"] if isinstance(told, dict) else ():  # type: ignore[union-attr]
            model.model_validate_json(json.dumps(example))
            checked += 1
    assert checked >= 10


def test_whoever_may_not_ask_is_told_how_to(document: dict[str, Any]) -> None:
    """Each door that wants a token documents the refusals; an open one documents none."""
    for path, item in document["paths"].items():
        for operation in item.values():
            wants = operation["security"] != []
            assert ("401" in operation["responses"]) is wants, path


def test_the_page_tells_every_route_and_runs_nothing(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    page = client.get("/docs")
    assert "default-src 'none'; style-src 'self'" in page.headers["Content-Security-Policy"]
    assert not re.search(r"<script|<style|\s(on\w+|style)=|=.https?://", page.text)
    for path, item in document["paths"].items():
        for method in item:
            assert f"{method.upper()}</b> <code>{path}</code></h3>" in page.text


def test_every_link_of_the_page_leads_somewhere(client: FlaskClient) -> None:
    text = client.get("/docs").text
    links = set(re.findall(r'href="([^"]+)"', text))
    assert {f"#{name}" for name in re.findall(r' id="([^"]+)"', text)} >= {
        link for link in links if link.startswith("#")
    }
    for page in {link.partition("#")[0] for link in links} - {""}:
        assert client.get(page, buffered=True).status_code == 200, page


def test_what_a_description_says_is_text() -> None:
    assert str(docs.prose("`a<b` & c")) == "<code>a&lt;b</code> &amp; c"


def test_the_reference_tells_every_route_with_an_example(document: dict[str, Any]) -> None:
    told = dict(_sections())
    routes = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    assert told.keys() == routes, "docs/api.md has a section for each route"
    assert [route for route, section in told.items() if "```" not in section] == []


def test_every_example_of_the_reference_is_one(app: Flask) -> None:
    models = {model.__name__: model for model in _models(app)}
    examples = re.findall(r"^```json (\w+)\n(.*?)^```", REFERENCE, flags=re.DOTALL | re.MULTILINE)
    assert len(examples) >= 8
    for name, example in examples:
        models[name].model_validate_json(example, strict=True)


def test_the_reference_names_every_reason_why_a_token_is_refused() -> None:
    assert [reason for reason in verify.REASONS if f"`{reason}`" not in REFERENCE] == []


def _sections() -> Iterator[tuple[str, str]]:
    """The reference's sections of a route each, by route."""
    for section in re.split(r"^##+ ", REFERENCE, flags=re.MULTILINE):
        heading, _, text = section.partition("\n")
        if found := re.fullmatch(r"`([A-Z]+ /\S*)`", heading):
            yield found[1], text


def _models(app: Flask) -> list[type[BaseModel]]:
    found: set[type[BaseModel]] = {replies.Problem}
    for _, one in description.operations(app):
        content = [model for told in one.answers.values() for model in told.content.values()]
        found |= {model for model in (one.body, *content) if model is not None}
    return sorted(found, key=lambda model: model.__name__)
