"""The HTTP API described for programs (OpenAPI 3.1), made of what the doors declare.

pydantic turns the models that read requests, and those that tests hold answers to, into schemas;
routes come from the application itself. It is made once, when somebody first asks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Rule

from models.settings.version import version
from webhooks.door.operation import JSON, TOKENS, Answer, Operation, of_view
from webhooks.door.problems import CONTENT_TYPE, MEANINGS
from webhooks.openapi import parameters
from webhooks.openapi.parameters import SCHEMAS, Json, Untitled
from webhooks.schemas.delivery_replies import AttendanceFinal
from webhooks.schemas.replies import Problem

WEBHOOK_JSON = "application/webhook+json"

DESCRIPTION = """
Who is in the LiveKit room now, and who was there for how long.

Times are RFC 3339 in UTC. Session ids, room names and user ids are any Unicode, at most 256 bytes
of UTF-8. A session is addressed by its id, or by its room's name: then it is the one whose window
holds the present, else the latest. What a path cannot carry (a slash, `.`, `..`) stands in the
query: `/api/sessions/-/attendance?session=a%2Fb`.
"""

PROBLEM_HEADERS = {
    401: {"WWW-Authenticate": "`Bearer`."},
    429: {"Retry-After": "Seconds."},
    503: {"Retry-After": "Seconds."},
}

_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


def document(app: Flask) -> Json:
    """The description of every declared route of the application."""
    declared = list(operations(app))
    schemas = _schemas(operation for _, operation in declared)
    paths: dict[str, Json] = {}
    for rule, operation in declared:
        path = _VARIABLE.sub(r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            view = app.view_functions[rule.endpoint]
            paths.setdefault(path, {})[method.lower()] = _operation(
                rule, operation, view.__doc__ or ""
            )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rollcall", "version": version(), "description": DESCRIPTION.strip()},
        "servers": [{"url": "/"}],
        "tags": _tags(app, declared),
        "paths": paths,
        "webhooks": {"attendance.final": {"post": _final()}},
        "components": {
            "schemas": schemas,
            "securitySchemes": TOKENS,
            "responses": {str(status): _problem(status) for status in MEANINGS},
        },
    }


def operations(app: Flask) -> Iterator[tuple[Rule, Operation]]:
    """The declared routes, by path."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        declared = of_view(app.view_functions[rule.endpoint])
        if declared is not None:
            yield rule, declared


def problems(rule: Rule, operation: Operation) -> list[int]:
    """The statuses of the problems that a route may answer."""
    found = set(operation.problems)
    found |= {401, 503} if operation.tokens else set()
    # Whoever has a token of theirs is refused a query word that nobody knows.
    found |= {400, 403} if set(operation.tokens) - {"webhook"} else set()
    found |= {400} if operation.query or operation.body or rule.arguments else set()
    found |= {413} if operation.body else set()
    found |= {404} if rule.arguments else set()
    return sorted(found - operation.answers.keys())


def _tags(app: Flask, declared: Iterable[tuple[Rule, Operation]]) -> list[Json]:
    """A tag for each door that declares something, with what its module says of itself."""
    said = {}
    for rule, _ in declared:
        module = sys.modules[app.view_functions[rule.endpoint].__module__]
        said[_tag(rule)] = _first_paragraph(module.__doc__ or "")
    return [{"name": name, "description": said[name]} for name in app.blueprints if name in said]


def _tag(rule: Rule) -> str:
    return str(rule.endpoint).partition(".")[0]


def _first_paragraph(doc: str) -> str:
    return " ".join(cleandoc(doc).partition("\n\n")[0].split())


def _schemas(declared: Iterable[Operation]) -> Json:
    models: set[tuple[type[BaseModel], JsonSchemaMode]] = {
        (Problem, "serialization"),
        (AttendanceFinal, "serialization"),
    }
    for operation in declared:
        if operation.body is not None:
            models.add((operation.body, "validation"))
        for answer in operation.answers.values():
            models |= {(model, "serialization") for model in answer.content.values() if model}
    _, made = models_json_schema(
        sorted(models, key=lambda pair: pair[0].__name__),
        ref_template=SCHEMAS,
        schema_generator=Untitled,
    )
    found: Json = made["$defs"]
    return found


def _operation(rule: Rule, operation: Operation, doc: str) -> Json:
    description = cleandoc(doc).partition("\n\n")[2]
    described: Json = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [_tag(rule)],
        "summary": _first_paragraph(doc).rstrip("."),
        "parameters": [*parameters.of_path(rule), *parameters.of_query(operation)],
        "responses": {
            **{str(status): _answer(answer) for status, answer in operation.answers.items()},
            **{
                str(status): {"$ref": f"#/components/responses/{status}"}
                for status in problems(rule, operation)
            },
        },
        "security": [{token: []} for token in operation.tokens],
    }
    if description:
        described["description"] = description.strip()
    if operation.body is not None:
        described["requestBody"] = _body(operation, operation.body)
    return described


def _final() -> Json:
    """What we post to receivers, signed as Standard Webhooks has it."""
    headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {
        "summary": "A session is final, or what it says changed since",
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
            for name in headers
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref(AttendanceFinal)}}},
        "responses": {"2XX": {"description": "It was taken. Anything else: it is posted again."}},
    }


def _body(operation: Operation, body: type[BaseModel]) -> Json:
    media = WEBHOOK_JSON if operation.tokens == ("webhook",) else JSON
    return {"required": True, "content": {media: {"schema": _ref(body)}}}


def _answer(answer: Answer) -> Json:
    described: Json = {"description": answer.description}
    if answer.content:
        described["content"] = {
            media: {"schema": _ref(model) if model else _unmodelled(media)}
            for media, model in answer.content.items()
        }
    if answer.headers:
        described["headers"] = _headers(answer.headers)
    return described


def _problem(status: int) -> Json:
    described: Json = {
        "description": f"{HTTP_STATUS_CODES[status]}. {MEANINGS[status]}",
        "content": {CONTENT_TYPE: {"schema": _ref(Problem)}},
    }
    if status in PROBLEM_HEADERS:
        described["headers"] = _headers(PROBLEM_HEADERS[status])
    return described


def _headers(headers: Any) -> Json:
    return {
        name: {"description": says, "schema": {"type": "string"}} for name, says in headers.items()
    }


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": SCHEMAS.format(model=model.__name__)}


def _unmodelled(media: str) -> Json:
    return {"type": "object" if media == JSON else "string"}
