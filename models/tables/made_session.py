"""Rows of sessions that are made on the spot: that something may be found under an id, since when.

They stand in the table of the registered ones, and yield to those.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Select, and_, case, or_, select, tuple_

from models.domain.facts import MadeBy, Session
from models.settings.settings import Settings
from models.storage.db import among_bound, insert, is_sqlite
from models.tables.session import as_row, sessions


def enter(conn: Connection, made_sessions: Iterable[tuple[Session, datetime]]) -> None:
    """Have a row under each of these ids of sessions made on the spot, with when it began.

    The row that began first gives the room name, whatever came first. A row that is right already
    is not asked for again: that would lock it, and a class that joins would queue for it.
    """
    rows = _improved(conn, [as_row(session, now=began_at) for session, began_at in made_sessions])
    if not rows:
        return
    statement = insert(conn, sessions)
    new, columns = statement.excluded, sessions.c
    is_earlier = tuple_(new.created_at, new.room_name) < tuple_(
        columns.created_at, columns.room_name
    )
    first = statement.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "room_name": case((is_earlier, new.room_name), else_=columns.room_name),
            "created_at": case((is_earlier, new.created_at), else_=columns.created_at),
            "made_by": case((new.made_by == "room", "room"), else_=columns.made_by),
        },
        where=and_(
            columns.made_by != "registered", or_(is_earlier, new.made_by != columns.made_by)
        ),
    )
    conn.execute(first, sorted(rows, key=itemgetter("id")))


def _improved(conn: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the rows that are missing, or that say more than the one that is there."""
    if not rows:
        return []
    ids = sorted({row["id"] for row in rows})
    there = {row.id: row for row in conn.execute(_there(is_sqlite(conn)), {"ids": ids})}
    return [row for row in rows if _says_more(row, there.get(row["id"]))]


@cache
def _there(on_sqlite: bool) -> Select[Any]:
    """Built once: each batch asks."""
    columns = (sessions.c.id, sessions.c.made_by, sessions.c.created_at, sessions.c.room_name)
    return select(*columns).where(among_bound(columns[0], "ids", on_sqlite=on_sqlite))


def _says_more(row: dict[str, Any], there: Any | None) -> bool:
    if there is None:
        return True
    began_first = (row["created_at"], row["room_name"]) < (there.created_at, there.room_name)
    is_room = row["made_by"] == "room" != there.made_by
    return there.made_by != "registered" and (began_first or is_room)


def made(session_id: str, room_name: str, made_by: MadeBy, settings: Settings) -> Session:
    """A session made on the spot: no schedule; the settings of today are copied onto it."""
    return Session(
        id=session_id,
        room_name=room_name,
        made_by=made_by,
        duration_minutes=settings.default_duration_minutes,
        late_after_minutes=settings.late_after_minutes,
        minimum_percentage=settings.minimum_percentage,
    )
