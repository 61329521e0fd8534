"""The peer's application: webhooks become jobs, statuses come from a cache or from one query."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import jwt
import orjson
from flask import Flask, Response, abort, request
from livekit.api import TokenVerifier, WebhookReceiver
from redis import Redis
from rq import Queue
from sqlalchemy import select

from tests.bench.peer import jobs
from tests.bench.peer.tables import Attendance

CACHE_SECONDS = int(os.environ.get("CACHE_TTL_SECONDS", "10"))
EVENTS = ("participant_joined", "participant_left")


def create_app() -> Flask:
    app, redis = Flask(__name__), Redis.from_url(os.environ["REDIS_URL"])
    key, secret = os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"]
    webhooks, queue = WebhookReceiver(TokenVerifier(key, secret)), Queue("peer", connection=redis)

    @app.post("/webhooks/livekit")
    def receive() -> Response:
        body, token = request.get_data(as_text=True), request.headers["Authorization"]
        try:
            event = webhooks.receive(body, token)
        except Exception:  # livekit-api raises no other
            abort(401)
        if event.event in EVENTS:
            queue.enqueue(jobs.apply, kwargs=jobs.told(event), result_ttl=0)
        return Response(status=204)

    @app.get("/alive")
    def alive() -> str:
        return "yes"

    @app.get("/api/sessions/<room>/attendance-status")
    def status(room: str) -> Response:
        identity = _identity(room, secret)
        cached = redis.get(f"peer:{room}:{identity}")
        if cached is None:
            cached = orjson.dumps(_status(room, identity))
            redis.setex(f"peer:{room}:{identity}", CACHE_SECONDS, cached)
        return Response(cached, content_type="application/json")

    return app


def _identity(room: str, secret: str) -> str:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"])
    except jwt.PyJWTError:
        abort(401)
    if claims["video"].get("room") != room:
        abort(403)
    return str(claims["sub"])


def _status(room: str, identity: str) -> dict[str, Any]:
    """One query; a live duration is up to the cache's age too old."""
    theirs = select(Attendance).where(Attendance.room == room, Attendance.identity == identity)
    with jobs.sessions()() as session:
        visits = session.scalars(theirs).all()
    now = datetime.now(UTC)
    spans = [(one.left_at or now) - one.joined_at for one in visits]
    return {
        "user_id": identity,
        "is_currently_in_meeting": any(one.left_at is None for one in visits),
        "join_count": len(visits),
        "duration_seconds": int(sum(span.total_seconds() for span in spans)),
    }
