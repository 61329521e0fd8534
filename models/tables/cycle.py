"""The cycles table: one row is one visit, joined to left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Index,
    Select,
    Table,
    Text,
    bindparam,
    func,
    or_,
    select,
)

from models.domain.facts import Cycle
from models.storage.db import Instant, Key, among_bound, is_sqlite, metadata, partial
from models.storage.questions import Question, Rows
from models.tables.room import begins_with, rooms

FIELDS = Cycle._fields


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
    partial("cycles_by_named_session", "named_session"),
    Index("cycles_by_room_name", "room_name", "joined_at"),
    Index("cycles_by_left", "room_name", "left_at"),
    partial("cycles_by_seen", "room_name", "last_seen_at"),
    Index("cycles_by_user", "user_id"),
)


def by_the_rooms_name(made: FromClause) -> ColumnElement[bool]:
    """Of manual joins: those by the room's name, by which the id of a session that is made on the
    spot for it begins."""
    named, by_name = made.c.named_session, made.c.room_name.concat("@")
    return or_(named.is_(None), func.substr(named, 1, func.length(by_name)) == by_name)


@dataclass(frozen=True, slots=True)
class NamedByHand:
    """The names of the rooms from which somebody joined a session by its id, and when they did so
    first and last."""

    names: set[str]
    since: datetime | None
    until: datetime | None


LATEST_BY_HAND = (
    select(cycles)
    .where(
        cycles.c.room_name == bindparam("room_name"),
        cycles.c.room_sid.is_(None),
        cycles.c.joined_at.is_not(None),
        by_the_rooms_name(cycles),
    )
    .order_by(cycles.c.joined_at.desc())
    .limit(1)
)
NAMED_BY_HAND = (
    select(
        cycles.c.room_name,
        func.min(cycles.c.joined_at).label("first"),
        func.max(cycles.c.joined_at).label("last"),
    )
    .where(cycles.c.named_session == bindparam("session_id"))
    .group_by(cycles.c.room_name)
)


def locked(conn: Connection, ids: Iterable[str]) -> dict[str, Cycle]:
    """The cycles of these ids, locked in the order of their ids."""
    wanted = list(ids)
    if not wanted:
        return {}
    rows = conn.execute(_locked(is_sqlite(conn)), {"ids": wanted})
    return {row[0]: Cycle(*row) for row in rows}


def find(conn: Connection, cycle_id: str) -> Cycle | None:
    """The cycle of this id."""
    row = conn.execute(select(cycles).where(cycles.c.cycle_id == cycle_id)).mappings().first()
    return read(row) if row else None


def open_count(conn: Connection, *, since: datetime) -> int:
    """How many cycles have neither a left nor an abort, in rooms that were heard of since."""
    statement = select(func.count()).join_from(cycles, rooms, rooms.c.sid == cycles.c.room_sid)
    unended = cycles.c.left_at.is_(None) & cycles.c.aborted_at.is_(None)
    return conn.execute(statement.where(rooms.c.last_event_at > since, unended)).scalar_one()


def latest_manual_join(room_name: str) -> Question[Cycle | None]:
    """The latest provisional cycle that a token of this room made by the room's name."""
    return Question(
        LATEST_BY_HAND,
        {"room_name": room_name},
        lambda rows: next(map(read, rows), None),
    )


def of_person(conn: Connection, user_id: str, room_name: str, *, since: datetime) -> list[Cycle]:
    """One person's cycles in rooms of this name that began since then."""
    statement = select(cycles).where(
        cycles.c.user_id == user_id,
        cycles.c.room_name == room_name,
        func.coalesce(cycles.c.joined_at, cycles.c.aborted_at) >= since,
    )
    rows = conn.execute(statement.order_by(cycles.c.cycle_id)).mappings()
    return [read(row) for row in rows]


def first_that_name(conn: Connection, session_id: str) -> Cycle | None:
    """The first manual join that names this session by its id."""
    statement = select(cycles).where(cycles.c.named_session == session_id)
    first = statement.order_by(cycles.c.joined_at, cycles.c.cycle_id).limit(1)
    row = conn.execute(first).mappings().first()
    return read(row) if row else None


def named_by_hand(session_id: str) -> Question[NamedByHand]:
    """From where and when somebody joined this session by its id."""
    return Question(NAMED_BY_HAND, {"session_id": session_id}, _named_by_hand)


def _named_by_hand(rows: Rows) -> NamedByHand:
    joins = list(rows)
    return NamedByHand(
        {each["room_name"] for each in joins if each["room_name"]},
        min((each["first"] for each in joins if each["first"]), default=None),
        max((each["last"] for each in joins if each["last"]), default=None),
    )


def names_by_hand(
    conn: Connection, prefixes: Sequence[str], *, since: datetime | None, until: datetime | None
) -> set[str]:
    """The names that begin with one of these, of rooms that somebody joined by hand in that span:
    LiveKit may have sent nothing of them."""
    if not prefixes:
        return set()
    statement = select(cycles.c.room_name).distinct().where(cycles.c.room_sid.is_(None))
    statement = statement.where(or_(*(begins_with(cycles.c.room_name, each) for each in prefixes)))
    if since is not None and until is not None:
        statement = statement.where(cycles.c.joined_at.between(since, until))
    return set(conn.execute(statement).scalars())


def read(row: Mapping[Any, Any]) -> Cycle:
    return Cycle(**row)


@cache
def _locked(on_sqlite: bool) -> Select[Any]:
    """Built once, with its columns as `Cycle` has its fields: each batch asks."""
    in_order = (cycles.c[name] for name in FIELDS)
    those = among_bound(cycles.c.cycle_id, "ids", on_sqlite=on_sqlite)
    return select(*in_order).where(those).order_by(cycles.c.cycle_id).with_for_update()


def as_row(cycle: Cycle) -> dict[str, Any]:
    return cycle._asdict()
