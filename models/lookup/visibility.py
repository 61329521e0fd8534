"""Whether a room may ask for what an address means: one statement, before anything is read of it.

It reads no more of a session that the room has nothing to do with than of one that is not there, so
neither its answer nor its time tells them apart.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, bindparam, exists, or_, select

from models.domain.facts import made_for
from models.storage.db import among_bound, is_sqlite
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.session import patterns_of, session_rooms, sessions

IS_THERE = select(exists().where(sessions.c.id == bindparam("address")))

JOINS = 100
"""Manual joins by the id of a session that are looked at: of those that nobody registered, few are
joined by their id at all."""


def may_mean(conn: Connection, address: str, room_name: str) -> bool:
    """Whether the address, an id or another room's name, may mean a session of this room.

    False only where the facts would say the same; so what it looks at may be more than they do.
    """
    if made_for(address)[0] == room_name:
        return bool(conn.execute(IS_THERE, {"address": address}).scalar_one())
    values = {"address": address, "room_name": room_name}
    patterns = {"of_address": [*patterns_of(address)], "of_room": [*patterns_of(room_name)]}
    return bool(conn.execute(_ways(is_sqlite(conn)), values | patterns).scalar_one())


@cache
def _ways(on_sqlite: bool) -> Select[tuple[bool]]:
    """Built once: that costs more than to execute it."""
    return select(or_(*_by_id(on_sqlite), *_by_name(on_sqlite)))


def _by_id(on_sqlite: bool) -> list[ColumnElement[bool]]:
    """A session of this id that has the room: registered, named by its metadata, joined from it."""
    address = bindparam("address", type_=sessions.c.id.type)
    room_name = bindparam("room_name", type_=sessions.c.room_name.type)
    joins = select(cycles.c.room_name).where(cycles.c.named_session == address).limit(JOINS)
    joined = joins.subquery()
    listed = among_bound(session_rooms.c.name, "of_room", on_sqlite=on_sqlite)
    return [
        exists().where(sessions.c.id == address, sessions.c.room_name == room_name),
        exists().where(session_rooms.c.session_id == address, listed),
        exists().where(rooms.c.named_session == address, _is(rooms.c.name, room_name)),
        exists().where(joined.c.room_name == room_name),
    ]


def _by_name(on_sqlite: bool) -> list[ColumnElement[bool]]:
    """A session that is registered for both rooms. Each way begins with what lists one of them."""
    other = session_rooms.alias()
    of_room = among_bound(session_rooms.c.name, "of_room", on_sqlite=on_sqlite)
    of_address = among_bound(session_rooms.c.name, "of_address", on_sqlite=on_sqlite)
    both = among_bound(other.c.name, "of_address", on_sqlite=on_sqlite)
    registered = select(sessions.c.room_name).where(sessions.c.id == session_rooms.c.session_id)
    main = registered.correlate(session_rooms).scalar_subquery()
    beside = exists().where(other.c.session_id == session_rooms.c.session_id, both)
    return [
        exists().where(of_room, main == bindparam("address")),
        exists().where(of_address, main == bindparam("room_name")),
        exists().where(of_room, beside.correlate(session_rooms)),
    ]


def _is(name: Column[Any], value: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the name is this one, but never found by it: a room has many lives."""
    return name.concat("") == value
