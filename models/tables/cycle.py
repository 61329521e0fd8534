"""The cycles table: one row is one visit, joined to left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Row,
    Table,
    Text,
    func,
    or_,
    select,
)

from models.domain.facts import Cycle
from models.storage.db import Instant, Key, among, metadata, partial
from models.tables.room import begins_with, rooms

FIELDS = tuple(field.name for field in fields(Cycle))
VALUES = attrgetter(*FIELDS)


cycles = Table(
    "cycles",
    metadata,
    Column("cycle_id", Key, primary_key=True),
    Column("room_sid", Key),
    Column("named_session", Key),
    Column("room_name", Key),
    Column("user_id", Key, nullable=False),
    Column("name", Text),
    Column("name_rank", Key, nullable=False),
    Column("kind", Text),
    Column("hidden", Boolean),
    Column("joined_at", Instant),
    Column("joined_rank", Key, nullable=False),
    Column("left_at", Instant),
    Column("left_rank", Key, nullable=False),
    Column("aborted_at", Instant),
    Column("client_joined_at", Instant),
    Column("client_left_at", Instant),
    Column("last_seen_at", Instant),
    Column("disconnect_reason", Text),
    Column("source", Text),
    Column("claimed_sid", Key),
    Column("claimed_rank", Key, nullable=False),
    Column("session_type", Text),
    Column("academy_id", Text),
    Index("cycles_by_room", "room_sid", "user_id"),
    partial("cycles_by_named_session", "named_session"),
    Index("cycles_by_room_name", "room_name", "joined_at"),
    Index("cycles_by_left", "room_name", "left_at"),
    partial("cycles_by_seen", "room_name", "last_seen_at"),
    Index("cycles_by_user", "user_id"),
)


def locked(conn: Connection, ids: Iterable[str]) -> dict[str, Cycle]:
    """The cycles of these ids, locked in the order of their ids."""
    wanted = list(ids)
    if not wanted:
        return {}
    statement = select(cycles).where(among(conn, cycles.c.cycle_id, wanted))
    rows = conn.execute(statement.order_by(cycles.c.cycle_id).with_for_update())
    return {row.cycle_id: read(row) for row in rows}


def find(conn: Connection, cycle_id: str) -> Cycle | None:
    """The cycle of this id."""
    row = conn.execute(select(cycles).where(cycles.c.cycle_id == cycle_id)).first()
    return read(row) if row else None


def open_count(conn: Connection, *, since: datetime) -> int:
    """How many cycles have neither a left nor an abort, in rooms that were heard of since."""
    statement = select(func.count()).join_from(cycles, rooms, rooms.c.sid == cycles.c.room_sid)
    unended = cycles.c.left_at.is_(None) & cycles.c.aborted_at.is_(None)
    return conn.execute(statement.where(rooms.c.last_event_at > since, unended)).scalar_one()


def latest_manual_join(conn: Connection, room_name: str) -> Cycle | None:
    """The latest provisional cycle that a token of this room made by the room's name."""
    statement = select(cycles).where(
        cycles.c.room_name == room_name,
        cycles.c.room_sid.is_(None),
        cycles.c.joined_at.is_not(None),
        or_(
            cycles.c.named_session.is_(None),
            cycles.c.named_session.startswith(f"{room_name}@", autoescape=True),
        ),
    )
    row = conn.execute(statement.order_by(cycles.c.joined_at.desc()).limit(1)).first()
    return read(row) if row else None


def of_person(conn: Connection, user_id: str, room_name: str, *, since: datetime) -> list[Cycle]:
    """One person's cycles in rooms of this name that began since then."""
    statement = select(cycles).where(
        cycles.c.user_id == user_id,
        cycles.c.room_name == room_name,
        func.coalesce(cycles.c.joined_at, cycles.c.aborted_at) >= since,
    )
    return [read(row) for row in conn.execute(statement.order_by(cycles.c.cycle_id))]


def first_that_name(conn: Connection, session_id: str) -> Cycle | None:
    """The first manual join that names this session by its id."""
    statement = select(cycles).where(cycles.c.named_session == session_id)
    first = statement.order_by(cycles.c.joined_at, cycles.c.cycle_id).limit(1)
    row = conn.execute(first).first()
    return read(row) if row else None


def named_by_hand(
    conn: Connection, session_id: str
) -> tuple[set[str], datetime | None, datetime | None]:
    """The names of the rooms from which somebody joined this session by its id, and when they did
    so first and last."""
    statement = select(
        cycles.c.room_name, func.min(cycles.c.joined_at), func.max(cycles.c.joined_at)
    ).where(cycles.c.named_session == session_id)
    rows = conn.execute(statement.group_by(cycles.c.room_name)).all()
    names = {name for name, _, _ in rows if name}
    since = min((first for _, first, _ in rows if first), default=None)
    return names, since, max((last for _, _, last in rows if last), default=None)


def names_by_hand(
    conn: Connection, prefixes: Sequence[str], *, since: datetime | None, until: datetime | None
) -> set[str]:
    """The names that begin with one of these, of rooms that somebody joined by hand in that span:
    LiveKit may have told of none of them."""
    if not prefixes:
        return set()
    statement = select(cycles.c.room_name).distinct().where(cycles.c.room_sid.is_(None))
    statement = statement.where(or_(*(begins_with(cycles.c.room_name, each) for each in prefixes)))
    if since is not None and until is not None:
        statement = statement.where(cycles.c.joined_at.between(since, until))
    return set(conn.execute(statement).scalars())


def read(row: Row[Any]) -> Cycle:
    return Cycle(**row._asdict())


def as_row(cycle: Cycle) -> dict[str, Any]:
    return dict(zip(FIELDS, VALUES(cycle), strict=True))
