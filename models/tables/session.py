"""The sessions table: one row is one class or meeting, registered or made on the spot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Index,
    Integer,
    Row,
    ScalarSelect,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from models.domain.facts import MadeBy, Person, Session
from models.domain.ownership import WINDOW
from models.settings.settings import Settings
from models.storage.bulk import upsert
from models.storage.db import Instant, Json, Key, among, insert, metadata
from models.tables.cycle import cycles
from models.tables.room import rooms

MAX_DURATION = timedelta(days=7)
"""The longest that a session may be scheduled for: bounds how far back a window can hold."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", Key, primary_key=True),
    Column("room_name", Key, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("session_type", Text),
    Column("academy_id", Text),
    Column("scheduled_at", Instant),
    Column("duration_minutes", Integer, nullable=False),
    Column("late_after_minutes", Integer, nullable=False),
    Column("minimum_percentage", Float),
    Column("expected", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("sessions_by_room_name", "room_name", "scheduled_at"),
)


def find(conn: Connection, session_id: str, *, lock: bool = False) -> Session | None:
    """The session of this id; with `lock` nobody else changes it in this transaction."""
    statement = select(sessions).where(sessions.c.id == session_id)
    row = conn.execute(statement.with_for_update() if lock else statement).first()
    return read(row) if row else None


def scheduled_near(conn: Connection, room_name: str, instant: datetime) -> list[Session]:
    """The sessions of this room name whose window may hold the instant."""
    statement = select(sessions).where(
        sessions.c.room_name == room_name, *_may_hold(instant, instant)
    )
    return [read(row) for row in conn.execute(statement)]


def any_scheduled(conn: Connection, room_name: str, *, since: datetime, until: datetime) -> bool:
    """Whether the window of a session of this room name may hold some moment in between."""
    near = select(sessions.c.id).where(sessions.c.room_name == room_name, *_may_hold(since, until))
    return conn.execute(near.limit(1)).first() is not None


def first_unscheduled(conn: Connection, room_name: str) -> str | None:
    """The id of the registered, unscheduled session of this room name; the smallest of several."""
    statement = select(func.min(sessions.c.id)).where(
        sessions.c.room_name == room_name,
        sessions.c.made_by == "registered",
        sessions.c.scheduled_at.is_(None),
    )
    return conn.execute(statement).scalar()


def registered_for(
    conn: Connection, names: Iterable[str], *, since: datetime, until: datetime
) -> list[Session]:
    """The registered sessions that rooms of these names, created in that span, may belong to.

    Those whose id is such a name, or whose room name is one and whose window (if they are
    scheduled) may hold a moment of the span.
    """
    wanted = sorted(names)
    may_hold = or_(sessions.c.scheduled_at.is_(None), and_(*_may_hold(since, until)))
    statement = select(sessions).where(
        sessions.c.made_by == "registered",
        or_(
            among(conn, sessions.c.id, wanted),
            and_(among(conn, sessions.c.room_name, wanted), may_hold),
        ),
    )
    return [read(row) for row in conn.execute(statement)]


def make_missing(conn: Connection, made: Iterable[Session], *, now: datetime) -> None:
    """Make the sessions that are not there yet, and hold them, in the order of their ids."""
    rows = [as_row(one, now=now) for one in sorted(made, key=lambda one: one.id)]
    if rows:
        statement = insert(conn, sessions)
        held = statement.on_conflict_do_update(index_elements=["id"], set_={"id": sessions.c.id})
        conn.execute(held, rows)


def made(
    session_id: str,
    room_name: str,
    made_by: MadeBy,
    settings: Settings,
    *,
    session_type: str | None = None,
    academy_id: str | None = None,
) -> Session:
    """A session made on the spot: no schedule; the settings of today are copied onto it."""
    return Session(
        id=session_id,
        room_name=room_name,
        made_by=made_by,
        session_type=session_type,
        academy_id=academy_id,
        duration_minutes=settings.default_duration_minutes,
        late_after_minutes=settings.late_after_minutes,
        minimum_percentage=settings.minimum_percentage,
    )


def store(conn: Connection, session: Session, *, now: datetime) -> None:
    """Insert the session, or overwrite the one of its id."""
    upsert(conn, sessions, [as_row(session, now=now)], keep=("created_at",))


def tidy(conn: Connection, ids: Iterable[str]) -> None:
    """Bring made sessions up to date after rooms or manual joins came, went or grew older.

    A made session has the room name of its earliest room, else of its earliest manual join, and is
    gone with the last of them: what was never registered leaves no trace of the order of things.
    """
    wanted = sorted(ids)
    if not wanted:
        return
    # Held before anybody looks for their rooms: one may be coming in at this moment.
    held = select(sessions.c.id).where(sessions.c.id.in_(wanted)).order_by(sessions.c.id)
    conn.execute(held.with_for_update())
    has_room = exists().where(rooms.c.session_id == sessions.c.id)
    has_join = exists().where(cycles.c.session_id == sessions.c.id)
    is_made = and_(sessions.c.id.in_(wanted), sessions.c.made_by != "registered")
    conn.execute(delete(sessions).where(is_made, ~has_room, ~has_join))
    room_name = func.coalesce(_earliest_room(), _earliest_join(), sessions.c.room_name)
    made_by = case((has_room, "room"), else_="client")
    is_other = or_(sessions.c.room_name != room_name, sessions.c.made_by != made_by)
    statement = update(sessions).where(is_made, is_other)
    conn.execute(statement.values(room_name=room_name, made_by=made_by))


def page(
    conn: Connection,
    *,
    room_name: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: int,
) -> list[Session]:
    """Up to `limit` sessions by id, those beyond `after`.

    `since` and `until` (exclusive) bound the scheduled start, or for a session without one when
    its row was made.
    """
    began_at = func.coalesce(sessions.c.scheduled_at, sessions.c.created_at)
    statement = select(sessions).order_by(sessions.c.id).limit(limit)
    if room_name is not None:
        statement = statement.where(sessions.c.room_name == room_name)
    if since is not None:
        statement = statement.where(began_at >= since)
    if until is not None:
        statement = statement.where(began_at < until)
    if after is not None:
        statement = statement.where(sessions.c.id > after)
    return [read(row) for row in conn.execute(statement)]


def count(conn: Connection) -> int:
    """How many sessions there are."""
    return conn.execute(select(func.count()).select_from(sessions)).scalar_one()


def read(row: Row[Any]) -> Session:
    told = dict(row._mapping)
    del told["created_at"]
    expected = tuple(Person(**person) for person in told.pop("expected"))
    return Session(**told, expected=expected)


def as_row(session: Session, *, now: datetime) -> dict[str, Any]:
    expected = [asdict(person) for person in session.expected]
    return asdict(session) | {"expected": expected, "created_at": now}


def _may_hold(since: datetime, until: datetime) -> Sequence[Any]:
    earliest = since - MAX_DURATION - WINDOW
    return sessions.c.scheduled_at >= earliest, sessions.c.scheduled_at <= until + WINDOW


def _earliest_room() -> ScalarSelect[Any]:
    its_rooms = select(rooms.c.name).where(rooms.c.session_id == sessions.c.id)
    return its_rooms.order_by(rooms.c.created_at, rooms.c.sid).limit(1).scalar_subquery()


def _earliest_join() -> ScalarSelect[Any]:
    its_joins = select(cycles.c.room_name).where(cycles.c.session_id == sessions.c.id)
    return its_joins.order_by(cycles.c.joined_at, cycles.c.cycle_id).limit(1).scalar_subquery()
