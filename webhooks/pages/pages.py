"""The pages that people look at, and the files that they are made of.

A page is the same for everybody: the token stays in the browser, attendance comes by the API.
Whatever a name contains, it is shown as text: nothing here runs but our own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlencode

import orjson
from flask import Blueprint, Response, request, send_from_directory

from webhooks.door import address
from webhooks.door.operation import HTML, Answer, operation
from webhooks.pages import page
from webhooks.schemas.event_bodies import Kind
from worker.health.sentences import SENTENCES

HERE = Path(__file__).parent
LANGUAGES = ("en", "ar")
"""The first is for those whose browser asks for none of them."""

ELEMENT = ("attendance-status.js", "attendance-status.d.ts")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

PAGE = Answer("A page.", {HTML: None})

pages = Blueprint("pages", __name__)


@pages.get("/", strict_slashes=False)  # or an empty path is redirected to what Host says
@operation(answers={200: PAGE})
def home() -> Response:
    """What Rollcall is, the status element live, and how to embed it."""
    return _page("home.html")


@pages.get("/sessions/<session>")
@operation(answers={200: PAGE}, problems=(400,))
def roster(session: str) -> Response:
    """A session's roster and timeline; whether there is such a session, the API says."""
    return _page("roster.html", asked={"session": address.session_id(session)})


@pages.get("/sessions")
@operation(answers={200: PAGE})
def sessions() -> Response:
    """The classes of a day, a course or a room, those that run now live."""
    return _page("sessions.html")


@pages.get("/courses/<course_id>")
@operation(answers={200: PAGE}, problems=(400,))
def course(course_id: str) -> Response:
    """A course: its people, and what each was in each of its classes."""
    named = address.identifier(course_id, query="course_id", of="course")
    return _page("course.html", asked={"course": named})


@pages.get("/people/<user_id>")
@operation(answers={200: PAGE}, problems=(400,))
def person(user_id: str) -> Response:
    """One person's attendance over time; whether there is such a person, the API says."""
    named = address.identifier(user_id, query="user_id", of="person")
    return _page("person.html", asked={"person": named})


@pages.get("/ops")
@operation(answers={200: PAGE})
def console() -> Response:
    """The operators' console; the API says who is one."""
    return _page("ops.html", kinds=get_args(Kind), findings=findings(_language()))


@pages.get("/static/<path:filename>")
def static(filename: str) -> Response:
    """The files of the pages, asked for anew (304) so that none is older than its page.

    The element is for other sites' pages: any origin may load it and its types, and keep them for
    five minutes.
    """
    types = "text/typescript" if filename.endswith(".ts") else None  # else it would be a video
    sent = send_from_directory(HERE / "static", filename, mimetype=types)
    if filename in ELEMENT:
        sent.headers["Access-Control-Allow-Origin"] = "*"
        sent.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        sent.headers["Cache-Control"] = "public, max-age=300"
    sent.headers["X-Content-Type-Options"] = "nosniff"
    return sent


def _page(template: str, asked: Mapping[str, str] | None = None, **more: object) -> Response:
    language = _language()
    said = words(language)
    other = urlencode(request.args.to_dict() | {"lang": said["other"]["lang"]})
    own = {"other_language": f"?{other}", **(asked or {})}
    made = page(template, POLICY, variant=language, asked=own, lang=language, words=said, **more)
    made.headers["Vary"] = "Accept-Language"
    return made


def _language() -> str:
    """What `?lang=` says, else what the browser prefers."""
    asked = request.args.get("lang")
    if asked in LANGUAGES:
        return asked
    return request.accept_languages.best_match(LANGUAGES, default=LANGUAGES[0])


@cache
def words(language: str) -> dict[str, Any]:
    """Everything that the pages say, in one of LANGUAGES."""
    words: dict[str, Any] = orjson.loads((HERE / "languages" / f"{language}.json").read_bytes())
    return words


@cache
def findings(language: str) -> dict[str, dict[str, str]]:
    """The sentences of all that health can find, in one of LANGUAGES; in English the doctor's."""
    if language == LANGUAGES[0]:
        return {finding: sentence._asdict() for finding, sentence in SENTENCES.items()}
    path = HERE / "languages" / f"{language}.findings.json"
    words: dict[str, dict[str, str]] = orjson.loads(path.read_bytes())
    return words
