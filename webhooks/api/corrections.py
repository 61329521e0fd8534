"""Corrections of attendance, by operators and by the admins of a session's room.

Each is a ledger event, applied at once by the same fold, in the transaction that stores it. It
changes no fact, and is undone by a further event.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from uuid import uuid4

import structlog
from flask import Blueprint
from sqlalchemy import Connection

from models.domain import correction_payload
from models.domain import event as events
from models.domain.corrections import Correction
from models.domain.event import CORRECTED, CORRECTION_UNDONE
from models.domain.facts import Session, made_for
from models.ledger import apply, erasure
from models.storage import db
from models.tables import correction, webhook_event
from webhooks.api import correction_checks, meant
from webhooks.api.correction_checks import Corrected
from webhooks.door import address, auth
from webhooks.door.callers import Caller
from webhooks.door.context import backend, context, present
from webhooks.door.operation import json, operation
from webhooks.door.problems import Problem, forbidden
from webhooks.door.responses import Response
from webhooks.schemas import answers, replies
from webhooks.schemas.bodies import CorrectionBody, Query
from worker.cache.change import Change, changing

corrections = Blueprint("corrections", __name__, url_prefix="/api/sessions")

BY_OPERATOR = "operator"
"""The author when the token is nobody's own, as a server's is."""

log = structlog.get_logger()


@corrections.post("/<session>/corrections")
@operation(
    tokens=("administrator", "operator"),
    body=CorrectionBody,
    answers={
        201: json("Made.", replies.Correction),
        200: json("One that says the same counts already: that one.", replies.Correction),
    },
    problems=(404, 409),
)
def make(session: str) -> Response:
    """Correct one person's attendance, with a reason; the status and the roster show it at once.

    `excused` turns `absent` into `excused`. `present` adds a visit. `not_a_visit` takes one away.
    `same_person` counts the visits of one `user_id` as another's. `note` only says something.
    What counts already is not made again, so a request can be sent once more.
    """
    now, caller, asked = present(), auth.administrator(), address.of_path(session)
    Query.of_request()
    body = CorrectionBody.of_request()
    with changing(backend()) as change:
        erasure.hold_drains(change.conn, shared=True)  # before any row, as drains do
        meant = _look_up(change.conn, caller, asked, now).session.id
        db.lock(change.conn, [f"session:{meant}"])
        corrected = _look_up(change.conn, caller, asked, now)  # as whoever held it left it
        made = _made(corrected, body, now)
        known = correction_checks.same(made, corrected.standing)
        if known is not None:
            return answers.answer(answers.correction(known))
        correction_checks.check(change.conn, corrected, made, now)
        _record(change, made, CORRECTED, made.id, at=now)
    log.info("correction.made", session_id=made.session_id, kind=made.kind)
    return answers.answer(answers.correction(made), status=201)


@corrections.get("/<session>/corrections")
@operation(
    tokens=("administrator", "operator"),
    answers={200: json("All of them.", replies.Corrections)},
    problems=(404,),
)
def index(session: str) -> Response:
    """The corrections of a session, the latest first; undone ones too, with who undid them."""
    caller, asked = auth.administrator(), address.of_path(session)
    Query.of_request()
    with db.reading(backend().engine) as conn:
        corrected = _look_up(conn, caller, asked, present())
        history = correction.history(conn, corrected.session.id)
    elsewhere = [each for each in corrected.standing if each.session_id != corrected.session.id]
    listed = [answers.correction(each) for each in (*history, *reversed(elsewhere))]
    return answers.answer({"corrections": listed})


@corrections.delete("/<session>/corrections/<correction_id>")
@operation(
    tokens=("administrator", "operator"),
    answers={200: json("Undone.", replies.Correction)},
    problems=(404,),
)
def undo(session: str, correction_id: str) -> Response:
    """Undo a correction, by an event of its own: the ledger keeps both. Again changes nothing."""
    now, caller, asked = present(), auth.administrator(), address.of_path(session)
    Query.of_request()
    with changing(backend()) as change:
        erasure.hold_drains(change.conn, shared=True)  # before any row, as drains do
        corrected = _look_up(change.conn, caller, asked, now)
        known = correction.locked(change.conn, [correction_id]).get(correction_id)
        if known is None or not _counts_in(known, corrected):
            raise Problem(404, "no-correction", "This session has no correction of this id.")
        if known.undone_at is None:
            known = replace(known, undone_at=now, undone_by=corrected.author)
            _record(change, known, CORRECTION_UNDONE, correction_payload.undoing(known.id), at=now)
    log.info("correction.undone", session_id=known.session_id, kind=known.kind)
    return answers.answer(answers.correction(known))


def _look_up(conn: Connection, caller: Caller, asked: str, now: datetime) -> Corrected:
    """The session that is meant, if this caller may correct it. Raises Problem: 403 or 404.

    A room's admin corrects the sessions of that room: those that are registered with it as their
    `room_name`, and those that are made on the spot for its days.
    """
    context().room_access.check(caller, asked, None, now=now)
    known = meant.facts(conn, caller, asked, now=now)
    if known is None:
        raise Problem(404, "no-session", "Nothing is known of this session yet.")
    if not caller.operates and not _is_of_room(known.meeting.session, caller.room):
        raise forbidden()
    standing = correction.of_session(conn, known.meeting.session).made
    return Corrected(known, caller.user_id or BY_OPERATOR, standing)


def _counts_in(made: Correction, corrected: Corrected) -> bool:
    """Whether it was made in this session, or counts in it for always."""
    counting = {each.id for each in corrected.standing}
    return made.session_id == corrected.session.id or made.id in counting


def _is_of_room(session: Session, room_name: str | None) -> bool:
    if session.registered:
        return session.room_name == room_name
    return made_for(session.id)[0] == room_name


def _made(corrected: Corrected, body: CorrectionBody, now: datetime) -> Correction:
    session = corrected.session
    return Correction(
        id=f"CO_{uuid4().hex}",
        session_id=session.id,
        room_name=session.room_name,
        user_id=body.user_id,
        kind=body.kind,
        made_at=now,
        author=corrected.author,
        reason=body.reason,
        starts_at=body.since,
        ends_at=body.until,
        participant_sid=body.participant_sid,
        same_as=body.same_as,
        always_from=_began(session, now) if body.always else None,
    )


def _began(session: Session, now: datetime) -> datetime:
    """From when on a correction for always counts: the session's start, or its day's."""
    _, day = made_for(session.id)
    on_day = datetime.combine(day, time(), UTC) if day else now
    return session.scheduled_at or on_day


def _record(change: Change, said: Correction, kind: str, event_id: str, *, at: datetime) -> None:
    """Put the event into the ledger and apply it. Hold the drains before (`erasure`)."""
    event = events.of_correction(said, kind, event_id, at=at)
    payload = correction_payload.write(said, event=kind, event_id=event_id, at=at)
    webhook_event.record_applied(change.conn, event, payload)
    touched = apply.apply(change.conn, [event], now=at, settings=backend().settings)
    change.keys.update(touched.keys)
