"""Where LiveKit's webhooks come in: verified, stored, committed, then acknowledged.

The answer's body is never read, and one would cost LiveKit a new connection: 204, empty.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from time import perf_counter
from typing import Any

import structlog
from flask import Blueprint, Response, request
from redis.exceptions import RedisError

from models import db, webhook_event
from models import event as events
from models.event import Event, Unreadable
from webhooks import verify
from webhooks.context import backend, present
from webhooks.problems import response
from webhooks.verify import Rejected
from worker import bell

receiver = Blueprint("receiver", __name__)

log = structlog.get_logger()


@receiver.post("/webhooks/livekit")
def receive() -> Response:
    """One webhook. 204 means stored, or nothing to store; LiveKit retries a 5xx, never a 4xx."""
    started, now = perf_counter(), present()
    body = request.get_data(cache=False)
    try:
        verify.webhook(body, request.headers.get("Authorization"), keys=backend().keys, now=now)
    except Rejected as error:
        log.warning("webhook.rejected", reason=error.reason)
        return response(401, error.reason, str(error))
    try:
        payload = events.parse(body)
        if events.is_unused(payload):
            log.debug("webhook.unused")
            return Response(status=204)
        payload = events.redact(payload)
        event = events.read(payload)
    except Unreadable as error:
        return _unreadable(body, str(error), now)
    fresh = _store(event, payload, now)
    _ring()
    _log(event, fresh=fresh, ms=round((perf_counter() - started) * 1000, 1))
    return Response(status=204)


def _store(event: Event, payload: dict[str, Any], now: datetime) -> bool:
    with db.inserting(backend().engine) as conn:
        return webhook_event.record(conn, event, payload, received_at=now)


def _ring() -> None:
    """Without Redis the mail waits for the sweep; it is stored, which is what we acknowledge."""
    try:
        bell.ring(backend().redis)
    except RedisError as error:
        log.warning("bell.unheard", error=type(error).__name__)


def _unreadable(body: bytes, reason: str, now: datetime) -> Response:
    """Signed, so it is LiveKit's, and an operator must see it; but not what it said."""
    event_id = f"sha256:{hashlib.sha256(body).hexdigest()}"
    error = f"{reason} ({len(body)} bytes)"
    with db.inserting(backend().engine) as conn:
        webhook_event.record_unreadable(conn, event_id, error=error, received_at=now)
    log.warning("webhook.unreadable", event_id=event_id, length=len(body))
    return response(400, "unreadable", f"The webhook can't be read: {reason}.")


def _log(event: Event, *, fresh: bool, ms: float) -> None:
    log.info(
        "webhook.received",
        event_id=event.event_id,
        _event=event.event,  # the line's `event`: see logs.configure
        room=event.room_sid,
        duplicate=not fresh,
        ms=ms,
    )
