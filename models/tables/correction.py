"""The corrections table: one row is what an operator or a teacher corrected, or undid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    CompoundSelect,
    Connection,
    Index,
    Table,
    Text,
    func,
    or_,
    select,
    union_all,
)

from models.domain.corrections import NONE, Correction, Corrections, effective
from models.domain.facts import Session
from models.storage.db import Instant, Key, among, among_bound, is_sqlite, metadata, partial
from models.storage.questions import Question, Rows, answer
from models.tables.session import read as read_session
from models.tables.session import sessions

FIELDS = tuple(field.name for field in fields(Correction))

NAMING = ("user_id", "same_as", "author", "undone_by")
"""The fields that have somebody's user id."""

corrections = Table(
    "corrections",
    metadata,
    Column("id", Key, primary_key=True),
    Column("session_id", Key, nullable=False),
    Column("room_name", Key, nullable=False),
    Column("user_id", Key, nullable=False),
    Column("kind", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("author", Key, nullable=False),
    Column("reason", Text),
    Column("starts_at", Instant),
    Column("ends_at", Instant),
    Column("participant_sid", Key),
    Column("same_as", Key),
    Column("always_from", Instant),
    Column("undone_at", Instant),
    Column("undone_by", Key),
    Index("corrections_by_session", "session_id"),
    partial("corrections_always", "room_name", "always_from"),
)


def of_session(conn: Connection, session: Session) -> Corrections:
    """What counts in the session: what was said of it, and of its room for always."""
    return of_sessions(conn, [session]).get(session.id, NONE)


def of_sessions(conn: Connection, sessions: Sequence[Session]) -> dict[str, Corrections]:
    """The same for each of these sessions, by id; those without any are left out."""
    return answer(conn, counting(sessions, on_sqlite=is_sqlite(conn)))


def counting(sessions: Sequence[Session], *, on_sqlite: bool) -> Question[dict[str, Corrections]]:
    """What `of_sessions` gives."""
    values = {
        "ids": sorted(each.id for each in sessions),
        "names": sorted({each.room_name for each in sessions}),
    }
    return Question(_of(on_sqlite), values, lambda rows: _by_session(sessions, rows))


def _by_session(sessions: Sequence[Session], rows: Rows) -> dict[str, Corrections]:
    made = {row["id"]: read(row) for row in rows}
    if not made:
        return {}
    taken = {each.id: [one for one in made.values() if each.takes(one)] for each in sessions}
    return {session_id: effective(some) for session_id, some in taken.items() if some}


def counts_in(conn: Connection, always: Iterable[Correction]) -> set[str]:
    """The ids of the sessions in which one of these corrections for always counts. The sessions of
    a room are read once, however often it was corrected."""
    by_room = defaultdict[str, list[Correction]](list)
    for made in always:
        by_room[made.room_name].append(made)
    counting = set[str]()
    for room_name, of_room in by_room.items():
        rows = conn.execute(select(sessions).where(sessions.c.room_name == room_name)).mappings()
        counting |= {each.id for each in map(read_session, rows) if any(map(each.takes, of_room))}
    return counting


def naming(conn: Connection, user_ids: Iterable[str]) -> list[Correction]:
    """Those that are not undone and tell of these people, or that somebody else is one of them."""
    wanted = sorted(user_ids)
    of_them = or_(*(among(conn, corrections.c[name], wanted) for name in ("user_id", "same_as")))
    rows = conn.execute(select(corrections).where(of_them, corrections.c.undone_at.is_(None)))
    return [read(row) for row in rows.mappings()]


def of_person(conn: Connection, user_id: str) -> list[Correction]:
    """Those that are about this person or by them, by age; undone ones too. It looks at all."""
    named = or_(*(corrections.c[name] == user_id for name in NAMING))
    rows = conn.execute(select(corrections).where(named)).mappings()
    return sorted(map(read, rows), key=lambda each: each.age)


def history(conn: Connection, session_id: str) -> list[Correction]:
    """All that were made in the session, the latest first; undone ones too."""
    statement = select(corrections).where(corrections.c.session_id == session_id)
    newest_first = statement.order_by(corrections.c.made_at.desc(), corrections.c.id.desc())
    return [read(row) for row in conn.execute(newest_first).mappings()]


def count(conn: Connection, session_id: str) -> int:
    """How many were made in the session."""
    counted = select(func.count()).where(corrections.c.session_id == session_id)
    return conn.execute(counted).scalar_one()


def count_always(conn: Connection, room_name: str) -> int:
    """How many that are not undone count for always in this room."""
    column = corrections.c
    is_always = (column.room_name == room_name) & column.always_from.is_not(None)
    counted = select(func.count()).where(is_always, column.undone_at.is_(None))
    return conn.execute(counted).scalar_one()


def of_ids(conn: Connection, ids: Iterable[str]) -> dict[str, Correction]:
    """The corrections of these ids, by id."""
    rows = conn.execute(select(corrections).where(among(conn, corrections.c.id, ids)))
    return {row["id"]: read(row) for row in rows.mappings()}


def locked(conn: Connection, ids: Iterable[str]) -> dict[str, Correction]:
    """The same, locked in the order of their ids."""
    wanted = list(ids)
    if not wanted:
        return {}
    statement = select(corrections).where(among(conn, corrections.c.id, wanted))
    rows = conn.execute(statement.order_by(corrections.c.id).with_for_update())
    return {row["id"]: read(row) for row in rows.mappings()}


def read(row: Mapping[Any, Any]) -> Correction:
    return Correction(**row)


def as_row(correction: Correction) -> dict[str, Any]:
    return {name: getattr(correction, name) for name in FIELDS}


@cache
def _of(on_sqlite: bool) -> CompoundSelect[Any]:
    """Built once: a status that is not cached asks it too."""
    column, there = corrections.c, corrections.c.undone_at.is_(None)
    of_ids = among_bound(column.session_id, "ids", on_sqlite=on_sqlite)
    of_rooms = among_bound(column.room_name, "names", on_sqlite=on_sqlite)
    return union_all(
        select(corrections).where(there, of_ids),
        select(corrections).where(there, of_rooms, column.always_from.is_not(None)),
    )
