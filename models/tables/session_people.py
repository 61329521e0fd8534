"""The people that sessions expect or have as hosts, to find the sessions of a person by.

The sessions' own lists say the same; `session.store` and an erasure write both.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, Connection, Index, Table, delete, select

from models.storage.db import Key, among, insert, metadata

session_people = Table(
    "session_people",
    metadata,
    Column("user_id", Key, primary_key=True),
    Column("session_id", Key, primary_key=True),
    Index("session_people_by_session", "session_id"),
)


def put(conn: Connection, session_id: str, user_ids: Iterable[str]) -> None:
    """Have the session expect these people, and nobody else. Rows that are right stay."""
    columns, wanted = session_people.c, set(user_ids)
    of_session = columns.session_id == session_id
    there = set(conn.execute(select(columns.user_id).where(of_session)).scalars())
    if gone := there - wanted:
        conn.execute(delete(session_people).where(of_session, among(conn, columns.user_id, gone)))
    if new := wanted - there:
        rows = [{"user_id": user_id, "session_id": session_id} for user_id in sorted(new)]
        conn.execute(insert(conn, session_people), rows)


def sessions_of(conn: Connection, user_id: str) -> list[str]:
    """The ids of the sessions that expect this person, or have them as a host."""
    statement = select(session_people.c.session_id).where(session_people.c.user_id == user_id)
    return list(conn.execute(statement.order_by(session_people.c.session_id)).scalars())
