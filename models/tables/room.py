"""The rooms table: one row is one life of a LiveKit room."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Row,
    Table,
    asc,
    desc,
    select,
    tuple_,
    update,
)

from models.domain.facts import Room
from models.storage.bulk import set_column
from models.storage.db import Instant, Json, Key, among, metadata

FOLLOW = ("superseded_at", "session_id")
"""What is made of a room's facts, and of other rooms' and sessions'."""

FACTS = tuple(field.name for field in fields(Room) if field.name not in FOLLOW)

rooms = Table(
    "rooms",
    metadata,
    Column("sid", Key, primary_key=True),
    Column("name", Key, nullable=False),
    Column("named_session", Key),
    Column("named_rank", Key, nullable=False),
    Column("session_id", Key),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("starts", Json, nullable=False),
    Column("finished_at", Instant),
    Column("end_reason", Key),
    Column("end_rank", Key, nullable=False),
    Column("superseded_at", Instant),
    Column("last_event_at", Instant, nullable=False),
    Index("rooms_by_name", "name", "created_at", "sid"),
    Index("rooms_by_session", "session_id"),
)


def locked(conn: Connection, sids: Iterable[str]) -> dict[str, Room]:
    """The rooms of these sids, locked in the order of their sids."""
    statement = select(rooms).where(among(conn, rooms.c.sid, sids)).order_by(rooms.c.sid)
    return {row.sid: read(row) for row in conn.execute(statement.with_for_update())}


def of_session(conn: Connection, session_id: str) -> list[Room]:
    """Every room life that belongs to the session, by creation."""
    return _select(conn, rooms.c.session_id == session_id)


def of_names(conn: Connection, names: Iterable[str]) -> list[Room]:
    """Every life of the rooms of these names, by creation."""
    return _select(conn, among(conn, rooms.c.name, names))


def sessions_of(conn: Connection, sids: Collection[str]) -> set[str]:
    """The sessions that these rooms belong to."""
    if not sids:
        return set()
    homes = conn.execute(select(rooms.c.session_id).where(among(conn, rooms.c.sid, sids)))
    return {home for home in homes.scalars() if home is not None}


def following(conn: Connection, room: Room) -> Room | None:
    """The next room of the same name: its creation supersedes this one."""
    return _neighbour(conn, room, later=True)


def preceding(conn: Connection, room: Room) -> Room | None:
    """The room of the same name that this one superseded."""
    return _neighbour(conn, room, later=False)


def latest(conn: Connection, name: str) -> Room | None:
    """The last created room of this name."""
    statement = select(rooms).where(rooms.c.name == name)
    statement = statement.order_by(rooms.c.created_at.desc(), rooms.c.sid.desc()).limit(1)
    row = conn.execute(statement).first()
    return read(row) if row else None


def supersede(conn: Connection, changed: Sequence[tuple[Room | None, Room]]) -> set[str]:
    """Set `superseded_at` around the rooms (before, after) whose creation is new; the sessions to
    which that, or the new creation itself, makes a difference.

    It is the creation of the next room of the same name. A room that moved changes its own, that
    of the room before its new place, and that of the room before its old one. The names are held.
    """
    stale: dict[str, Room] = {}
    for before, after in changed:
        neighbours = [after, preceding(conn, after)]
        if before is not None:
            neighbours.append(preceding(conn, before))
        stale |= {room.sid: room for room in neighbours if room is not None}
    touched = {before.session_id for before, _ in changed if before is not None}
    for room in sorted(stale.values(), key=lambda room: room.sid):
        later = following(conn, room)
        superseded_at = later.created_at if later else None
        if superseded_at != room.superseded_at:
            statement = update(rooms).where(rooms.c.sid == room.sid)
            conn.execute(statement.values(superseded_at=superseded_at))
            touched.add(room.session_id)
    return {session_id for session_id in touched if session_id is not None}


def assign(conn: Connection, homes: Mapping[str, str]) -> None:
    """Store the session of each of these rooms, by sid."""
    set_column(conn, rooms.c.session_id, homes)


def read(row: Row[Any]) -> Room:
    values = dict(row._mapping)
    values["starts"] = tuple(map(datetime.fromisoformat, values["starts"]))
    return Room(**values)


def as_row(room: Room) -> dict[str, Any]:
    """The room's facts as a row, without what follows from them."""
    row = {name: getattr(room, name) for name in FACTS}
    return row | {"starts": [at.isoformat() for at in room.starts]}


def _select(conn: Connection, condition: ColumnElement[bool]) -> list[Room]:
    statement = select(rooms).where(condition).order_by(rooms.c.created_at, rooms.c.sid)
    return [read(row) for row in conn.execute(statement)]


def _neighbour(conn: Connection, room: Room, *, later: bool) -> Room | None:
    """The nearest other room of the same name that was created later, or earlier."""
    age, own = tuple_(rooms.c.created_at, rooms.c.sid), tuple_(room.created_at, room.sid)
    statement = select(rooms).where(
        rooms.c.name == room.name, rooms.c.sid != room.sid, age > own if later else age < own
    )
    directed = asc if later else desc
    statement = statement.order_by(directed(rooms.c.created_at), directed(rooms.c.sid)).limit(1)
    row = conn.execute(statement).first()
    return read(row) if row else None
