"""The changes: of which sessions and rooms each transaction changed the facts; an outbox.

Clearing the cache follows a commit, and can be lost on the way: a process is killed, Redis is away.
The row commits with the transaction itself, so whoever looks here misses none.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    Table,
    Text,
    cast,
    delete,
    func,
    select,
    text,
)

from models.db import Instant, Json, RowId, is_sqlite, metadata

changes = Table(
    "changes",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("xid", BigInteger),
    Column("cache_keys", Json, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Index("changes_by_xid", "xid"),
    Index("changes_by_time", "recorded_at"),
    sqlite_autoincrement=True,  # an id that was pruned is not given again
)

LAST_ID = text("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").columns(seq=Integer)
UNSEEN = text(
    "xid >= :oldest AND NOT pg_visible_in_snapshot(xid::text::xid8, CAST(:mark AS pg_snapshot))"
)


def record(conn: Connection, keys: Iterable[str], *, now: datetime) -> None:
    """Note whose facts (session ids, room names) this transaction changed; at its end."""
    row: dict[str, Any] = {"cache_keys": sorted(keys), "recorded_at": now}
    if not is_sqlite(conn):
        row["xid"] = cast(cast(func.pg_current_xact_id(), Text), BigInteger)
    conn.execute(changes.insert().values(row))


def mark(conn: Connection) -> str:
    """Which transactions this one sees, for `since` in a later one.

    SQLite writes one after another: the last id tells. PostgreSQL tells the transactions that are
    still under way among those that began.
    """
    if is_sqlite(conn):
        return str(conn.execute(LAST_ID).scalar() or 0)
    return conn.execute(select(cast(func.pg_current_snapshot(), Text))).scalar_one()


def since(conn: Connection, mark: str) -> set[str]:
    """The keys that were noted by transactions which this one sees and `mark` did not."""
    if is_sqlite(conn):
        found = select(changes.c.cache_keys).where(changes.c.id > int(mark))
    else:
        oldest = int(mark.split(":", maxsplit=1)[0])
        found = select(changes.c.cache_keys).where(UNSEEN.bindparams(oldest=oldest, mark=mark))
    return {key for keys in conn.execute(found).scalars() for key in keys}


def follows(mark: str, earlier: str) -> bool:
    """Whether one database can have told `earlier` and then `mark`: its counters only grow.

    They do not where it was replaced by another, or set back to a backup.
    """
    return _newest(mark) >= _newest(earlier)


def prune(conn: Connection, *, before: datetime) -> None:
    """Forget what was noted before that."""
    conn.execute(delete(changes).where(changes.c.recorded_at < before))


def _newest(mark: str) -> int:
    """SQLite's last id; of PostgreSQL's `xmin:xmax:list`, the number that comes next."""
    return int(mark.split(":")[1] if ":" in mark else mark)
