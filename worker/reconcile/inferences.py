"""Inferences: what a look at LiveKit's API says, as events of the ledger. Pure.

Each has an id made of what it is about, so the same inference twice changes nothing. A `seen` has
one row a visit, renewed in place: the latest says all that those before it said.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from models.domain import event as events
from models.domain.event import CLIENT_LEFT, JOINED, LEFT, SEEN
from models.domain.facts import RESTART_AFTER, Cycle, Rules
from models.domain.json_fields import EPOCH, Unreadable
from models.ledger import incoming
from models.ledger.incoming import Incoming
from models.lookup.open_visits import Standing

SEEN_EVERY = timedelta(minutes=2)
"""How old a sight becomes at most where it matters; less where STALE_AFTER_MINUTES is short."""

Protojson = Mapping[str, Any]


def joined(room: Protojson, person: Protojson, *, at: datetime) -> Incoming | None:
    """Somebody is inside whose join no webhook brought; LiveKit says since when (`joinedAtMs`)."""
    return _inferred(JOINED, person["sid"], at, room=room, participant=person)


def left(visit: Standing, *, first_missed_at: datetime) -> Incoming | None:
    """A visit that must have ended: nobody was there from then on."""
    about = visit.participant_sid
    if visit.left_at is not None:  # inferred to be over before, and then seen again
        about = f"{about}:{_count(visit.left_at, timedelta(microseconds=1))}"
    return _inferred(LEFT, about, first_missed_at, **_known(visit))


def left_by_hand(manual: Cycle, *, first_missed_at: datetime) -> Incoming:
    """A manual join that must have ended: its room was there without them, from then on."""
    about = manual.cycle_id
    if manual.left_at is not None:  # it was inferred to be over before, and they joined again
        about = f"{about}:{_count(manual.left_at, timedelta(microseconds=1))}"
    event_id = f"{CLIENT_LEFT}:{about}"
    event = events.leave_of(manual, event_id, at=first_missed_at, source="reconciler")
    return Incoming(event, events.client_payload(event))


def seen(visit: Standing, *, at: datetime) -> Incoming | None:
    return _inferred(SEEN, visit.participant_sid, at, **_known(visit))


def renews(inference: Incoming) -> bool:
    """Whether it takes the place of an older one in the inbox."""
    return inference.event.event == SEEN


def sight_matters(visit: Standing, *, at: datetime, rules: Rules) -> bool:
    """Whether an answer depends on this visit having been seen, and it was not seen lately.

    It does near and past the scheduled end, for visits of about MAX_CYCLE_HOURS, and for those
    that were inferred to be over. All others would only fill the ledger.
    """
    if visit.surely_over:
        return False
    if _began_before_restart(visit):
        return False
    if visit.inferred_over:
        return True
    every = min(SEEN_EVERY, rules.stale_after * 2 / 5)
    if visit.last_seen_at is not None and at - visit.last_seen_at < every:
        return False
    if visit.ends_at is not None and at >= visit.ends_at + rules.overrun - SEEN_EVERY:
        return True
    return visit.joined_at is not None and at - visit.joined_at >= rules.max_cycle - SEEN_EVERY


def _began_before_restart(visit: Standing) -> bool:
    """Whether the visit is older than its room's latest start: then LiveKit, which may keep its
    state in Redis, may list somebody who is gone, and seeing them says nothing."""
    started_at, joined_at = visit.room_started_at, visit.joined_at
    if started_at is None or joined_at is None:
        return False
    if started_at < visit.room_created_at + RESTART_AFTER:
        return False  # the first start
    return joined_at.replace(microsecond=0) < started_at


def _inferred(kind: str, about: str, at: datetime, **known: Protojson) -> Incoming | None:
    """In LiveKit's form, `createdAt` in whole seconds; None where a webhook would be unreadable."""
    created_at = str(_count(at, timedelta(seconds=1)))
    payload = {"event": kind, "id": f"{kind}:{about}", "createdAt": created_at, **known}
    try:
        return incoming.read(orjson.dumps(payload), "reconciler", now=at)
    except Unreadable:
        return None


def _known(visit: Standing) -> dict[str, Protojson]:
    """Room and person as the tables have them: a person who was erased stays so."""
    return {
        "room": {
            "sid": visit.room_sid,
            "name": visit.room_name,
            "creationTimeMs": str(_count(visit.room_created_at, timedelta(milliseconds=1))),
        },
        "participant": {"sid": visit.participant_sid, "identity": visit.user_id},
    }


def _count(instant: datetime, unit: timedelta) -> int:
    return (instant - EPOCH) // unit
