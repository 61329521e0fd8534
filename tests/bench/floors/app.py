"""The floors' application: the verifier without storage, a bare route, a route with one HMGET."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, request
from redis import Redis
from redis.typing import FieldT as Field

from models.settings.settings import load
from webhooks.door import verify

HASH = "floor"
FIELDS: dict[Field, Field] = {"_": "m" * 700, "whole": "1", "u:5": "c" * 500}
"""About what a session's facts are: the meeting, and one person's cycles."""

TOLD = {"session_id": "98", "user_id": "5", "is_currently_in_meeting": True}


def create_app() -> Flask:
    app, settings = Flask(__name__), load()
    keys, redis = settings.keys, Redis.from_url(settings.redis_url)
    redis.hset(HASH, mapping=FIELDS)

    @app.post("/webhooks/livekit")
    def verify_only() -> Response:
        body, token = request.get_data(cache=False), request.headers.get("Authorization")
        verify.webhook(body, token, keys=keys, now=datetime.now(UTC))
        return Response(status=204)

    @app.get("/bare")
    def bare() -> dict[str, Any]:
        return TOLD

    @app.get("/hmget")
    def one_hmget() -> dict[str, Any]:
        meeting, whole, cycles = redis.hmget(HASH, ["_", "whole", "u:5"])
        return TOLD | {"known": bool(meeting and whole and cycles)}

    return app
