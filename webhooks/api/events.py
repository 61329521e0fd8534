"""The ledger, for operators: which events came, what became of each, and all of it once more."""

from __future__ import annotations

from flask import Blueprint

from models.ledger import entry
from models.ledger import replay as replays
from models.storage import db
from webhooks.door import address, auth
from webhooks.door.context import present, unhurried
from webhooks.door.operation import json, operation
from webhooks.door.problems import Problem
from webhooks.door.responses import Response
from webhooks.schemas import answers, event_replies
from webhooks.schemas.bodies import Query
from webhooks.schemas.event_bodies import MAX_REPLAY, EventsQuery, ReplayBody
from worker.operations import replay

events = Blueprint("events", __name__, url_prefix="/api/events")


@events.get("")
@operation(
    tokens=("operator",),
    query=EventsQuery,
    answers={200: json("A page.", event_replies.EventsPage)},
    problems=(429,),
)
def index() -> Response:
    """The events that were received, the newest first, a page at a time."""
    auth.operator()
    asked = EventsQuery.of_request()
    with db.reading(unhurried().engine) as conn:
        found = entry.page(conn, asked.filters, after=asked.place, limit=asked.limit)
    return answers.answer(event_replies.page(found, limit=asked.limit))


@events.get("/<event_id>")
@operation(tokens=("operator",), answers={200: json("The event.", event_replies.EventDetail)})
def show(event_id: str) -> Response:
    """One event with its payload, and what it changed."""
    auth.operator()
    Query.of_request()
    with db.reading(unhurried().engine) as conn:
        found = entry.find(
            conn, address.of_path(event_id, query="event_id"), rules=unhurried().rules
        )
        if found is None:
            raise Problem(404, "no-event", "The ledger has no event of this id.")
        known, payload = found
        changed = entry.changed(conn, known, rules=unhurried().rules)
    return answers.answer(event_replies.detail(known, payload, changed))


@events.post("/replay")
@operation(
    tokens=("operator",),
    body=ReplayBody,
    answers={200: json("What was put back.", event_replies.Replayed)},
)
def replay_some() -> Response:
    """Have events applied again: without any filter, those that failed.

    They go back to where they were before they were applied, and the workers take them again. To
    apply what was applied changes nothing.
    """
    auth.operator()
    Query.of_request()
    asked = ReplayBody.of_request()
    with db.reading(unhurried().engine) as conn:
        matched = replays.count(conn, asked.filters, after=asked.place, limit=asked.limit)
    requeued, at = 0, asked.place
    if not asked.dry_run:
        most = min(asked.limit or MAX_REPLAY, MAX_REPLAY)
        requeued, at = replay.put_back(
            unhurried(), asked.filters, after=at, limit=most, now=present()
        )
    following = str(at) if at is not None and not asked.dry_run and requeued < matched else None
    counts = {"matched": matched, "requeued": requeued, "rung": requeued}
    return answers.answer(counts | {"next": following})
