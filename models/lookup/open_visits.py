"""Where visits stand, for whoever compares the tables with LiveKit's own word (worker/reconcile).

An *open* visit is one that nobody has said the end of, in a room that lives as far as we know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, tuple_

from models.domain.facts import INFERRED, Cycle, Session
from models.storage.bulk import chunks
from models.storage.db import among
from models.tables import cycle, session
from models.tables.cycle import cycles
from models.tables.room import rooms

NEAR = timedelta(days=1)

A_QUERY = 500
"""Sids asked for at a time."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One visit that LiveKit knows, with its room: `ends_at` is the first end of a class of that
    room's name after the join, `room_started_at` the room's latest start."""

    participant_sid: str
    user_id: str
    joined_at: datetime | None
    left_at: datetime | None
    left_inferred: bool
    aborted_at: datetime | None
    last_seen_at: datetime | None
    room_sid: str
    room_name: str
    room_created_at: datetime
    room_started_at: datetime | None
    ends_at: datetime | None = None

    @property
    def surely_over(self) -> bool:
        """Whether LiveKit itself said so."""
        return self.aborted_at is not None or (self.left_at is not None and not self.left_inferred)

    @property
    def inferred_over(self) -> bool:
        """Whether it was inferred to be over, and nobody has seen it since."""
        if self.left_at is None or not self.left_inferred:
            return False
        return self.last_seen_at is None or self.last_seen_at <= self.left_at


def open_visits(
    conn: Connection, *, since: datetime, after: str, limit: int
) -> tuple[list[Standing], str | None]:
    """The open visits joined after `since`, by room sid, in the rooms beyond the sid `after`.

    At most `limit`, and never a part of a room's; with the sid of the last room when there are
    more, else with None.
    """
    again = and_(cycles.c.left_rank.startswith(INFERRED), cycles.c.last_seen_at > cycles.c.left_at)
    statement = (
        _standings()
        .where(
            ~_is_superseded(),
            or_(rooms.c.finished_at.is_(None), rooms.c.started_at > rooms.c.finished_at),
            rooms.c.last_event_at > since,
            rooms.c.sid > after,
            cycles.c.joined_at > since,
            cycles.c.aborted_at.is_(None),
            or_(cycles.c.left_at.is_(None), again),
        )
        .order_by(rooms.c.sid)
        .limit(limit + 1)
    )
    found = _with_ends(conn, [_read(row) for row in conn.execute(statement)])
    if len(found) <= limit:
        return found, None
    whole = [visit for visit in found if visit.room_sid < found[-1].room_sid]
    return whole, whole[-1].room_sid if whole else found[-1].room_sid


def open_by_hand(
    conn: Connection, names: Iterable[str], *, since: datetime, until: datetime, limit: int
) -> list[Cycle]:
    """The manual joins to rooms of these names, begun at `since` and repeated at `until` at the
    latest, the latest first, of which neither their client nor an inference has said the end since
    they last joined."""
    columns = cycles.c
    statement = select(cycles).where(
        among(conn, columns.room_name, names),
        columns.joined_at.between(since, until),
        columns.client_joined_at <= until,
        columns.room_sid.is_(None),
        or_(columns.client_left_at.is_(None), columns.client_left_at < columns.client_joined_at),
        or_(columns.left_at.is_(None), columns.left_at < columns.client_joined_at),
    )
    rows = conn.execute(statement.order_by(columns.joined_at.desc()).limit(limit))
    return [cycle.read(row) for row in rows.mappings()]


def of_the_same_people(
    conn: Connection, manual: Iterable[Cycle], *, since: datetime
) -> dict[tuple[str, str], list[Cycle]]:
    """What LiveKit sent since then of the people of these manual joins, by person and room name."""
    known: dict[tuple[str, str], list[Cycle]] = defaultdict(list)
    for chunk in chunks(sorted({each.user_id for each in manual}), A_QUERY):
        statement = select(cycles).where(
            cycles.c.user_id.in_(chunk),
            cycles.c.room_sid.is_not(None),
            func.coalesce(cycles.c.joined_at, cycles.c.aborted_at) >= since,
        )
        for each in map(cycle.read, conn.execute(statement).mappings()):
            known[each.user_id, each.room_name or ""].append(each)
    return known


def of_sids(conn: Connection, participant_sids: Iterable[str]) -> list[Standing]:
    """The visits of these participant sids that are known, open or not."""
    known: list[Standing] = []
    for chunk in chunks(sorted(participant_sids), A_QUERY):
        statement = _standings().where(cycles.c.cycle_id.in_(chunk))
        known += [_read(row) for row in conn.execute(statement)]
    return _with_ends(conn, known)


def _with_ends(conn: Connection, standings: list[Standing]) -> list[Standing]:
    """The standings with the first end of a class after each join."""
    joins = [each.joined_at for each in standings if each.joined_at is not None]
    if not joins:
        return standings
    names = {each.room_name for each in standings}
    registered = session.registered_near(conn, names, since=min(joins), until=max(joins) + NEAR)
    ends = {name: _ends(name, registered) for name in names}
    return [replace(each, ends_at=_first_after(each, ends[each.room_name])) for each in standings]


def _first_after(visit: Standing, ends: Iterable[datetime]) -> datetime | None:
    """The first of these ends after the join."""
    joined_at = visit.joined_at
    return next((at for at in ends if joined_at is not None and at > joined_at), None)


def _ends(name: str, registered: Iterable[Session]) -> list[datetime]:
    return sorted(
        each.ends_at
        for each in registered
        if each.ends_at is not None and each.is_registered_for(name)
    )


def _is_superseded() -> ColumnElement[bool]:
    later = rooms.alias("later")
    age = tuple_(later.c.created_at, later.c.sid) > tuple_(rooms.c.created_at, rooms.c.sid)
    return select(later.c.sid).where(later.c.name == rooms.c.name, age).exists()


def _standings() -> Select[Any]:
    return select(
        cycles.c.cycle_id,
        cycles.c.user_id,
        cycles.c.joined_at,
        cycles.c.left_at,
        cycles.c.left_rank,
        cycles.c.aborted_at,
        cycles.c.last_seen_at,
        rooms.c.sid,
        rooms.c.name,
        rooms.c.created_at,
        rooms.c.started_at,
    ).join(rooms, cycles.c.room_sid == rooms.c.sid)


def _read(row: Row[Any]) -> Standing:
    return Standing(
        participant_sid=row.cycle_id,
        user_id=row.user_id,
        joined_at=row.joined_at,
        left_at=row.left_at,
        left_inferred=row.left_rank.startswith(INFERRED),
        aborted_at=row.aborted_at,
        last_seen_at=row.last_seen_at,
        room_sid=row.sid,
        room_name=row.name,
        room_created_at=row.created_at,
        room_started_at=row.started_at,
    )
