"""A test client that holds every answer to what its door declares.

Statuses, content types and JSON must be as `/openapi.json` says, whatever the test is about.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from webhooks.door.operation import JSON, of_view
from webhooks.door.problems import CONTENT_TYPE
from webhooks.openapi import document
from webhooks.schemas.replies import Problem


class CheckedClient(FlaskClient):
    """Flask's, with every answer checked."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        check(self.application, response)
        return response


def check(app: Flask, response: TestResponse) -> None:
    """Raises AssertionError (or pydantic's ValidationError) for an answer that nobody declared."""
    rule = _rule(app, response)
    declared = of_view(app.view_functions[rule.endpoint]) if rule else None
    if rule is None:
        _check_problem(response)
        return
    if declared is None or response.request.method == "OPTIONS":
        return
    answer = declared.answers.get(response.status_code)
    if answer is None:
        assert response.status_code in document.problems(rule, declared), (
            f"{response.request.method} {rule} does not declare a {response.status}"
        )
        _check_problem(response)
    elif response.request.method != "HEAD" and answer.content:
        assert response.content_type in answer.content
        model = answer.content[response.content_type]
        if model is not None and response.content_type == JSON:
            model.model_validate_json(response.data, strict=True)
    else:
        assert response.data == b""


def _check_problem(response: TestResponse) -> None:
    assert response.content_type == CONTENT_TYPE
    if response.request.method != "HEAD":
        told = Problem.model_validate_json(response.data, strict=True)
        assert told.status == response.status_code


def _rule(app: Flask, response: TestResponse) -> Rule | None:
    """The route that answered; None when there is none for that path and method."""
    asked = response.request
    try:
        found, _ = app.url_map.bind_to_environ(asked.environ).match(return_rule=True)
    except HTTPException:
        return None
    return found
