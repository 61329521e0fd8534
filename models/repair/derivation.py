"""Derivation: what the ledger tells of some rooms, visits and corrections, folded anew.

Applied events make up the facts. Pending ones may have been applied before (a replay puts them
back), so they are folded too, and handed out: whoever compares folds them into both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from models.domain import correction_payload, merge
from models.domain.corrections import Correction
from models.domain.event import CORRECTED, Event
from models.domain.facts import Cycle, Room, Rules
from models.domain.json_fields import Unreadable
from models.ledger.erasure import TELLS_OF, disguised, erasures
from models.lookup import reach as reaching
from models.lookup import session_facts
from models.storage.bulk import chunks
from models.tables import correction, webhook_event
from models.tables.correction import corrections
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.webhook_event import (
    CONTENT,
    IS_PENDING,
    IS_RARE,
    LEDGER,
    STATUS,
    webhook_events,
)

CHUNK = 500
ROOMS = 50
"""Rooms in an extent when all are compared: a class of each is some thousand events."""

COUNTED = ("applied", "pending")


@dataclass(frozen=True, slots=True)
class Extent:
    """What is derived together: lives of rooms with their cycles, and cycles and corrections by
    themselves.

    `session_id` is whose they are, when they are one session's.
    """

    session_id: str | None
    sids: frozenset[str]
    cycle_ids: frozenset[str]
    correction_ids: frozenset[str] = frozenset()


@dataclass(slots=True)
class Derived:
    """The facts as the ledger tells them.

    `applied` has the keys of which an applied event tells, `dated` those whose beginning an event
    carries. `unmasked`: the rows that still name somebody who was erased, with the pseudonyms;
    `unreadable`: the events that were applied once and can't be read now.
    """

    rooms: dict[str, Room] = field(default_factory=dict)
    cycles: dict[str, Cycle] = field(default_factory=dict)
    corrections: dict[str, Correction] = field(default_factory=dict)
    applied: set[str] = field(default_factory=set)
    dated: set[str] = field(default_factory=set)
    waiting: list[Event] = field(default_factory=list)
    unmasked: dict[int, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def add(self, row: Row[*tuple[Any, ...]]) -> None:
        """Fold one event of the ledger."""
        try:
            event = webhook_event.content(row).read()
        except Unreadable:
            if row.status == "applied":
                self.unreadable.append(row.event_id)
            return
        if row.pseudonym is not None:
            event = disguised(event, row.pseudonym)
            if row.status == "applied" and row.user_id != row.pseudonym:
                self.unmasked[row.id] = row.pseudonym
        self._fold(event)
        if row.status == "pending":
            self.waiting.append(event)
        else:
            keys = (event.room_sid, event.participant_sid, event.visit, _correction_id(event))
            self.applied |= {key for key in keys if key}

    def _fold(self, event: Event) -> None:
        if sid := event.room_sid:
            self.rooms[sid] = merge.merge_room(self.rooms.get(sid), event)
            self.dated |= {sid} if event.room_created_at else set()
        if key := event.participant_sid or event.visit:
            self.cycles[key] = merge.merge(self.cycles.get(key), event)
            self.dated |= {key} if event.joined_at else set()
        if key := _correction_id(event):
            self.corrections[key] = merge.merge_correction(self.corrections.get(key), event)
            self.dated.add(key)


def _correction_id(event: Event) -> str | None:
    return event.correction.id if event.correction is not None else None


def of_extent(conn: Connection, extent: Extent) -> Derived:
    """What the ledger tells of these rooms, their cycles, and these visits."""
    derived = Derived()
    for sids in chunks(extent.sids, CHUNK):
        _fold(conn, derived, webhook_events.c.room_sid.in_(sids))
    for cycle_ids in chunks(extent.cycle_ids, CHUNK):
        _fold(conn, derived, webhook_events.c.visit.in_(cycle_ids))
    for ids in chunks(extent.correction_ids, CHUNK):
        _fold(conn, derived, webhook_events.c.event_id.in_(_event_ids(ids)))
    return derived


def add_elsewhere(conn: Connection, derived: Derived, unrecorded: Iterable[Cycle]) -> None:
    """Fold what the ledger tells of these cycles of people in whatever room."""
    for some in chunks(unrecorded, CHUNK):
        theirs = webhook_events.c.user_id.in_({known.user_id for known in some})
        named = webhook_events.c.participant_sid.in_([known.cycle_id for known in some])
        elsewhere = Derived()
        _fold(conn, elsewhere, theirs & named)
        derived.cycles |= elsewhere.cycles
        derived.applied |= elsewhere.applied & elsewhere.cycles.keys()
        derived.dated |= elsewhere.dated & elsewhere.cycles.keys()
        derived.waiting += [event for event in elsewhere.waiting if event.participant_sid]


def of_session(conn: Connection, session_id: str, rules: Rules) -> Extent:
    """The rooms and manual joins in which the session may own moments, as the tables have them."""
    facts = session_facts.facts(conn, session_id, rules=rules)
    if facts is None:
        return Extent(session_id, frozenset(), frozenset())
    visits = conn.execute(reaching.manual_joins(conn, facts.reach)).scalars()
    sids = frozenset(life.sid for life in facts.meeting.rooms)
    corrected = frozenset(each.id for each in correction.history(conn, session_id))
    return Extent(session_id, sids, frozenset(visits), corrected)


def with_lost(conn: Connection, extent: Extent, rules: Rules) -> Extent:
    """The extent with what the ledger has under the session's room names and no table has."""
    facts = session_facts.facts(conn, extent.session_id or "", rules=rules)
    here = webhook_events.c.room_name.in_(facts.reach.names if facts is not None else ())
    sids = conn.execute(_lost_rooms().where(here)).scalars()
    visits = conn.execute(_lost_visits().where(here)).scalars()
    own = webhook_events.c.session_id == extent.session_id
    corrected = conn.execute(_lost_corrections().where(own)).scalars()
    return Extent(
        extent.session_id,
        extent.sids | set(sids),
        extent.cycle_ids | set(visits),
        extent.correction_ids | set(corrected),
    )


def everything(conn: Connection) -> list[Extent]:
    """All rooms with their cycles, then manual joins and what no table, or no room, has; then the
    corrections."""
    roomless = ~select(1).where(rooms.c.sid == cycles.c.room_sid).exists()
    sids = [
        *conn.execute(select(rooms.c.sid).order_by(rooms.c.name, rooms.c.created_at)).scalars(),
        *conn.execute(_lost_rooms()).scalars(),
    ]
    alone = cycles.c.room_sid.is_(None) | roomless
    cycle_ids = {
        *conn.execute(select(cycles.c.cycle_id).where(alone)).scalars(),
        *conn.execute(_lost_visits()).scalars(),
    }
    in_rooms = [Extent(None, frozenset(chunk), frozenset()) for chunk in chunks(sids, ROOMS)]
    by_hand = [
        Extent(None, frozenset(), frozenset(chunk)) for chunk in chunks(sorted(cycle_ids), CHUNK)
    ]
    corrected = {
        *conn.execute(select(corrections.c.id)).scalars(),
        *conn.execute(_lost_corrections()).scalars(),
    }
    by_operators = [
        Extent(None, frozenset(), frozenset(), frozenset(chunk))
        for chunk in chunks(sorted(corrected), CHUNK)
    ]
    return in_rooms + by_hand + by_operators


def _lost_rooms() -> Select[Any]:
    column = webhook_events.c.room_sid
    known = select(1).where(rooms.c.sid == column).exists()
    return _applied(column).where(~known)


def _lost_visits() -> Select[Any]:
    column = webhook_events.c.visit
    known = select(1).where(cycles.c.cycle_id == column).exists()
    return _applied(column).where(~known)


def _lost_corrections() -> Select[Any]:
    """By their first events, whose ids are theirs."""
    column = webhook_events.c.event_id
    known = select(1).where(corrections.c.id == column).exists()
    return _applied(column).where(~known, webhook_events.c.event == CORRECTED, IS_RARE)


def _event_ids(correction_ids: Iterable[str]) -> list[str]:
    """The events that make these corrections, and those that may undo them."""
    return [
        event_id for each in correction_ids for event_id in (each, correction_payload.undoing(each))
    ]


def _applied(column: ColumnElement[Any]) -> Select[Any]:
    applied = (webhook_events.c.status == "applied") & ~IS_PENDING
    return select(column).select_from(LEDGER).where(applied, column.is_not(None)).distinct()


def _fold(conn: Connection, derived: Derived, condition: ColumnElement[bool]) -> None:
    """Fold the events for which the condition holds, a few at a time."""
    column = webhook_events.c
    status = STATUS.label("status")
    statement = (
        select(column.id, status, erasures.c.pseudonym, *CONTENT)
        .select_from(LEDGER.outerjoin(erasures, erasures.c.cycle_id == TELLS_OF))
        .where(condition, STATUS.in_(COUNTED))
        .execution_options(yield_per=CHUNK)
    )
    for row in conn.execute(statement):
        derived.add(row)
