"""Lists of sessions: by what is registered of them, a page at a time, with how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    func,
    or_,
    select,
)

from models.domain.facts import Session
from models.storage.db import among, has_item
from models.tables.session import listing_room, read, sessions

Status = Literal["upcoming", "running", "over"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions: None means any.

    `since` and `until` (exclusive) bound the scheduled start, or for a session without one when its
    row was made. `status` is by the schedule at `now`. With `of_room`, those that are registered
    for rooms of this name, and those that were made on the spot in them. `user_id` is a person
    whose sessions they are: `personal` finds them, and `ids` are those that it found.
    """

    now: datetime
    room_name: str | None = None
    academy_id: str | None = None
    course_id: str | None = None
    label: str | None = None
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None
    of_room: str | None = None
    user_id: str | None = None
    ids: frozenset[str] | None = None

    def among(self, ids: Iterable[str]) -> Wanted:
        """Those of them that have one of these ids."""
        known = frozenset(ids)
        return replace(self, ids=known if self.ids is None else known & self.ids)


def status(session: Session, *, now: datetime) -> Status | None:
    """Whether a class is still to come, running or over; None without a schedule."""
    if session.scheduled_at is None or session.ends_at is None:
        return None
    if now < session.scheduled_at:
        return "upcoming"
    return "running" if now < session.ends_at else "over"


def page(
    conn: Connection, wanted: Wanted, *, after: str | None = None, limit: int
) -> list[Session]:
    """Up to `limit` sessions by id, those beyond `after`."""
    statement = select(sessions).where(*_conditions(conn, wanted))
    if wanted.status is not None:
        statement = statement.where(_statuses(wanted.now)[wanted.status])
    if after is not None:
        statement = statement.where(sessions.c.id > after)
    rows = conn.execute(statement.order_by(sessions.c.id).limit(limit))
    return [read(row) for row in rows.mappings()]


def counts(conn: Connection, wanted: Wanted) -> dict[Status, int]:
    """How many classes of each status there are, whatever `wanted.status` is."""
    statuses = _statuses(wanted.now)
    columns = [
        func.coalesce(func.sum(case((is_so, 1), else_=0)), 0).label(word)
        for word, is_so in statuses.items()
    ]
    statement: Select[Any] = select(*columns).where(*_conditions(conn, wanted))
    return dict(zip(statuses, conn.execute(statement).one(), strict=True))


def beginnings(conn: Connection, wanted: Wanted, *, over: bool = False) -> dict[str, datetime]:
    """By id, in their order, when each session began; with `over` no class that is not over."""
    began_at = _began_at().label("began_at")
    statement = select(sessions.c.id, began_at).where(*_conditions(conn, wanted))
    if over:
        statement = statement.where(
            or_(sessions.c.ends_at.is_(None), sessions.c.ends_at <= wanted.now)
        )
    rows = conn.execute(statement.order_by(began_at, sessions.c.id))
    return {row.id: row.began_at for row in rows}


def _began_at() -> ColumnElement[datetime]:
    return func.coalesce(sessions.c.scheduled_at, sessions.c.created_at)


def _conditions(conn: Connection, wanted: Wanted) -> list[ColumnElement[bool]]:
    began_at = _began_at()
    asked = {
        sessions.c[name]: getattr(wanted, name) for name in ("room_name", "academy_id", "course_id")
    }
    conditions = [column == value for column, value in asked.items() if value is not None]
    if wanted.label is not None:
        conditions.append(has_item(conn, sessions.c.labels, wanted.label))
    if wanted.since is not None:
        conditions.append(began_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(began_at < wanted.until)
    if wanted.of_room is not None:
        conditions.append(listing_room(conn, wanted.of_room))
    if wanted.ids is not None:
        conditions.append(among(conn, sessions.c.id, sorted(wanted.ids)))
    return conditions


def _statuses(now: datetime) -> dict[Status, ColumnElement[bool]]:
    """As `status` has it. A row without a schedule is none of them."""
    start, end = sessions.c.scheduled_at, sessions.c.ends_at
    return {
        "upcoming": start > now,
        "running": and_(start <= now, end > now),
        "over": end <= now,
    }
