"""One person's status: what a frontend polls."""

from __future__ import annotations

from datetime import datetime
from time import perf_counter
from typing import Any

import structlog
from flask import Blueprint

from models.domain import attendance
from models.domain.attendance import Attendance
from models.domain.facts import Meeting, Session
from webhooks.door import address, auth
from webhooks.door.callers import Caller
from webhooks.door.context import backend, context, present
from webhooks.door.operation import json, operation
from webhooks.door.problems import Problem
from webhooks.door.responses import Response
from webhooks.schemas import answers
from webhooks.schemas.bodies import StatusQuery
from webhooks.schemas.replies import Status
from worker.cache import cache
from worker.cache.cache import Facts
from worker.process import metrics

status = Blueprint("status", __name__, url_prefix="/api/sessions")

log = structlog.get_logger()


@status.get("/<session>/attendance-status")
@operation(
    tokens=("participant", "administrator", "operator"),
    query=StatusQuery,
    answers={
        200: json(
            "The status; null fields where nothing is known yet.",
            Status,
            X_Cache="`hit`, `revalidated`, `miss` or `bypass`: whether the cache had it.",
        )
    },
)
def attendance_status(session: str) -> Response:
    """One person's status: the caller's own, or with `?user_id=` another's."""
    started, now = perf_counter(), present()
    caller, asked = auth.caller(), address.of_path(session)
    user_id = StatusQuery.of_request().user_id or caller.user_id
    if user_id is None:
        raise Problem(400, "no-user", "This token is nobody's own: say whose with ?user_id=.")
    context().room_access.check(caller, asked, user_id, now=now)
    own = user_id == caller.user_id
    facts = cache.read(backend(), asked, user_id, keep_unknown=own)
    if address.is_another_rooms(caller, facts.meeting, asked):
        facts = cache.read_of_room(backend(), asked, user_id, keep_unknown=own)
    shown = _answer(facts, caller, asked, user_id, now)
    metrics.status_seconds.labels(facts.outcome).observe(perf_counter() - started)
    log.debug("status.served", outcome=facts.outcome)
    return answers.answer(shown, outcome=facts.outcome)


def _answer(
    facts: Facts, caller: Caller, asked: str, user_id: str, now: datetime
) -> dict[str, Any]:
    meeting = address.visible(caller, facts.meeting, asked, user_id, now=now)
    if meeting is None:
        return answers.unknown_status(asked, _nothing_known(asked, user_id, now))
    seen = attendance.view(
        meeting,
        user_id,
        facts.cycles,
        now=now,
        rules=backend().rules,
        expecting=facts.expecting,
    )
    return answers.status(meeting.session, seen)


def _nothing_known(asked: str, user_id: str, now: datetime) -> Attendance:
    return attendance.view(
        Meeting(Session(asked, asked)), user_id, (), now=now, rules=backend().rules
    )
