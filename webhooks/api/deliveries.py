"""Deliveries, for operators: what was sent to which receivers, and those that failed once more."""

from __future__ import annotations

from contextlib import suppress

from flask import Blueprint
from redis.exceptions import RedisError

from models.storage import db
from models.tables import delivery
from webhooks.door import address, auth
from webhooks.door.context import present, unhurried
from webhooks.door.operation import json, operation
from webhooks.door.problems import Problem
from webhooks.door.responses import Response
from webhooks.schemas import answers, delivery_replies
from webhooks.schemas.bodies import Query
from webhooks.schemas.delivery_replies import (
    DeliveriesPage,
    DeliveriesQuery,
    DeliveryLine,
    SentAgain,
)
from worker.inbox import bell, own_job

MOST_AGAIN = 10_000
"""Deliveries that one request has sent again."""

deliveries = Blueprint("deliveries", __name__, url_prefix="/api/deliveries")


@deliveries.get("")
@operation(
    tokens=("operator",),
    query=DeliveriesQuery,
    answers={200: json("A page.", DeliveriesPage)},
)
def index() -> Response:
    """Webhooks of our own, the newest first, a page at a time."""
    auth.operator()
    asked = DeliveriesQuery.of_request()
    with db.reading(unhurried().engine) as conn:
        found = delivery.page(conn, **asked.model_dump())
    return answers.answer(delivery_replies.page(found, limit=asked.limit))


@deliveries.post("/send")
@operation(
    tokens=("operator",), answers={200: json("They are sent again.", SentAgain)}, query=Query
)
def send_failed() -> Response:
    """Have those whose last attempt failed sent again, 10,000 at most.

    Also those that wait for their next attempt. Ask again while `count` is 10,000.
    """
    auth.operator()
    Query.of_request()
    with db.writing(unhurried().engine) as conn:
        count = delivery.send_failed_again(conn, now=present(), limit=MOST_AGAIN)
    _ring()
    return answers.answer({"count": count})


@deliveries.post("/<delivery_id>/send")
@operation(
    tokens=("operator",),
    answers={200: json("It is sent again.", DeliveryLine)},
    problems=(409,),
)
def send(delivery_id: str) -> Response:
    """Have one sent again, also one that was taken, under its id and from the first attempt on."""
    auth.operator()
    Query.of_request()
    asked = address.of_path(delivery_id, query="delivery_id")
    with db.writing(unhurried().engine) as conn:
        found = delivery.find(conn, asked)
        if found is None:
            raise Problem(404, "no-delivery", "No delivery has this id.")
        if not delivery.send_again(conn, found, now=present()):
            detail = "The session has a newer version, which has a delivery of its own."
            raise Problem(409, "newer-version", detail)
        again = delivery.find(conn, asked) or found
    _ring()
    return answers.answer(delivery_replies.line(again))


def _ring() -> None:
    """Without Redis it is sent when the scheduler looks again."""
    with suppress(RedisError):
        bell.enqueue_once(unhurried().redis, own_job.SEND)
