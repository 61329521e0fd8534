"""The revisions: a number for each session id and room name, new with every change of its facts.

The transaction that changes the facts raises the number, so both commit or neither does. Facts that
were read under a number are the database's own for as long as the number is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from secrets import randbelow
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Select,
    Table,
    bindparam,
    delete,
    select,
    union_all,
)

from models.storage import bulk
from models.storage.db import Instant, Key, among, among_bound, is_sqlite, metadata
from models.storage.questions import Question, Rows, answer
from models.tables.session import session_rooms, sessions

revisions = Table(
    "revisions",
    metadata,
    Column("key", Key, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Index("revisions_by_time", "raised_at"),
)

ID = bindparam("session_id", type_=Key)

OF_REGISTERED = union_all(
    *(
        select(revisions.c.key, revisions.c.revision).where(revisions.c.key.in_(keys))
        for keys in (
            [ID],
            select(sessions.c.room_name).where(sessions.c.id == ID),
            select(session_rooms.c.name).where(session_rooms.c.session_id == ID),
        )
    )
)

NEVER_RAISED = 0

KEPT_FOR = timedelta(days=1)
"""At least: much longer than the cache keeps facts, so that by then nobody has the number from
before the change."""

LARGEST = 2**63 - 1


def raise_all(conn: Connection, keys: Iterable[str], *, now: datetime) -> None:
    """Give each of these session ids and room names a new revision, at the transaction's end.

    The number is random: a database that is restored from a backup does not give it again. The rows
    are locked in the order of their keys, so transactions never wait for each other in a circle.
    """
    number = 1 + randbelow(LARGEST)
    rows = [{"key": key, "revision": number, "raised_at": now} for key in sorted(keys)]
    bulk.upsert(conn, revisions, rows)


def of(conn: Connection, keys: Collection[str]) -> dict[str, int]:
    """The revision of each key; NEVER_RAISED for a key without a row."""
    return answer(conn, numbers(keys, on_sqlite=is_sqlite(conn)))


def numbers(keys: Collection[str], *, on_sqlite: bool) -> Question[dict[str, int]]:
    """What `of` gives."""
    return Question(
        _numbers(on_sqlite),
        {"keys": list(keys)},
        lambda rows: dict.fromkeys(keys, NEVER_RAISED) | _by_key(rows),
    )


def of_registered(session_id: str) -> Question[dict[str, int]]:
    """The revisions that were raised of the id of a registered session and of its rooms' names."""
    return Question(OF_REGISTERED, {"session_id": session_id}, _by_key)


def _by_key(rows: Rows) -> dict[str, int]:
    return {row["key"]: row["revision"] for row in rows}


def combined(numbers: Mapping[str, int], keys: Iterable[str]) -> int:
    """One number for these keys, which is another one as soon as one of theirs is; a key without a
    number was never raised. (Keys that are raised together have the same number, so exclusive-or
    would not do.)"""
    return sum(numbers.get(key, NEVER_RAISED) for key in keys) % LARGEST


def prune(conn: Connection, *, before: datetime, limit: int) -> int:
    """Remove up to `limit` revisions that were raised before; how many.

    Rows that a transaction holds are about to be raised, and stay.
    """
    old = select(revisions.c.key).where(revisions.c.raised_at < before)
    batch = old.order_by(revisions.c.raised_at).limit(limit).with_for_update(skip_locked=True)
    keys = list(conn.execute(batch).scalars())
    if keys:
        conn.execute(delete(revisions).where(among(conn, revisions.c.key, keys)))
    return len(keys)


@cache
def _numbers(on_sqlite: bool) -> Select[Any]:
    """Built once: that costs more than to execute it."""
    statement = select(revisions.c.key, revisions.c.revision)
    return statement.where(among_bound(revisions.c.key, "keys", on_sqlite=on_sqlite))
