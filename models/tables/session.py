"""The sessions table: one row is one class or meeting, registered or made on the spot.

A row that was made on the spot says only that rooms or manual joins may be found under its id: what
belongs to it is derived at read, and it is there as long as something does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Connection,
    Float,
    Index,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    true,
    union_all,
)

from models.domain.facts import Person, Session
from models.domain.timetable import WINDOW
from models.storage.bulk import upsert
from models.storage.db import (
    Instant,
    Json,
    Key,
    among,
    among_bound,
    insert,
    is_sqlite,
    metadata,
    partial,
)
from models.storage.questions import Question, Rows, answer
from models.tables import session_people

LISTS = ("rooms", "hosts", "labels")

NEAR = timedelta(days=1)

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
    Column("rooms", Json, nullable=False),
    Column("title", Text),
    Column("course_id", Text),
    Column("hosts", Json, nullable=False),
    Column("labels", Json, nullable=False),
    Column("ends_at", Instant),
    Index("sessions_by_room_name", "room_name", "scheduled_at"),
    partial("sessions_by_academy", "academy_id"),
    partial("sessions_by_course", "course_id"),
    partial("sessions_by_end", "ends_at"),
)

session_rooms = Table(
    "session_rooms",
    metadata,
    Column("name", Key, primary_key=True),
    Column("session_id", Key, primary_key=True),
    Index("session_rooms_by_session", "session_id"),
)
"""The names in the sessions' `rooms`, to be found by."""


FIND = select(sessions).where(sessions.c.id == bindparam("session_id"))
FIND_LOCKED = FIND.with_for_update()
FIRST_OF_ROOM = (
    select(sessions.c.id)
    .where(sessions.c.room_name == bindparam("room_name"), sessions.c.made_by == "registered")
    .order_by(sessions.c.scheduled_at, sessions.c.id)
    .limit(1)
)


def find(conn: Connection, session_id: str, *, lock: bool = False) -> Session | None:
    """The session of this id; with `lock` nobody else changes it in this transaction."""
    of_id = with_id(session_id)
    return answer(conn, replace(of_id, statement=FIND_LOCKED) if lock else of_id)


def with_id(session_id: str) -> Question[Session | None]:
    """The session of this id."""
    return Question(FIND, {"session_id": session_id}, _first)


def registered_near(
    conn: Connection, names: Iterable[str], *, since: datetime | None, until: datetime | None
) -> list[Session]:
    """The sessions that are registered for rooms of these names: those without a schedule, and
    those whose window may hold a moment of the span (None: unbounded)."""
    return answer(conn, near(names, since=since, until=until, on_sqlite=is_sqlite(conn)))


def near(
    names: Iterable[str], *, since: datetime | None, until: datetime | None, on_sqlite: bool
) -> Question[list[Session]]:
    """What `registered_near` gives."""
    wanted = sorted(names)
    patterns = sorted({pattern for name in wanted for pattern in patterns_of(name)})
    values: dict[str, Any] = {"names": wanted, "patterns": patterns}
    if since is not None:
        values["since"] = since - MAX_DURATION - WINDOW
    if until is not None:
        values["until"] = until + WINDOW
    statement = _near(on_sqlite, since=since is not None, until=until is not None)
    return Question(statement, values, lambda rows: list(_by_id(rows).values()))


def registered_ids_near(
    conn: Connection, names: Iterable[str], *, since: datetime, until: datetime
) -> set[str]:
    """The ids of those that `registered_near` finds."""
    return answer(conn, ids_near(names, since=since, until=until, on_sqlite=is_sqlite(conn)))


def ids_near(
    names: Iterable[str], *, since: datetime, until: datetime, on_sqlite: bool
) -> Question[set[str]]:
    """What `registered_ids_near` gives."""
    near_them = near(names, since=since, until=until, on_sqlite=on_sqlite)
    return Question(
        _ids_near(on_sqlite), near_them.values, lambda rows: {row["id"] for row in rows}
    )


def registered(conn: Connection, ids: Iterable[str]) -> dict[str, Session]:
    """The registered sessions of these ids."""
    statement = select(sessions).where(among(conn, sessions.c.id, sorted(ids)))
    rows = conn.execute(statement.where(sessions.c.made_by == "registered"))
    return _by_id(rows.mappings())


def of_ids(conn: Connection, ids: Iterable[str]) -> dict[str, Session]:
    """The sessions of these ids, registered or made on the spot."""
    rows = conn.execute(select(sessions).where(among(conn, sessions.c.id, sorted(ids))))
    return _by_id(rows.mappings())


def overlapping(conn: Connection, some: Iterable[Session]) -> dict[str, list[str]]:
    """By the id of each of these sessions, those of the other classes that are registered for its
    rooms and run at the same time."""
    classes = [each for each in some if each.scheduled_at is not None]
    starts = [each.scheduled_at for each in classes if each.scheduled_at is not None]
    ends = [each.ends_at for each in classes if each.ends_at is not None]
    names = {name for each in classes for name in (each.room_name, *each.rooms)}
    near = registered_near(conn, names, since=min(starts), until=max(ends)) if classes else []
    return {
        each.id: sorted(other.id for other in near if _overlap(each, other)) for each in classes
    }


def _overlap(one: Session, other: Session) -> bool:
    if one.id == other.id or one.scheduled_at is None or other.scheduled_at is None:
        return False
    if one.ends_at is None or other.ends_at is None:
        return False
    shared = any(
        mine.is_registered_for(name)
        for mine, its in ((one, other), (other, one))
        for name in (its.room_name, *its.rooms)
    )
    return shared and other.scheduled_at < one.ends_at and one.scheduled_at < other.ends_at


def names_of_classes(conn: Connection, *, since: datetime, until: datetime, most: int) -> list[str]:
    """The room names of classes that begin in this span, up to `most`."""
    statement = select(sessions.c.room_name).where(sessions.c.scheduled_at.between(since, until))
    return list(conn.execute(statement.distinct().limit(most)).scalars())


def next_waiting(room_name: str) -> Question[str | None]:
    """The id of the registered session of this room name that comes first."""
    return Question(
        FIRST_OF_ROOM,
        {"room_name": room_name},
        lambda rows: next((row["id"] for row in rows), None),
    )


def that_reach(
    conn: Connection, names: Iterable[str], moments: Sequence[datetime], *, reach: timedelta
) -> set[str]:
    """The ids of all sessions that may own a moment in rooms of these names: those registered for
    them and those made on the spot, near these moments (anywhere, without any).

    `reach` is MAX_CYCLE_HOURS: how far a session may own what began in its time.
    """
    wanted = sorted(names)
    around = NEAR + reach
    since, until = (min(moments) - around, max(moments) + around) if moments else (None, None)
    near = registered_near(conn, wanted, since=since, until=until)
    return {each.id for each in near} | made_near(conn, wanted, since=since, until=until)


def made_near(
    conn: Connection, names: Iterable[str], *, since: datetime | None, until: datetime | None
) -> set[str]:
    """The ids of the sessions that were made on the spot in rooms of these names, and began between
    the two moments (None: unbounded)."""
    statement = select(sessions.c.id).where(
        among(conn, sessions.c.room_name, names), sessions.c.made_by != "registered"
    )
    if since is not None:
        statement = statement.where(sessions.c.created_at >= since)
    if until is not None:
        statement = statement.where(sessions.c.created_at <= until)
    return set(conn.execute(statement).scalars())


def store(conn: Connection, session: Session, *, now: datetime) -> None:
    """Insert the session, or overwrite the one of its id."""
    upsert(conn, sessions, [as_row(session, now=now)], keep=("created_at",))
    conn.execute(delete(session_rooms).where(session_rooms.c.session_id == session.id))
    if session.rooms:
        rows = [{"session_id": session.id, "name": name} for name in sorted(set(session.rooms))]
        conn.execute(insert(conn, session_rooms), rows)
    session_people.put(conn, session.id, session.awaited)


def remove(conn: Connection, session_id: str) -> None:
    """Take the row of this id away."""
    conn.execute(delete(session_rooms).where(session_rooms.c.session_id == session_id))
    session_people.put(conn, session_id, ())
    conn.execute(delete(sessions).where(sessions.c.id == session_id))


def listing_room(conn: Connection, room_name: str) -> ColumnElement[bool]:
    """Those whose room it is: by `room_name`, or by a name in `rooms`."""
    listed = select(session_rooms.c.session_id).where(
        among(conn, session_rooms.c.name, sorted(patterns_of(room_name)))
    )
    return or_(sessions.c.room_name == room_name, sessions.c.id.in_(listed))


def count(conn: Connection) -> int:
    """How many sessions there are."""
    return conn.execute(select(func.count()).select_from(sessions)).scalar_one()


def read(row: Mapping[Any, Any]) -> Session:
    values = dict(row)
    del values["created_at"], values["ends_at"]
    expected = tuple(Person(**person) for person in values.pop("expected"))
    lists = {name: tuple(values[name]) for name in LISTS}
    if (least := values["minimum_percentage"]) is not None:
        values["minimum_percentage"] = float(least)  # JSON has no point in 75
    return Session(**values | lists, expected=expected)


def _first(rows: Rows) -> Session | None:
    return next(map(read, rows), None)


def _by_id(rows: Iterable[Mapping[Any, Any]]) -> dict[str, Session]:
    return {row["id"]: read(row) for row in rows}


def as_row(session: Session, *, now: datetime) -> dict[str, Any]:
    expected = [asdict(person) for person in session.expected]
    lists = {name: list(getattr(session, name)) for name in LISTS}
    derived = {"ends_at": session.ends_at, "created_at": now}
    return asdict(session) | lists | {"expected": expected} | derived


def patterns_of(name: str) -> Iterator[str]:
    """The words in `rooms` that mean this room name: itself, and each of its beginnings."""
    yield name
    yield from (f"{name[:length]}*" for length in range(len(name) + 1))


@cache
def _ids_near(on_sqlite: bool) -> Select[Any]:
    return select(_near(on_sqlite, since=True, until=True).subquery().c.id)


@cache
def _near(on_sqlite: bool, since: bool, until: bool) -> CompoundSelect[Any]:
    """Not with OR: PostgreSQL would read the whole table for it."""
    starts_at = sessions.c.scheduled_at
    bounds = [starts_at >= bindparam("since", type_=starts_at.type)] if since else []
    bounds += [starts_at <= bindparam("until", type_=starts_at.type)] if until else []
    registered = select(sessions).where(
        sessions.c.made_by == "registered",
        or_(starts_at.is_(None), and_(*bounds)) if bounds else true(),
    )
    listed = select(session_rooms.c.session_id).where(
        among_bound(session_rooms.c.name, "patterns", on_sqlite=on_sqlite)
    )
    return union_all(
        registered.where(among_bound(sessions.c.room_name, "names", on_sqlite=on_sqlite)),
        registered.where(sessions.c.id.in_(listed)),
    )
