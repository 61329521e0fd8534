"""The cycles table: one row is one visit, joined to left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Row,
    Subquery,
    Table,
    Text,
    func,
    select,
    union_all,
)

from models.domain.facts import Cycle
from models.storage.bulk import set_column
from models.storage.db import Instant, Key, among, metadata
from models.tables.room import rooms

FIELDS = tuple(field.name for field in fields(Cycle))

ROWS_AT_ONCE = 1000
"""What a long read keeps in memory."""

cycles = Table(
    "cycles",
    metadata,
    Column("cycle_id", Key, primary_key=True),
    Column("room_sid", Key),
    Column("session_id", Key),
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
    Index("cycles_by_room", "room_sid", "user_id"),
    Index("cycles_by_session", "session_id", "user_id"),
    Index("cycles_by_room_name", "room_name", "joined_at"),
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


def of_session(
    conn: Connection, session_id: str, *, user_id: str | None = None, most: int | None = None
) -> list[Cycle]:
    """Every cycle in the session, of everybody or of one person; no more than `most`."""
    found = _in_session(session_id, user_id)
    statement = select(found).order_by(found.c.cycle_id).limit(most)
    return [read(row) for row in conn.execute(statement)]


def by_user(conn: Connection, session_id: str) -> Iterator[tuple[str, list[Cycle]]]:
    """Every cycle in the session, a person at a time by user id, however many there are.

    Rows are fetched as they are asked for, so the transaction has to last until then.
    """
    found = _in_session(session_id)
    statement = select(found).order_by(found.c.user_id, found.c.cycle_id)
    rows = conn.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE})
    for user_id, own in groupby(map(read, rows), attrgetter("user_id")):
        yield user_id, list(own)


def open_count(conn: Connection, *, since: datetime) -> int:
    """How many cycles have neither a left nor an abort, in rooms that were heard of since."""
    statement = select(func.count()).join_from(cycles, rooms, rooms.c.sid == cycles.c.room_sid)
    unended = cycles.c.left_at.is_(None) & cycles.c.aborted_at.is_(None)
    return conn.execute(statement.where(rooms.c.last_event_at > since, unended)).scalar_one()


def last_manual_sign(conn: Connection, session_id: str) -> datetime | None:
    """When a client last joined or left this session by hand."""
    signs = select(func.max(cycles.c.client_joined_at), func.max(cycles.c.client_left_at))
    found = conn.execute(signs.where(cycles.c.session_id == session_id)).one()
    return max((at for at in found if at is not None), default=None)


def latest_manual_join(conn: Connection, room_name: str) -> Cycle | None:
    """The latest provisional cycle that a token of this room made."""
    statement = select(cycles).where(
        cycles.c.room_name == room_name, cycles.c.joined_at.is_not(None)
    )
    row = conn.execute(statement.order_by(cycles.c.joined_at.desc()).limit(1)).first()
    return read(row) if row else None


def manual_joins(conn: Connection, room_names: Iterable[str]) -> list[Cycle]:
    """Every provisional cycle that tokens of these rooms made."""
    statement = select(cycles).where(among(conn, cycles.c.room_name, room_names))
    return [read(row) for row in conn.execute(statement.order_by(cycles.c.cycle_id))]


def assign(conn: Connection, homes: Mapping[str, str | None]) -> None:
    """Store the session of each of these provisional cycles, by id."""
    set_column(conn, cycles.c.session_id, homes)


def read(row: Row[Any]) -> Cycle:
    return Cycle(**row._asdict())


def as_row(cycle: Cycle) -> dict[str, Any]:
    return {name: getattr(cycle, name) for name in FIELDS}


def _in_session(session_id: str, user_id: str | None = None) -> Subquery:
    """The cycles of the session's rooms, and those without a room that are its own.

    Two statements: PostgreSQL reads the whole table for an OR of which one side is a subquery.
    """
    its_rooms = select(rooms.c.sid).where(rooms.c.session_id == session_id)
    sides = [
        select(cycles).where(cycles.c.room_sid.in_(its_rooms)),
        select(cycles).where(cycles.c.session_id == session_id, cycles.c.room_sid.is_(None)),
    ]
    if user_id is not None:
        sides = [side.where(cycles.c.user_id == user_id) for side in sides]
    return union_all(*sides).subquery("visits")
