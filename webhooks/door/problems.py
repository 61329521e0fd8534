"""Errors as problem+json (RFC 9457): each with a reason for programs and a sentence for people."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import orjson
import structlog
from flask import Flask, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from models.storage import reasons
from models.storage.db import OUTAGES
from webhooks.door.responses import Response
from worker.process import metrics

CONTENT_TYPE = "application/problem+json"

RETRY_AFTER_SECONDS = 7
"""Makes LiveKit retry at 0, 7, 14, 21 and 28 s rather than within 15 s."""

LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"

MEANINGS = {
    400: "The request can't be read, or says something impossible; `errors` names the fields.",
    401: "No token, or not a genuine one; `reason` says why.",
    403: "The token is not enough. The same for what is unknown and for what is forbidden.",
    404: "There is no such thing, or no such path.",
    409: "It can't be done at this time; `reason` says why. Nothing was stored.",
    413: "The body is too large.",
    429: "Too much for one person, at once or in all; nothing was stored.",
    503: "The database (or Redis, if needed) does not answer; nothing was stored. Send it again.",
}
"""What each status tells a caller."""

log = structlog.get_logger()


class Problem(Exception):
    """A request that can't be answered as asked: status, stable reason, sentence."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.more = status, reason, detail, more
        self.headers = headers


def unauthorized(reason: str, detail: str) -> Problem:
    return Problem(401, reason, detail)


def forbidden() -> Problem:
    """The same for what is unknown and for what is somebody else's, so that nothing leaks."""
    return Problem(403, "forbidden", "This token gives no access to that session or person.")


def response(
    status: int,
    reason: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    if status >= 500:
        metrics.server_errors.labels(request.endpoint or "none", reason).inc()
    title = HTTP_STATUS_CODES.get(status, "Error")
    problem = {"type": "about:blank", "title": title, "status": status, "reason": reason}
    body = orjson.dumps({**problem, "detail": detail, **more})
    return Response(body, status, headers, content_type=CONTENT_TYPE)


def refused(field: str, message: str) -> Problem:
    """What is wrong with one field of a request."""
    errors = [{"field": field, "message": message}]
    return Problem(400, "invalid", f"{field}: {message}", errors=errors)


def register(app: Flask) -> None:
    """Answer every error of the app as a problem."""
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(ValidationError, _invalid)
    app.register_error_handler(HTTPException, http)
    for outage in OUTAGES:
        app.register_error_handler(outage, _database_down)
    app.register_error_handler(Exception, _bug)


def _problem(error: Problem) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else error.headers
    return response(error.status, error.reason, error.detail, headers=headers, **error.more)


SENTENCES = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be a text, and stand there once",
}
"""By pydantic's kind of an error, what is said instead of its own words, which speak of inputs."""


def _invalid(error: ValidationError) -> Response:
    errors = [
        {
            "field": ".".join(str(part) for part in wrong["loc"]),
            "message": SENTENCES.get(wrong["type"], wrong["msg"]).removeprefix("Value error, "),
        }
        for wrong in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    detail = "; ".join(": ".join(filter(None, wrong.values())) for wrong in errors)
    return response(400, "invalid", detail, errors=errors)


def http(error: HTTPException) -> Response:
    """What werkzeug refuses, as a problem."""
    status = error.code or 500
    reason = (error.name or "error").lower().replace(" ", "-")
    headers = {
        name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")
    }
    return response(status, reason, error.description or reason, headers=headers)


def unavailable(error: Exception) -> Problem:
    """Nothing was stored because of the database, which may take it later."""
    if _is_contention(error):
        detail = "Others are changing the same at this moment. Nothing was stored; try again."
        return Problem(503, "busy", detail, headers={"Retry-After": "1"})
    log.error("database.down", reason=reasons.of(error))
    detail = "The database does not take it now. Nothing was stored; try again."
    if request.method in ("GET", "HEAD"):
        detail = "The database does not answer now. Try again."
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(503, "database-down", detail, headers=headers)


def _database_down(error: Exception) -> Response:
    return _problem(unavailable(error))


def _is_contention(error: Exception) -> bool:
    """Whether the database answered, that somebody else holds what was asked for."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.OperationalError):
        return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
    return getattr(cause, "sqlstate", None) in (LOCK_NOT_AVAILABLE, DEADLOCK)


def _bug(error: Exception) -> Response:
    log.exception("request.failed", error=type(error).__name__)
    return response(500, "internal-error", "This is a mistake of ours; the log has its trace.")
