"""Filters: which events of the ledger an operator means, read in pages by cursor.

Each filter has an index in the order of reading, so that a page costs the same however long the
ledger is and however deep the page. Joins and leaves are nearly all that there is: their index is
the one by time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    TextClause,
    bindparam,
    false,
    literal,
    literal_column,
    select,
    tuple_,
    union_all,
)

from models.domain import ownership
from models.domain.event import CORRECTION_EVENTS, JOINED, LEFT
from models.domain.facts import Rules
from models.domain.json_fields import EPOCH
from models.lookup import reach as reaching
from models.lookup import session_facts
from models.lookup.meetings import Facts
from models.storage.db import Instant, RowId, among
from models.tables.webhook_event import IS_PENDING, IS_RARE, LEDGER, webhook_events

ONE_MICROSECOND = timedelta(microseconds=1)
CURSOR = re.compile(r"[0-9]{1,16}-[0-9]{1,18}")
"""Microseconds since 1970 (until 2286), and a row's id."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the ledger: pages begin beyond it. Its text is opaque to whoever pages."""

    received_at: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.received_at - EPOCH) // ONE_MICROSECOND}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises ValueError."""
        if not CURSOR.fullmatch(text):
            raise ValueError("is no cursor that a page gave")
        micros, _, row_id = text.partition("-")
        return cls(EPOCH + int(micros) * ONE_MICROSECOND, int(row_id))


@dataclass(frozen=True, slots=True)
class Filters:
    """Events for which all of this holds; None asks for nothing.

    `since` and `until` (exclusive) bound when they were received. `session_id` means the rooms and
    the manual joins in which the session may own moments as things stand, at the times when it may;
    `rules` say how far that reaches.
    """

    status: str | None = None
    event: str | None = None
    room_name: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    event_ids: tuple[str, ...] | None = None
    rules: Rules = field(default_factory=Rules, compare=False)


def newest_first(
    conn: Connection,
    filters: Filters,
    *columns: ColumnElement[Any],
    after: Cursor | None = None,
    limit: int,
) -> Select[Any]:
    """These columns of the matching events, of the newest first, beyond `after`."""
    statement = _matching(conn, filters, *columns)
    chosen = statement.selected_columns
    if after is not None:
        statement = statement.where(tuple_(chosen.received_at, chosen.id) < _value(after))
    return statement.order_by(chosen.received_at.desc(), chosen.id.desc()).limit(limit)


def oldest_first(
    conn: Connection,
    filters: Filters,
    *,
    only: ColumnElement[bool],
    after: Cursor | None = None,
    limit: int | None = None,
) -> Select[Any]:
    """The places of the matching events for which `only` holds too, oldest first."""
    statement = _matching(conn, filters, only=only)
    chosen = statement.selected_columns
    if after is not None:
        statement = statement.where(tuple_(chosen.received_at, chosen.id) > _value(after))
    return statement.order_by(chosen.received_at, chosen.id).limit(limit)


def _matching(
    conn: Connection,
    filters: Filters,
    *columns: ColumnElement[Any],
    only: ColumnElement[bool] | None = None,
) -> Select[Any]:
    """The matching rows of LEDGER with `received_at`, `id` and these columns, in no order."""
    wanted = [webhook_events.c.received_at, webhook_events.c.id, *columns]
    conditions = [*_conditions(filters), *(() if only is None else (only,))]
    matching = select(*wanted).select_from(LEDGER).where(*conditions)
    if filters.session_id is None:
        return matching
    facts = session_facts.facts(conn, filters.session_id, rules=filters.rules)
    if facts is None:
        return matching.where(false())
    in_rooms = matching.where(_in_rooms(conn, facts, filters.rules))
    by_hand = matching.where(webhook_events.c.visit.in_(reaching.manual_joins(conn, facts.reach)))
    is_correction = webhook_events.c.event.in_(sorted(CORRECTION_EVENTS))
    own = webhook_events.c.session_id == filters.session_id
    corrections = matching.where(is_correction, IS_RARE, own)
    # Materialized: a planner that hoped to meet them on the way through the whole ledger by time
    # would be right for a session of today only.
    of_session = (
        union_all(in_rooms, by_hand, corrections)
        .cte("all_of_them")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    return select(*of_session.columns)


def _in_rooms(conn: Connection, facts: Facts, rules: Rules) -> ColumnElement[bool]:
    """Whether an event tells of a room in which the session may own moments, when it may."""
    column, reach = webhook_events.c, facts.reach
    if reach.since is None or reach.until is None:
        own = ownership.own_rooms(facts.meeting, rules)
        return among(conn, column.room_sid, sorted(life.sid for life in own))
    in_time = column.created_at.between(reach.since, reach.until)
    return among(conn, column.room_name, reach.names) & column.room_sid.is_not(None) & in_time


def _conditions(filters: Filters) -> list[ColumnElement[bool] | TextClause]:
    column = webhook_events.c
    found: list[ColumnElement[bool] | TextClause] = []
    if filters.status is not None:
        found += _of_status(filters.status)
    if filters.event is not None and filters.event not in (JOINED, LEFT):
        found.append(IS_RARE)
    for equal, value in (
        (column.event, filters.event),
        (column.room_name, filters.room_name),
        (column.user_id, filters.user_id),
    ):
        if value is not None:
            found.append(equal == value)
    if filters.since is not None:
        found.append(column.received_at >= filters.since)
    if filters.until is not None:
        found.append(column.received_at < filters.until)
    if filters.event_ids is not None:
        found.append(column.event_id.in_(filters.event_ids))
    return found


def _of_status(status: str) -> list[ColumnElement[bool]]:
    """Written out, not bound: only so can a partial index be found to hold."""
    if status == "pending":
        return [IS_PENDING]
    column = webhook_events.c.status
    equal = column == bindparam(None, status, literal_execute=True)
    rare = [] if status == "applied" else [column != literal_column("'applied'")]
    return [equal, *rare, ~IS_PENDING]


def _value(cursor: Cursor) -> Any:
    return tuple_(literal(cursor.received_at, Instant), literal(cursor.id, RowId))
