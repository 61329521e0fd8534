"""What a door takes and gives, declared beside it: `/openapi.json`, `/docs` and tests read it.

A declaration is looked up by whoever documents; a request never meets it, so it costs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

View = TypeVar("View", bound=Callable[..., Any])

Token = Literal["participant", "administrator", "operator", "webhook"]
"""Whose token opens the door; several mean any of them, none that it stands open."""

_BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "LiveKit access token"}
TOKENS: dict[Token, dict[str, str]] = {
    "participant": {
        **_BEARER,
        "description": "`roomJoin` and `room`: oneself, in sessions of that room.",
    },
    "administrator": {
        **_BEARER,
        "description": "`roomAdmin` and `room`: everybody in sessions of that room.",
    },
    "operator": {
        **_BEARER,
        "description": "`roomList` and `roomCreate` without a `room` (a server's): everything.",
    },
    "webhook": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The token that LiveKit makes for one body: it carries the body's SHA-256.",
    },
}

JSON = "application/json"
CSV = "text/csv; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """One good answer: what it means, and its content by media type; none is an empty body.

    `headers` are those worth knowing, with what they say.
    """

    description: str
    content: Mapping[str, type[BaseModel] | None] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """What one view takes and gives. `problems` are the statuses that no other field implies."""

    answers: Mapping[int, Answer]
    tokens: tuple[Token, ...] = ()
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()


def operation(
    *,
    answers: Mapping[int, Answer],
    tokens: tuple[Token, ...] = (),
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    problems: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Declare a view. Its docstring is shown to users: the first line, then the rest."""
    declared = Operation(answers=answers, tokens=tokens, query=query, body=body, problems=problems)

    def declare(view: View) -> View:
        _DECLARED[view] = declared
        return view

    return declare


def of_view(view: Callable[..., Any]) -> Operation | None:
    """What was declared of a view, if anything was."""
    return _DECLARED.get(view)


def json(description: str, model: type[BaseModel], **headers: str) -> Answer:
    """An answer of JSON that fits the model; a header's name is written with underscores."""
    named = {name.replace("_", "-"): says for name, says in headers.items()}
    return Answer(description, {JSON: model}, named)


_DECLARED: dict[Callable[..., Any], Operation] = {}
