"""The corrections table: one row is what an operator or a teacher corrected, or undid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Row,
    Table,
    Text,
    and_,
    func,
    or_,
    select,
    union_all,
)

from models.domain.corrections import Correction, Corrections, effective
from models.domain.facts import Session, made_for
from models.storage.db import Instant, Key, among, metadata, partial
from models.tables.session import sessions

ONE_DAY = timedelta(days=1)
FIELDS = tuple(field.name for field in fields(Correction))

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
    statement = select(corrections).where(_of(session), corrections.c.undone_at.is_(None))
    return effective(read(row) for row in conn.execute(statement))


def of_sessions(conn: Connection, sessions: Sequence[Session]) -> dict[str, Corrections]:
    """The same for each of these sessions with a schedule, by id; those without any are left
    out."""
    column, there = corrections.c, corrections.c.undone_at.is_(None)
    of_ids = select(corrections).where(
        there, among(conn, column.session_id, sorted(each.id for each in sessions))
    )
    of_rooms = select(corrections).where(
        there,
        among(conn, column.room_name, sorted({each.room_name for each in sessions})),
        column.always_from.is_not(None),
    )
    made = [read(row) for row in conn.execute(union_all(of_ids, of_rooms))]
    counting = {each.id: [one for one in made if _counts(one, each)] for each in sessions if made}
    return {
        each: effective({one.id: one for one in some}.values())
        for each, some in counting.items()
        if some
    }


def counts_in(conn: Connection, made: Correction) -> list[str]:
    """The ids of the sessions in which a correction for always may count: those with the same
    `room_name` that begin then or later, or have no schedule."""
    column = sessions.c
    statement = select(column.id).where(
        column.room_name == made.room_name,
        or_(column.scheduled_at.is_(None), column.scheduled_at >= made.always_from),
    )
    return list(conn.execute(statement).scalars())


def naming(conn: Connection, user_ids: Iterable[str]) -> list[Correction]:
    """Those that are not undone and tell of these people, or that somebody else is one of them."""
    wanted = sorted(user_ids)
    of_them = or_(*(among(conn, corrections.c[name], wanted) for name in ("user_id", "same_as")))
    rows = conn.execute(select(corrections).where(of_them, corrections.c.undone_at.is_(None)))
    return [read(row) for row in rows]


def history(conn: Connection, session_id: str) -> list[Correction]:
    """All that were made in the session, the latest first; undone ones too."""
    statement = select(corrections).where(corrections.c.session_id == session_id)
    newest_first = statement.order_by(corrections.c.made_at.desc(), corrections.c.id.desc())
    return [read(row) for row in conn.execute(newest_first)]


def count(conn: Connection, session_id: str) -> int:
    """How many were made in the session."""
    counted = select(func.count()).where(corrections.c.session_id == session_id)
    return conn.execute(counted).scalar_one()


def find(conn: Connection, correction_id: str) -> Correction | None:
    """The correction of this id, undone or not."""
    return of_ids(conn, [correction_id]).get(correction_id)


def of_ids(conn: Connection, ids: Iterable[str]) -> dict[str, Correction]:
    """The corrections of these ids, by id."""
    rows = conn.execute(select(corrections).where(among(conn, corrections.c.id, ids)))
    return {row.id: read(row) for row in rows}


def locked(conn: Connection, ids: Iterable[str]) -> dict[str, Correction]:
    """The same, locked in the order of their ids."""
    wanted = list(ids)
    if not wanted:
        return {}
    statement = select(corrections).where(among(conn, corrections.c.id, wanted))
    rows = conn.execute(statement.order_by(corrections.c.id).with_for_update())
    return {row.id: read(row) for row in rows}


def read(row: Row[Any]) -> Correction:
    return Correction(**row._asdict())


def as_row(correction: Correction) -> dict[str, Any]:
    return {name: getattr(correction, name) for name in FIELDS}


def _counts(one: Correction, session: Session) -> bool:
    """As `_of` has it, of a session with a schedule."""
    if one.session_id == session.id:
        return True
    if one.room_name != session.room_name or one.always_from is None:
        return False
    return session.scheduled_at is not None and one.always_from <= session.scheduled_at


def _of(session: Session) -> ColumnElement[bool]:
    column = corrections.c
    always = [column.room_name == session.room_name, column.always_from.is_not(None)]
    if session.scheduled_at is not None:
        always.append(column.always_from <= session.scheduled_at)
    elif (day := made_for(session.id)[1]) is not None:
        always.append(column.always_from < datetime.combine(day, time(), UTC) + ONE_DAY)
    return or_(column.session_id == session.id, and_(*always))
