"""What is handed to the server: an answer in one piece, a file in many, nothing for no body."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, send_file
from werkzeug.test import EnvironBuilder

from webhooks.door.responses import Response


@pytest.fixture
def app() -> Flask:
    made = Flask(__name__)
    made.response_class = Response
    made.add_url_rule("/file", "file", lambda: send_file(BytesIO(b"abc"), "text/plain"))
    made.add_url_rule("/whole", "whole", lambda: Response("سلام"))
    made.add_url_rule("/nothing", "nothing", lambda: Response(status=204))
    return made


def handed_over(app: Flask, path: str, method: str = "GET") -> tuple[Iterable[bytes], Any]:
    seen: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        seen.update(headers, status=status)

    return app(EnvironBuilder(path, method=method).get_environ(), start_response), seen


def test_an_answer_is_one_piece(app: Flask) -> None:
    body, told = handed_over(app, "/whole")
    assert body == ["سلام".encode()]
    assert (told["status"], told["Content-Length"]) == ("200 OK", "8")


@pytest.mark.parametrize(
    ("path", "method", "length"), [("/nothing", "GET", None), ("/whole", "HEAD", "8")]
)
def test_what_has_no_body_is_no_piece(
    app: Flask, path: str, method: str, length: str | None
) -> None:
    body, told = handed_over(app, path, method)
    assert body == []
    assert told.get("Content-Length") == length


def test_a_file_is_still_sent_as_it_is_read(app: Flask) -> None:
    body, told = handed_over(app, "/file")
    assert not isinstance(body, list)
    assert b"".join(body) == b"abc"
    assert told["Content-Length"] == "3"


def test_what_waits_for_the_end_of_an_answer_hears_it(app: Flask) -> None:
    heard = []

    def view() -> Response:
        made = Response("told")
        made.call_on_close(lambda: heard.append("closed"))
        return made

    app.add_url_rule("/heard", view_func=view)
    handed_over(app, "/heard")
    assert heard == ["closed"]
