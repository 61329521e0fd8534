"""The changes: of which sessions and rooms each transaction changed the facts; an outbox.

Clearing the cache follows a commit, and can be lost on the way: a process is killed, Redis is away.
The row commits with the transaction itself, so whoever looks here misses none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
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
    type_coerce,
)

from models.storage.db import Instant, Json, RowId, is_sqlite, metadata

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
SNAPSHOT = text(
    "SELECT concat(extract(epoch FROM pg_postmaster_start_time()), '/', oid), pg_current_snapshot()"
    " FROM pg_database WHERE datname = current_database()"
)
UNSEEN = text(
    "(xid >= pg_snapshot_xmin(CAST(:seen AS pg_snapshot))::text::bigint"
    " AND NOT pg_visible_in_snapshot(xid::text::xid8, CAST(:seen AS pg_snapshot)))"
)


def record(conn: Connection, keys: Iterable[str], *, now: datetime) -> None:
    """Note whose facts (session ids, room names) this transaction changed; at its end."""
    row: dict[str, Any] = {"cache_keys": sorted(keys), "recorded_at": now}
    if not is_sqlite(conn):
        row["xid"] = cast(cast(func.pg_current_xact_id(), Text), BigInteger)
    conn.execute(changes.insert().values(row))


@dataclass(frozen=True, slots=True)
class Mark:
    """Which transactions somebody saw.

    SQLite writes one after another: the last id tells. PostgreSQL's snapshot tells those that were
    still under way among those that began; it counts them anew after some crashes, and elsewhere.
    """

    server: str
    seen: str

    @classmethod
    def of(cls, conn: Connection) -> Mark:
        """What this transaction sees."""
        if is_sqlite(conn):
            return cls("", str(conn.execute(LAST_ID).scalar() or 0))
        return cls(*conn.execute(SNAPSHOT).one())

    @classmethod
    def read(cls, said: str) -> Mark:
        return cls(*said.split(" "))

    def __str__(self) -> str:
        return f"{self.server} {self.seen}"

    def follows(self, earlier: Mark) -> bool:
        """Whether one database told the earlier one and then this: not when it was started anew
        meanwhile, replaced by another, or set back to a backup."""
        return self.server == earlier.server and self._newest >= earlier._newest

    @property
    def _newest(self) -> int:
        """SQLite's last id; of PostgreSQL's `xmin:xmax:list`, the number that comes next."""
        return int(self.seen.split(":")[1] if ":" in self.seen else self.seen)


def since(conn: Connection, mark: Mark) -> set[str]:
    """The keys that were noted by transactions which this one sees and `mark` did not."""
    found = conn.execute(select(changes.c.cache_keys).where(_unseen(conn, mark)))
    return {key for keys in found.scalars() for key in keys}


def prune(conn: Connection, *, before: datetime, seen: Mark, limit: int) -> int:
    """Forget up to `limit` of what was noted before that, and was seen; how many."""
    old = select(changes.c.id).where(changes.c.recorded_at < before, ~_unseen(conn, seen))
    some = old.order_by(changes.c.recorded_at).limit(limit)
    return conn.execute(delete(changes).where(changes.c.id.in_(some))).rowcount


def _unseen(conn: Connection, mark: Mark) -> ColumnElement[bool]:
    if is_sqlite(conn):
        return changes.c.id > int(mark.seen)
    return type_coerce(UNSEEN.bindparams(seen=mark.seen), Boolean)
