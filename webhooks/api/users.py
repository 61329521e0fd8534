"""People: where each of them was, and, for operators, to be forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from heapq import nsmallest
from typing import Any

from flask import Blueprint
from redis.exceptions import RedisError

from models.domain.corrections import Correction
from models.domain.tally import Tally
from models.ledger import person
from models.lookup import personal
from models.lookup.personal import Attended
from models.lookup.session_list import Wanted
from models.storage import db
from models.tables import correction
from webhooks.api import exports
from webhooks.door import address, auth, reading
from webhooks.door.callers import Caller
from webhooks.door.context import backend, present, unhurried
from webhooks.door.operation import json, operation
from webhooks.door.problems import RETRY_AFTER_SECONDS, Problem, forbidden
from webhooks.door.reading import Source
from webhooks.door.responses import Response
from webhooks.door.sending import take_seat
from webhooks.schemas import answers, event_replies, fields
from webhooks.schemas.event_bodies import EraseQuery
from webhooks.schemas.report_fields import TALLY
from webhooks.schemas.report_queries import PersonQuery, place
from webhooks.schemas.report_replies import PersonAttendance
from worker.operations import copies, erase

users = Blueprint("users", __name__, url_prefix="/api/users")


@users.get("/<user_id>/attendance")
@operation(
    tokens=("participant", "administrator", "operator"),
    query=PersonQuery,
    answers={200: json("A page.", PersonAttendance)},
    problems=(429,),
)
def attendance(user_id: str) -> Response:
    """One person's statuses over time, the session that began last first.

    A participant's token gets their own, the token of a room's admin anybody's, both in sessions of
    that room; an operator's anybody's in all sessions. An operator also gets all that is kept of
    the person, as a file: with `export`.
    """
    now, caller, asked = present(), auth.caller(), PersonQuery.of_request()
    named = address.of_path(user_id, query="user_id")
    if not caller.may_see(named, in_own_room=True):
        raise forbidden()
    take_seat(caller)
    if asked.export:
        return _export(auth.operator(), named, now)
    answer = partial(_attendance, caller=caller, user_id=named, asked=asked)
    return reading.from_standby(answer, now=now)


def _attendance(source: Source, *, caller: Caller, user_id: str, asked: PersonQuery) -> Response:
    wanted = asked.wanted(source.as_of, of_room=None if caller.operates else caller.room)
    tally = Tally()
    with db.snapshot(source.engine, timeout=exports.TIMEOUT_SECONDS) as conn:
        theirs = personal.attendances(conn, user_id, wanted, rules=backend().rules)
        beyond = (
            each
            for each in _counted(theirs, tally)
            if asked.is_beyond(each.began_at, each.session.id)
        )
        page = nsmallest(asked.limit + 1, beyond, key=personal.newest_first)
    shown = page[: asked.limit]
    following = place(shown[-1].began_at, shown[-1].session.id) if len(page) > asked.limit else None
    return answers.answer(
        {
            "user_id": user_id,
            "attendances": [answers.status(each.session, each.attendance) for each in shown],
            "summary": TALLY.of(tally),
            "next": following,
        }
    )


def _counted(theirs: Iterable[Attended], tally: Tally) -> Iterator[Attended]:
    """The same, each added to the tally when it counts."""
    for each in theirs:
        if each.counts:
            tally.add(each.session, each.attendance)
        yield each


def _export(_: Caller, user_id: str, now: datetime) -> Response:
    """Everything that is kept of the person, as one file. The primary is asked: what a standby has
    not heard of yet is kept all the same."""
    rules = backend().rules
    with db.snapshot(unhurried().engine, timeout=exports.TIMEOUT_SECONDS) as conn:
        theirs = sorted(
            personal.attendances(conn, user_id, Wanted(now), rules=rules, with_merged=True),
            key=personal.newest_first,
        )
        kept = person.entries(conn, user_id, rules=rules)
        events = [event_replies.line(one) | {"payload": payload} for one, payload in kept]
        corrected = [_correction(each, user_id) for each in correction.of_person(conn, user_id)]
    if not (theirs or events or corrected):
        raise Problem(404, "unknown-user", "Nothing is kept of a person of this id.")
    everything = _everything(user_id, theirs) | {"corrections": corrected, "events": events}
    sent = answers.answer(everything | {"next": None})
    sent.headers.set("Content-Disposition", "attachment", filename="person.json")
    return sent


def _correction(made: Correction, user_id: str) -> dict[str, Any]:
    """Of one that tells of somebody else, only that this person made or undid it: the reason, and
    whose it is, are not kept of them."""
    if not made.names(user_id):
        made = replace(made, user_id="", same_as=None, participant_sid=None, reason=None)
    return answers.correction(made)


def _everything(user_id: str, theirs: list[Attended]) -> dict[str, Any]:
    """All sessions of the person, with their visits and their names."""
    tally, names = Tally(), set[str | None]()
    for each in _counted(theirs, tally):
        names |= {each.attendance.name}
        names |= {awaited.name for awaited in each.session.expected if awaited.user_id == user_id}
    return {
        "user_id": user_id,
        "attendances": [
            answers.status(each.session, each.attendance)
            | {"cycles": [fields.VISIT.of(visit) for visit in each.attendance.visits]}
            for each in theirs
        ],
        "summary": TALLY.of(tally),
        "names": sorted(name for name in names if name),
    }


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
    """A program that got 200 asks never again, so it must not get half of it."""
    try:
        erase.fetch(unhurried())
    except RedisError:
        detail = "Redis does not answer, and events of them may wait there. Nothing was erased."
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise Problem(503, "redis-down", detail, headers=headers) from None
