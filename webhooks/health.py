"""Is it alive, is it ready: for load balancers and for whoever was woken up."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from models import db, schema, webhook_event
from webhooks.answers import answer
from webhooks.context import backend, present
from webhooks.operation import json, operation
from webhooks.replies import Alive, Ready

health = Blueprint("health", __name__)

log = structlog.get_logger()


@health.get("/healthz")
@operation(answers={200: json("It answers.", Alive)})
def healthz() -> Response:
    """The process answers; nothing else is asked."""
    return answer({"alive": True})


@health.get("/readyz")
@operation(answers={200: json("Ready.", Ready), 503: json("Not ready.", Ready)})
def readyz() -> Response:
    """200 when webhooks can be stored. Redis being away is told, and no reason to stay away."""
    told: dict[str, object] = {"redis": _redis(), **_database()}
    ready = told["database"] == "ok" and told["migrations"] == "ok"
    return answer({"ready": ready, **told}, status=200 if ready else 503)


def _redis() -> str:
    try:
        backend().redis.ping()
    except RedisError:
        return "down"
    return "ok"


def _database() -> dict[str, object]:
    try:
        with db.reading(backend().engine) as conn:
            if not schema.is_current(conn):
                return {"database": "ok", "migrations": "missing", "pending_age_seconds": None}
            oldest = webhook_event.oldest_pending(conn)
    except SQLAlchemyError as error:
        log.warning("readyz.database_down", error=type(error).__name__)
        return {"database": "down", "migrations": "unknown", "pending_age_seconds": None}
    age = (present() - oldest).total_seconds() if oldest else 0.0
    return {"database": "ok", "migrations": "ok", "pending_age_seconds": round(age, 1)}
