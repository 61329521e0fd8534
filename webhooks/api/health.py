"""Is it alive, is it ready: for load balancers and for whoever was woken up."""

from __future__ import annotations

from flask import Blueprint

from webhooks.api.answers import answer
from webhooks.api.replies import Alive, Ready
from webhooks.door.context import backend, present
from webhooks.door.operation import json, operation
from webhooks.door.responses import Response
from worker.health import checks, serves

health = Blueprint("health", __name__)


@health.get("/healthz")
@operation(answers={200: json("It answers.", Alive)})
def healthz() -> Response:
    """The process answers; nothing else is asked."""
    return answer({"alive": True})


@health.get("/readyz")
@operation(answers={200: json("Ready.", Ready), 503: json("Not ready.", Ready)})
def readyz() -> Response:
    """200 when webhooks can be stored. Redis being away is told, and no reason to stay away."""
    seen = {check.what: check for check in checks(backend(), now=present())}
    ready = all(map(serves, seen.values()))
    age = seen["pending"].seconds if "pending" in seen else None
    shown = {what: {"well": check.well, "seen": check.seen} for what, check in seen.items()}
    body = {"ready": ready, "pending_age_seconds": age, "checks": shown}
    return answer(body, status=200 if ready else 503)
