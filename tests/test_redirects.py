"""What the Host header says decides nothing: nobody is sent to where it points."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.test import Client

from models.settings.settings import Settings
from tests.doors import on_sqlite, serving

pytestmark = on_sqlite

ELSEWHERE = "evil.example"


def paths(app: Flask) -> list[str]:
    """Each route, and written in ways that a framework may want to put right."""
    routes = [
        rule.rule.replace("<", "").replace(">", "").replace("path:", "")
        for rule in app.url_map.iter_rules()
    ]
    return ["", "//"] + [
        written
        for route in routes
        for written in (route, f"/{route}", f"{route}/", route.replace("/", "//"), f"{route}//")
    ]


@pytest.mark.parametrize("prefix", ["", "/rollcall"])
def test_no_path_is_answered_with_a_redirect(settings: Settings, prefix: str) -> None:
    with serving(settings.model_copy(update={"path_prefix": prefix})) as rollcall:
        app = rollcall.client.application
        client = Client(app, app.response_class)
        for path in paths(app):
            for method in ("GET", "POST"):
                answer = client.open(
                    method=method,
                    headers={"Host": ELSEWHERE},
                    environ_overrides={"PATH_INFO": f"{prefix}{path}"},
                    buffered=True,
                )
                assert not 300 <= answer.status_code < 400, path
                assert ELSEWHERE not in str(answer.headers) + answer.text, path
