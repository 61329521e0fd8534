"""Where LiveKit's webhooks come in: verified, stored, committed, then acknowledged.

The answer's body is never read, and one would cost LiveKit a new connection: 204, empty.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from time import perf_counter
from typing import Any, Literal

import structlog
from flask import Blueprint, request
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from models.domain.event import Event
from models.domain.json_fields import Unreadable
from models.ledger import incoming
from models.storage import errors, reasons
from models.tables import webhook_event
from webhooks.door import problems, verify
from webhooks.door.context import backend, context, present
from webhooks.door.operation import Answer, operation
from webhooks.door.problems import response
from webhooks.door.responses import Response
from webhooks.door.verify import Rejected
from webhooks.openapi.webhook_body import Webhook
from webhooks.schemas.bodies import whole_body
from worker.inbox import bell, spool
from worker.process import metrics

receiver = Blueprint("receiver", __name__)

Outcome = Literal["stored", "duplicate", "spooled", "unused", "unreadable"]
OTHER = "other"
"""What the metrics call an event that is none of ours: labels never come from outside."""

log = structlog.get_logger()


@receiver.post("/webhooks/livekit", strict_slashes=False)
@operation(
    tokens=("webhook",),
    body=Webhook,
    answers={
        204: Answer("Stored, or nothing to store. It has no body: one would cost a connection.")
    },
)
def receive() -> Response:
    """One webhook. 204 means stored, or nothing to store; LiveKit retries a 5xx, never a 4xx."""
    started, now = perf_counter(), present()
    try:
        limited = request.stream  # 413, unread, for a body that says that it is too large
        claims = verify.webhook_claims(
            request.headers.get("Authorization"), keys=backend().keys, now=now
        )
        body = whole_body(limited)
        verify.check_body(claims, body)
    except Rejected as error:
        _rejected(error.reason, now)
        return response(401, error.reason, str(error))
    except RequestEntityTooLarge:
        _rejected("too_large", now)
        raise
    kind, outcome, answered = _keep(body, now, started)
    metrics.webhook_seconds.labels(kind, outcome).observe(perf_counter() - started)
    return answered


@receiver.app_errorhandler(404)
@receiver.app_errorhandler(405)
def misdirected(error: HTTPException) -> Response:
    """A genuine webhook at another path is lost, for LiveKit takes the answer as delivered: have
    operators hear of it."""
    if request.method == "POST" and _has_webhook_token():
        _rejected("wrong_path", present())
    return problems.http(error)


def count_from_zero() -> None:
    """Show each reason from the start: Prometheus sees no increase in what was never zero."""
    for reason in (*verify.REASONS, "too_large", "wrong_path"):
        metrics.webhook_rejects.labels(reason)


def _has_webhook_token() -> bool:
    try:
        token = request.headers.get("Authorization")
        verify.webhook_claims(token, keys=backend().keys, now=present())
    except Rejected:
        return False
    return True


def _rejected(why: str, now: datetime) -> None:
    metrics.webhook_rejects.labels(why).inc()
    issuer = verify.claimed_issuer(request.headers.get("Authorization"))
    context().rejections.count(why, issuer, now=now)
    log.warning("webhook.rejected", reason=why)


def _keep(body: bytes, now: datetime, started: float) -> tuple[str, Outcome, Response]:
    """Store the event, if it is of use: its kind, what became of it, the answer."""
    try:
        read = incoming.read(body, now=now)
        if read is None:
            return OTHER, "unused", Response(status=204)
        outcome = _store(read.row(received_at=now))
    except Unreadable as error:
        return OTHER, "unreadable", _unreadable(body, str(error), now)
    _log(read.event, outcome, ms=round((perf_counter() - started) * 1000, 1))
    return read.event.event, outcome, Response(status=204)


def _store(row: dict[str, Any]) -> Outcome:
    """Where it is safe: in the inbox, or in the spool when the database did not take it, whatever
    the reason. Then it rings.

    Raises Unreadable for a row that no database would take.
    """
    try:
        entry = context().group_commit.put(row)
    except SQLAlchemyError as error:
        if errors.refuses_row(error):
            raise Unreadable(f"the database refuses it: {reasons.of(error)}") from None
        _spool(row, error)
        return "spooled"
    if entry.rings:
        _ring()
    return "stored" if entry.fresh else "duplicate"


def _spool(row: dict[str, Any], refusal: SQLAlchemyError) -> None:
    """Keep it in Redis. Raises Problem when that does not take it either: LiveKit comes again."""
    try:
        spool.add(backend().redis, row)
    except RedisError as error:
        log.error("spool.down", reason=reasons.of(error))
        raise problems.unavailable(refusal) from None
    log.warning("webhook.spooled", event_id=row["event_id"], reason=reasons.of(refusal))
    context().spool_copier.start()
    _ring()


def _ring() -> None:
    """Without Redis this process applies its own mail; it is stored, which we acknowledge."""
    try:
        bell.ring(backend().redis)
    except RedisError:
        context().local_drain.wake()


def _unreadable(body: bytes, why: str, now: datetime) -> Response:
    """Signed, so it is LiveKit's, and an operator must see it; but not what it said."""
    event_id = f"sha256:{hashlib.sha256(body).hexdigest()}"
    error = f"{why} ({len(body)} bytes)"
    _store(webhook_event.unreadable_row(event_id, error=error, received_at=now))
    log.warning("webhook.unreadable", event_id=event_id, length=len(body))
    return response(400, "unreadable", f"The webhook can't be read: {why}.")


def _log(event: Event, outcome: Outcome, *, ms: float) -> None:
    log.info(
        "webhook.received",
        event_id=event.event_id,
        _event=event.event,  # the line's `event`: see logs.configure
        room=event.room_sid,
        duplicate=outcome == "duplicate",
        spooled=outcome == "spooled",
        ms=ms,
    )
