"""The truth: in the end each acknowledged event is applied once, and rosters are as planned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select

from models.storage import db
from models.tables.webhook_event import ATTEMPTS, LEDGER, STATUS, webhook_events
from tests.doors import bearer, ops_token, session_url
from webhooks.simulator.event import Visit
from webhooks.simulator.plan import Plan
from worker.process.backend import Backend

Ledger = Mapping[str, tuple[str, int]]
"""Each event's status and how often it was tried, by its id."""


def ledger(backend: Backend) -> dict[str, tuple[str, int]]:
    seen = (webhook_events.c.event_id, STATUS.label("status"), ATTEMPTS.label("attempts"))
    statement = select(*seen).select_from(LEDGER)
    with db.reading(backend.engine) as conn:
        rows = conn.execute(statement).all()
    return {row.event_id: (row.status, row.attempts) for row in rows}


def unlike_ledger(stored: Ledger, plan: Plan, acknowledged: set[str]) -> Iterator[str]:
    """What is lost, failed, applied twice, or from nobody."""
    planned = {event.event_id for event in plan.events}
    yield from (f"lost though acknowledged: {one}" for one in sorted(acknowledged - stored.keys()))
    yield from (f"from nobody: {one}" for one in sorted(stored.keys() - planned))
    for event_id, (status, attempts) in stored.items():
        if (status, attempts) != ("applied", 1):
            yield f"{event_id} is {status} after {attempts} attempts"


def unlike_rosters(client: FlaskClient, stored: Ledger, plan: Plan) -> Iterator[str]:
    """Where a roster is not what happened, as far as LiveKit managed to tell it."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for event in plan.events:
        if event.visit is not None and event.event_id in stored:
            kinds[event.visit.participant_sid].add(event.kind)
    visits = sorted(plan.visits, key=lambda one: one.room.name)
    for room, of_room in groupby(visits, key=lambda one: one.room.name):
        answer = client.get(session_url(room, "attendance"), headers=bearer(ops_token()))
        roster = {one["user_id"]: one for one in answer.json["attendances"]}  # type: ignore[index]
        by_person: dict[str, list[Visit]] = defaultdict(list)
        for one in of_room:
            by_person[one.identity].append(one)
        for person in sorted(by_person.keys() | roster.keys()):
            told = [one for one in by_person[person] if kinds[one.participant_sid]]
            yield from _unlike(f"{room} {person}", told, roster.get(person), kinds)


def _unlike(
    who: str, told: list[Visit], seen: dict[str, Any] | None, kinds: Mapping[str, set[str]]
) -> Iterator[str]:
    cycles = {one["participant_sid"]: one for one in seen["cycles"]} if seen else {}
    if cycles.keys() != (sids := {one.participant_sid for one in told}):
        yield f"{who} has visits {sorted(cycles)}, not {sorted(sids)}"
        return
    complete = True
    for one in told:
        cycle = cycles[one.participant_sid]
        if _instant(cycle["joined_at"]) != one.joined_at:
            yield f"{who} joined at {cycle['joined_at']}, not {one.joined_at}"
        if "participant_left" not in kinds[one.participant_sid]:
            complete = False
        elif _instant(cycle["left_at"]) != one.left_at_as_told or cycle["estimated"]:
            yield f"{who} left at {cycle['left_at']}, not {one.left_at_as_told}"
    if seen and complete and seen["duration_seconds"] != _seconds(told):
        yield f"{who} was there for {seen['duration_seconds']} s, not {_seconds(told)}"


def _seconds(visits: list[Visit]) -> int:
    """The time that the visits cover, in whole seconds."""
    total, covered_to = timedelta(0), None
    for one in sorted(visits, key=lambda visit: visit.joined_at):
        begins = max(one.joined_at, covered_to or one.joined_at)
        if one.left_at_as_told > begins:
            total += one.left_at_as_told - begins
        covered_to = max(one.left_at_as_told, covered_to or one.left_at_as_told)
    return total // timedelta(seconds=1)


def _instant(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told) if told else None
