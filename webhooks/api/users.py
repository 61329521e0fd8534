"""People, for operators: to be forgotten."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint
from redis.exceptions import RedisError

from webhooks.door import address, auth
from webhooks.door.context import unhurried
from webhooks.door.operation import json, operation
from webhooks.door.problems import RETRY_AFTER_SECONDS, Problem
from webhooks.door.responses import Response
from webhooks.schemas import answers, event_replies
from webhooks.schemas.event_bodies import EraseQuery
from worker.operations import copies, erase

users = Blueprint("users", __name__, url_prefix="/api/users")


@users.delete("/<user_id>")
@operation(
    tokens=("operator",),
    query=EraseQuery,
    answers={200: json("Erased: how much there was.", event_replies.Erased)},
)
def delete(user_id: str) -> Response:
    """Erase a person: random pseudonyms take their place, one for each session; their names go.

    Totals of the sessions stay. Events that come later for a visit of theirs take its pseudonym.
    Then SQLite's file and Redis's append-only file are rewritten; `copies_left` names those that
    could not be. Without Redis, where events of them may wait, nothing is erased (503,
    `redis-down`).
    """
    auth.operator()
    asked = EraseQuery.of_request()
    named = address.of_path(user_id, query="user_id")
    _fetch()
    known = erase.known(unhurried(), named)
    if not any(asdict(known).values()):
        raise Problem(404, "unknown-user", "Nothing is kept of a person of this id.")
    if asked.dry_run:
        return answers.answer(asdict(known) | {"copies_left": []})
    done = erase.erase(unhurried(), named)
    return answers.answer(asdict(done) | {"copies_left": copies.remove(unhurried())})


def _fetch() -> None:
    """A program that was told 200 asks never again, so it must not be told half of it."""
    try:
        erase.fetch(unhurried())
    except RedisError:
        detail = "Redis does not answer, and events of them may wait there. Nothing was erased."
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise Problem(503, "redis-down", detail, headers=headers) from None
