"""A Rollcall with so much stored: a thousand events that were applied, and copies of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from models.storage import db
from models.storage.engine import make_engine
from tests.bench import inbox
from tests.bench.mail import Classes
from tests.bench.stack import Stack, stack

SEED = 1_000
"""Events that are applied for real; what is stored more are copies of them, under other names."""

APPLYING_SECONDS, COPYING_SECONDS = 60, 900

COPIED = {
    "sessions": ("id", "room_name"),
    "rooms": ("sid", "name"),
    "cycles": ("cycle_id", "room_sid", "room_name", "user_id"),
    "webhook_events": ("event_id", "room_sid", "room_name", "participant_sid", "user_id"),
}
"""What of each table's rows gets another name in every copy."""


@contextmanager
def grown(size: int) -> Iterator[Stack]:
    """`size` events stored, and everything that they came to, on PostgreSQL."""
    with stack("postgresql", name=f"bench_{size}") as under:
        with under.worker():
            inbox.fill(under, Classes(rooms=10, people=20, prefix="seed", seed=size).next(SEED))
            inbox.drained(under, within=APPLYING_SECONDS)
        _copy(under, size // SEED - 1)
        yield under


def _copy(under: Stack, copies: int) -> None:
    """Without the indexes, which are made anew afterwards: that takes a fraction of the time."""
    engine = make_engine(under.database_url, timeout=COPYING_SECONDS)
    indexes = [index for table in COPIED for index in db.metadata.tables[table].indexes]
    with db.writing(engine) as conn:
        for index in indexes:
            index.drop(conn)
        for table, names in COPIED.items():
            changes = [f"'{name}', one.{name} || '-' || n" for name in names]
            if table == "webhook_events":
                changes.append("'id', nextval(pg_get_serial_sequence('webhook_events', 'id'))")
            copied = (
                f"INSERT INTO {table} SELECT copy.*"  # noqa: S608  (our own)
                f" FROM {table} one, generate_series(1, :copies) n,"
                f" jsonb_populate_record(one, jsonb_build_object({', '.join(changes)})) copy"
            )
            conn.execute(text(copied), {"copies": copies})
        for index in indexes:
            index.create(conn)
    with db.reading(engine) as conn:
        conn.execute(text("VACUUM ANALYZE"))
    engine.dispose()
