"""The final_sessions table: what was last said of each session that became final, to receivers.

A row is there as soon as a session was looked at after its end. It has a digest of the content and
nothing of anybody. It stays as long as the session: without it an old version would be sent again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, Integer, Table, Text, func, select

from models.storage import bulk, db
from models.storage.db import Instant, Key, metadata, partial

final_sessions = Table(
    "final_sessions",
    metadata,
    Column("session_id", Key, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("digest", Text),
    Column("revision", BigInteger, nullable=False),
    Column("looked_at", Instant, nullable=False),
    Column("final_at", Instant),
    Column("look_at", Instant),
    Column("error", Text),
    partial("final_sessions_by_look", "look_at"),
    partial("final_sessions_by_error", "session_id", "error"),
)


@dataclass(frozen=True, slots=True)
class FinalSession:
    """What is known of a session that is over.

    `version` is 0 until it was final, then 1, 2, …: each has another `digest`, and became final at
    `final_at`. `revision` is the session's own when it was last looked at, at `looked_at`. At
    `look_at` it is looked at again, whether it changed or not; None when only a change matters.
    `error` says why it could not be read when it was last looked at.
    """

    session_id: str
    looked_at: datetime
    version: int = 0
    digest: str | None = None
    revision: int = 0
    final_at: datetime | None = None
    look_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """How many sessions could not be read when they were last looked at, and the first ids."""

    count: int
    first: tuple[str, ...]


def find(conn: Connection, session_id: str, *, lock: bool = False) -> FinalSession | None:
    """The row of this session; with `lock` nobody else changes or adds it in this transaction."""
    if lock:
        db.lock(conn, [f"final:{session_id}"])
    statement = select(final_sessions).where(final_sessions.c.session_id == session_id)
    row = conn.execute(statement.with_for_update() if lock else statement).first()
    return FinalSession(**row._mapping) if row else None


def store(conn: Connection, known: FinalSession) -> None:
    """Insert the row, or overwrite the session's."""
    bulk.upsert(conn, final_sessions, [asdict(known)])


def unreadable(conn: Connection, *, named: int = 0) -> Unreadable:
    """Those that could not be read, with up to `named` ids."""
    has_error = final_sessions.c.error.is_not(None)
    count = conn.execute(select(func.count()).where(has_error)).scalar_one()
    ids = select(final_sessions.c.session_id).where(has_error)
    first = conn.execute(ids.order_by(final_sessions.c.session_id).limit(named)).scalars()
    return Unreadable(count, tuple(first) if count else ())
