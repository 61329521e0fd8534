"""The cycles table: one row is one visit, joined to left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Row,
    Select,
    Subquery,
    Table,
    Text,
    func,
    or_,
    select,
    text,
    union_all,
)

from models.domain.facts import Cycle
from models.storage.db import Instant, Key, among, metadata
from models.tables.room import rooms

FIELDS = tuple(field.name for field in fields(Cycle))

ROWS_AT_ONCE = 1000
"""What a long read keeps in memory."""


def _partial(name: str, *columns: str) -> Index:
    """An index of the rows in which its last column says something: few."""
    says = text(f"{columns[-1]} IS NOT NULL")
    return Index(name, *columns, postgresql_where=says, sqlite_where=says)


cycles = Table(
    "cycles",
    metadata,
    Column("cycle_id", Key, primary_key=True),
    Column("room_sid", Key),
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
    Column("session_type", Text),
    Column("academy_id", Text),
    Index("cycles_by_room", "room_sid", "user_id"),
    _partial("cycles_by_named_session", "named_session"),
    Index("cycles_by_room_name", "room_name", "joined_at"),
    Index("cycles_by_left", "room_name", "left_at"),
    _partial("cycles_by_seen", "room_name", "last_seen_at"),
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


def find(conn: Connection, cycle_id: str) -> Cycle | None:
    """The cycle of this id."""
    row = conn.execute(select(cycles).where(cycles.c.cycle_id == cycle_id)).first()
    return read(row) if row else None


@dataclass(frozen=True, slots=True)
class Reach:
    """Which cycles may be in a session: those of its rooms and the manual joins that name it by id.

    With `since` and `until`: those in rooms of these names that were inside between the two, and
    at most `longest` long unless LiveKit says otherwise. Else all of these room sids, and manual
    joins to these names, those between the moments `by_hand` if they are given.
    """

    session_id: str
    names: frozenset[str]
    sids: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    longest: timedelta = timedelta(0)
    by_hand: tuple[datetime, datetime] | None = None


def within(
    conn: Connection, reach: Reach, *, user_id: str | None = None, most: int | None = None
) -> list[Cycle]:
    """Every cycle in reach, of everybody or of one person; no more than `most`."""
    cycles_in_reach = _within(conn, reach, user_id)
    statement = select(cycles_in_reach).order_by(cycles_in_reach.c.cycle_id).limit(most)
    return [read(row) for row in conn.execute(statement)]


def by_user(conn: Connection, reach: Reach) -> Iterator[tuple[str, list[Cycle]]]:
    """Every cycle in reach, a person at a time by user id, however many there are.

    Rows are fetched as they are asked for, so the transaction has to last until then.
    """
    cycles_in_reach = _within(conn, reach)
    statement = select(cycles_in_reach).order_by(
        cycles_in_reach.c.user_id, cycles_in_reach.c.cycle_id
    )
    rows = conn.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE})
    for user_id, own in groupby(map(read, rows), attrgetter("user_id")):
        yield user_id, list(own)


def open_count(conn: Connection, *, since: datetime) -> int:
    """How many cycles have neither a left nor an abort, in rooms that were heard of since."""
    statement = select(func.count()).join_from(cycles, rooms, rooms.c.sid == cycles.c.room_sid)
    unended = cycles.c.left_at.is_(None) & cycles.c.aborted_at.is_(None)
    return conn.execute(statement.where(rooms.c.last_event_at > since, unended)).scalar_one()


def last_manual_sign(conn: Connection, reach: Reach) -> datetime | None:
    """When a client last joined or left by hand, of the cycles in reach."""
    cycles_in_reach = _within(conn, reach)
    columns = cycles_in_reach.c
    signs = select(func.max(columns.client_joined_at), func.max(columns.client_left_at))
    latest = conn.execute(signs.where(columns.room_sid.is_(None))).one()
    return max((at for at in latest if at is not None), default=None)


def client_words(conn: Connection, reach: Reach) -> tuple[str | None, str | None]:
    """The type and the academy of the first manual join in reach that gave one, each for itself."""
    columns = _within(conn, reach).c
    first = [
        select(column)
        .where(column.is_not(None))
        .order_by(columns.joined_at, columns.cycle_id)
        .limit(1)
        .scalar_subquery()
        for column in (columns.session_type, columns.academy_id)
    ]
    session_type, academy_id = conn.execute(select(*first)).one()
    return session_type, academy_id


def latest_manual_join(conn: Connection, room_name: str) -> Cycle | None:
    """The latest provisional cycle that a token of this room made by the room's name."""
    statement = select(cycles).where(
        cycles.c.room_name == room_name,
        cycles.c.room_sid.is_(None),
        cycles.c.joined_at.is_not(None),
        or_(
            cycles.c.named_session.is_(None),
            cycles.c.named_session.startswith(f"{room_name}@", autoescape=True),
        ),
    )
    row = conn.execute(statement.order_by(cycles.c.joined_at.desc()).limit(1)).first()
    return read(row) if row else None


def of_person(conn: Connection, user_id: str, room_name: str, *, since: datetime) -> list[Cycle]:
    """One person's cycles in rooms of this name that began since then."""
    statement = select(cycles).where(
        cycles.c.user_id == user_id,
        cycles.c.room_name == room_name,
        func.coalesce(cycles.c.joined_at, cycles.c.aborted_at) >= since,
    )
    return [read(row) for row in conn.execute(statement.order_by(cycles.c.cycle_id))]


def first_that_name(conn: Connection, session_id: str) -> Cycle | None:
    """The first manual join that names this session by its id."""
    statement = select(cycles).where(cycles.c.named_session == session_id)
    first = statement.order_by(cycles.c.joined_at, cycles.c.cycle_id).limit(1)
    row = conn.execute(first).first()
    return read(row) if row else None


def manual_joins(conn: Connection, reach: Reach) -> Select[Any]:
    """The ids of the provisional cycles in reach."""
    columns = _within(conn, reach).c
    return select(columns.cycle_id).where(columns.room_sid.is_(None))


def read(row: Row[Any]) -> Cycle:
    return Cycle(**row._asdict())


def as_row(cycle: Cycle) -> dict[str, Any]:
    return {name: getattr(cycle, name) for name in FIELDS}


def _within(conn: Connection, reach: Reach, user_id: str | None = None) -> Subquery:
    """The cycles in reach. Several statements: PostgreSQL reads the whole table for an OR of which
    one side is a subquery."""
    own = [] if user_id is None else [cycles.c.user_id == user_id]
    named = cycles.c.named_session
    others = named.is_distinct_from(reach.session_id)
    sides = [select(cycles).where(named == reach.session_id, *own)]
    sides += [select(cycles).where(each, others, *own) for each in _in_rooms(conn, reach)]
    return union_all(*sides).subquery("cycles_in_reach")


def _in_rooms(conn: Connection, reach: Reach) -> list[ColumnElement[bool]]:
    """Conditions of which each cycle in rooms of the reach fulfils one; an index serves each."""
    of_names, joined_at = among(conn, cycles.c.room_name, reach.names), cycles.c.joined_at
    if reach.since is None or reach.until is None:
        by_hand = of_names & cycles.c.room_sid.is_(None)
        if reach.by_hand is not None:
            by_hand &= joined_at.between(*reach.by_hand)
        return [among(conn, cycles.c.room_sid, reach.sids), by_hand]
    earliest = reach.since - reach.longest
    began_long_before = of_names & (joined_at < earliest)
    left_later = cycles.c.left_at >= reach.since
    left_before = or_(cycles.c.left_at.is_(None), cycles.c.left_at < reach.since)
    return [
        of_names & joined_at.between(earliest, reach.until + reach.longest),
        of_names & joined_at.is_(None) & (cycles.c.aborted_at >= earliest),
        began_long_before & left_later,
        began_long_before & left_before & (cycles.c.last_seen_at >= earliest),
    ]
