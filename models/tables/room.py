"""The rooms table: one row is one life of a LiveKit room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Select,
    Table,
    bindparam,
    func,
    or_,
    select,
)

from models.domain.facts import Room
from models.domain.ownership import with_lives_in_a_row
from models.storage.db import Instant, Json, Key, among, among_bound, is_sqlite, metadata
from models.storage.questions import Question, answer
from models.storage.spans import Span, bound, table

rooms = Table(
    "rooms",
    metadata,
    Column("sid", Key, primary_key=True),
    Column("name", Key, nullable=False),
    Column("named_session", Key),
    Column("named_rank", Key, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("starts", Json, nullable=False),
    Column("finished_at", Instant),
    Column("end_reason", Key),
    Column("end_rank", Key, nullable=False),
    Column("last_event_at", Instant, nullable=False),
    Index("rooms_by_name", "name", "created_at", "sid"),
    Index("rooms_by_named_session", "named_session"),
)


NAMING = select(rooms).where(rooms.c.named_session == bindparam("session_id"))


def locked(conn: Connection, sids: Iterable[str]) -> dict[str, Room]:
    """The rooms of these sids, locked in the order of their sids."""
    rows = conn.execute(_locked(is_sqlite(conn)), {"sids": list(sids)}).mappings()
    return {row["sid"]: read(row) for row in rows}


def of_sids(conn: Connection, sids: Iterable[str]) -> list[Room]:
    """The rooms of these sids, in no order."""
    statement = select(rooms).where(among(conn, rooms.c.sid, sids))
    return _read_all(conn.execute(statement).mappings())


def of_names(
    conn: Connection,
    names: Iterable[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Room]:
    """The lives of the rooms of these names, by name and creation.

    Between `since` and `until` those that were created then, and of each name the last one before
    and the first one after, which supersedes them.
    """
    return answer(conn, lives(names, since=since, until=until, on_sqlite=is_sqlite(conn)))


def lives(
    names: Iterable[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    on_sqlite: bool,
) -> Question[list[Room]]:
    """What `of_names` gives."""
    values = {"names": sorted(names), "since": since, "until": until}
    bound = {word: value for word, value in values.items() if value is not None}
    statement = _of_names(on_sqlite, since=since is not None, until=until is not None)
    return Question(statement, bound, lambda rows: with_lives_in_a_row(_read_all(rows)))


def of_spans(conn: Connection, spans: Sequence[Span]) -> list[Room]:
    """The lives of the rooms of these names that were created in these spans, and of each the last
    one before and the first one after; by creation, in no row yet."""
    on_sqlite = is_sqlite(conn)
    rows = conn.execute(_of_spans(on_sqlite), bound(spans, on_sqlite=on_sqlite)).mappings()
    return sorted({row["sid"]: read(row) for row in rows}.values(), key=attrgetter("age"))


def names_of(conn: Connection, prefixes: Sequence[str]) -> set[str]:
    """The names of rooms that begin with one of these."""
    if not prefixes:
        return set()
    begins = or_(*(begins_with(rooms.c.name, prefix) for prefix in prefixes))
    return set(conn.execute(select(rooms.c.name).where(begins).distinct()).scalars())


def that_name(conn: Connection, session_id: str) -> list[Room]:
    """The rooms whose metadata names this session."""
    return answer(conn, naming(session_id))


def naming(session_id: str) -> Question[list[Room]]:
    """What `that_name` gives."""
    return Question(NAMING, {"session_id": session_id}, _read_all)


def named_near(conn: Connection, names: Iterable[str], *, since: datetime) -> set[str]:
    """The sessions that metadata gave to rooms of these names that were created since then."""
    return answer(conn, naming_near(names, since=since, on_sqlite=is_sqlite(conn)))


def naming_near(names: Iterable[str], *, since: datetime, on_sqlite: bool) -> Question[set[str]]:
    """What `named_near` gives."""
    values = {"names": list(names), "since": since}
    return Question(
        _naming_near(on_sqlite), values, lambda rows: {row["named_session"] for row in rows}
    )


def following(conn: Connection, room: Room) -> Room | None:
    """The next room of the same name: its creation supersedes this one."""
    statement = select(rooms).where(
        rooms.c.name == room.name, rooms.c.created_at >= room.created_at
    )
    statement = statement.order_by(rooms.c.created_at, rooms.c.sid)
    lives = map(read, conn.execute(statement).mappings())
    return next((life for life in lives if life.age > room.age), None)


def read(row: Mapping[Any, Any]) -> Room:
    values = dict(row)
    values["starts"] = tuple(map(datetime.fromisoformat, values["starts"]))
    return Room(**values)


def _read_all(rows: Iterable[Mapping[Any, Any]]) -> list[Room]:
    return [read(row) for row in rows]


def as_row(room: Room) -> dict[str, Any]:
    """The room's facts as a row."""
    row = room._asdict()
    del row["superseded_at"]
    return row | {"starts": [at.isoformat() for at in room.starts]}


@cache
def _locked(on_sqlite: bool) -> Select[Any]:
    """Built once: each batch asks."""
    those = among_bound(rooms.c.sid, "sids", on_sqlite=on_sqlite)
    return select(rooms).where(those).order_by(rooms.c.sid).with_for_update()


@cache
def _naming_near(on_sqlite: bool) -> Select[Any]:
    created_at, named = rooms.c.created_at, rooms.c.named_session
    return (
        select(named)
        .distinct()
        .where(
            among_bound(rooms.c.name, "names", on_sqlite=on_sqlite),
            created_at >= bindparam("since", type_=created_at.type),
            named.is_not(None),
        )
    )


@cache
def _of_names(on_sqlite: bool, *, since: bool, until: bool) -> Select[Any]:
    """Built once: that costs more than to execute it."""
    created_at = rooms.c.created_at
    statement = select(rooms).where(among_bound(rooms.c.name, "names", on_sqlite=on_sqlite))
    if since:
        statement = statement.where(created_at >= _last_created())
    if until:
        statement = statement.where(created_at <= _next_created())
    return statement


@cache
def _of_spans(on_sqlite: bool) -> Select[Any]:
    spans, columns = table(on_sqlite=on_sqlite), rooms.c
    others = rooms.alias("others")
    of_name = others.c.name == spans.c.word
    before = select(func.max(others.c.created_at)).where(
        of_name, others.c.created_at <= spans.c.since
    )
    beyond = select(func.min(others.c.created_at)).where(
        of_name, others.c.created_at > spans.c.until
    )
    first, last = (each.correlate(spans).scalar_subquery() for each in (before, beyond))
    return select(rooms).join_from(
        spans,
        rooms,
        (columns.name == spans.c.word)
        & (columns.created_at >= func.coalesce(first, spans.c.since))
        & (columns.created_at <= func.coalesce(last, spans.c.until)),
    )


def _last_created() -> ColumnElement[datetime]:
    """When the last room of the same name was created at `since` or before, else `since`."""
    earlier = rooms.alias("earlier")
    since = bindparam("since", type_=earlier.c.created_at.type)
    statement = select(func.max(earlier.c.created_at)).where(
        earlier.c.name == rooms.c.name, earlier.c.created_at <= since
    )
    return func.coalesce(statement.correlate(rooms).scalar_subquery(), since)


def _next_created() -> ColumnElement[datetime]:
    """When the first room of the same name was created after `until`, else `until`."""
    later = rooms.alias("later")
    until = bindparam("until", type_=later.c.created_at.type)
    statement = select(func.min(later.c.created_at)).where(
        later.c.name == rooms.c.name, later.c.created_at > until
    )
    return func.coalesce(statement.correlate(rooms).scalar_subquery(), until)


def begins_with(column: Column[Any], prefix: str) -> ColumnElement[bool]:
    """Whether the column begins so, as a span of its index: U+10FFFF is the last character."""
    return (column >= prefix) & (column < prefix + "\U0010ffff")
