"""Findings: what a look at LiveKit's API tells, as events of the ledger. Pure.

Each has an id made of what it is about, so finding it twice changes nothing. A `seen` has one row a
visit, renewed in place: the latest says all that those before it said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from models.domain import event as events
from models.domain.event import EPOCH, JOINED, LEFT, SEEN, Event, Unreadable
from models.domain.facts import Rules
from models.tables.open_visits import Standing

SEEN_EVERY = timedelta(minutes=2)
"""How old a sight becomes at most where it matters; less where STALE_AFTER_MINUTES is short."""

Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One event with its payload."""

    event: Event
    payload: dict[str, Any]

    @classmethod
    def of(cls, payload: Told) -> Finding | None:
        """As a webhook comes in, redaction included; None where that would be unreadable."""
        try:
            redacted = events.redact(events.parse(orjson.dumps(payload)))
            return cls(events.read(redacted, "reconciler"), redacted)
        except Unreadable:
            return None

    @property
    def renews(self) -> bool:
        return self.event.event == SEEN


def joined(room: Told, person: Told, *, at: datetime) -> Finding | None:
    """Somebody is inside of whom no webhook told; LiveKit says since when (`joinedAtMs`)."""
    return Finding.of(_payload(JOINED, person["sid"], at) | {"room": room, "participant": person})


def left(one: Standing, *, first_missed_at: datetime) -> Finding | None:
    """A visit that must have ended: nobody was there from then on."""
    what = one.participant_sid
    if one.left_at is not None:  # found gone before, and then seen again
        what = f"{what}:{_count(one.left_at, timedelta(microseconds=1))}"
    return Finding.of(_payload(LEFT, what, first_missed_at) | _known(one))


def seen(one: Standing, *, at: datetime) -> Finding | None:
    return Finding.of(_payload(SEEN, one.participant_sid, at) | _known(one))


def sight_matters(one: Standing, *, at: datetime, rules: Rules) -> bool:
    """Whether an answer depends on this visit having been seen, and it was not seen lately.

    It does near and past the scheduled end, for visits of about MAX_CYCLE_HOURS, and for those
    that were found gone. All others would only fill the ledger.
    """
    if one.inferred_over:
        return True
    every = min(SEEN_EVERY, rules.stale_after * 2 / 5)
    if one.last_seen_at is not None and at - one.last_seen_at < every:
        return False
    if one.ends_at is not None and at >= one.ends_at + rules.overrun - SEEN_EVERY:
        return True
    return one.joined_at is not None and at - one.joined_at >= rules.max_cycle - SEEN_EVERY


def _payload(what: str, about: str, at: datetime) -> dict[str, Any]:
    """LiveKit's form. Its webhooks' `createdAt` are whole seconds, and so are these."""
    created_at = str(_count(at, timedelta(seconds=1)))
    return {"event": what, "id": f"{what}:{about}", "createdAt": created_at}


def _known(one: Standing) -> dict[str, Any]:
    """Room and person as the tables have them: a person who was erased stays so."""
    return {
        "room": {
            "sid": one.room_sid,
            "name": one.room_name,
            "creationTimeMs": str(_count(one.room_created_at, timedelta(milliseconds=1))),
        },
        "participant": {"sid": one.participant_sid, "identity": one.user_id},
    }


def _count(instant: datetime, unit: timedelta) -> int:
    return (instant - EPOCH) // unit
