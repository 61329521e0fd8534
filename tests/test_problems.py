"""Errors: problem+json whatever is asked; and what pages of other origins may do."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from models.settings.settings import Settings
from models.storage import db
from models.tables.session import sessions
from tests.doors import Rollcall, bearer, on_sqlite, ops_token, problem, serving, token

pytestmark = on_sqlite

ORIGIN = "https://school.example"


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api", "/api/sessions/98/nowhere", "/api/sessions/a/b/c", "/webhooks"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_an_unknown_path_is_a_404(client: FlaskClient, method: str, path: str) -> None:
    assert problem(client.open(path, method=method)) == (404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/webhooks/livekit", {"POST"}),
        ("GET", "/api/sessions/meeting/join", {"POST"}),
        ("PUT", "/api/sessions/meeting/leave", {"POST"}),
        ("POST", "/api/sessions/98", {"GET", "PUT", "DELETE"}),
        ("POST", "/api/sessions/98/attendance-status", {"GET"}),
        ("DELETE", "/api/sessions/98/attendance", {"GET"}),
        ("PATCH", "/healthz", {"GET"}),
    ],
)
def test_an_unknown_method_is_a_405_that_names_the_known_ones(
    client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.open(path, method=method)
    assert problem(answer) == (405, "method-not-allowed")
    assert {word.strip() for word in answer.headers["Allow"].split(",")} >= allowed


def test_a_mistake_of_ours_is_a_500_that_tells_nothing(rollcall: Rollcall) -> None:
    rollcall.put("98")
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(sessions).values(expected=[{"secret-98": "Aisha"}]))
    app = rollcall.client.application
    unchecked = Rollcall(FlaskClient(app, app.response_class), rollcall.backend)
    answer = unchecked.status("98", of=ops_token(), user_id="5")
    assert problem(answer) == (500, "internal-error")
    assert "secret-98" not in answer.text
    assert "Traceback" not in answer.text


# --- other origins --------------------------------------------------------------------------------


def test_a_page_of_a_named_origin_may_poll_and_read_errors(settings: Settings) -> None:
    origins = settings.model_copy(update={"cors_origins": (ORIGIN,)})
    with serving(origins) as rollcall:
        for of, status in ((token(), 200), ("garbage", 401), (token("5", "math-7"), 403)):
            answer = rollcall.client.get(
                "/api/sessions/quran-98/attendance-status",
                headers=bearer(of) | {"Origin": ORIGIN},
            )
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "X-Cache" in answer.headers["Access-Control-Expose-Headers"]
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_its_preflight_allows_the_token_and_json(settings: Settings, method: str) -> None:
    path = "attendance-status" if method == "GET" else "join"
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    with serving(settings.model_copy(update={"cors_origins": (ORIGIN,)})) as rollcall:
        answer = rollcall.client.options(f"/api/sessions/meeting/{path}", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert method in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert {"authorization", "content-type"} <= {word.strip() for word in allowed.split(",")}


@pytest.mark.parametrize("named", [(), (ORIGIN,)], ids=["none named", "another named"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        f"{ORIGIN}.evil.example",
        f"https://evil.example/{ORIGIN}",
        ORIGIN.replace(".", "x"),  # as if it were a regular expression
    ],
)
def test_a_page_of_another_origin_may_not(
    settings: Settings, named: tuple[str, ...], origin: str
) -> None:
    with serving(settings.model_copy(update={"cors_origins": named})) as rollcall:
        answer = rollcall.client.get(
            "/api/sessions/quran-98/attendance-status",
            headers=bearer(token()) | {"Origin": origin},
        )
    assert "Access-Control-Allow-Origin" not in answer.headers
