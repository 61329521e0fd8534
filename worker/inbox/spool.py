"""The spool: a Redis stream that takes events which the database did not take.

What is in it was acknowledged, so it is as safe as that Redis (run it with AOF). It is copied into
the inbox, by every drain first and by the web processes; that is committed, and only then is the
stream's entry deleted: a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import structlog
from redis import Redis
from sqlalchemy.exc import SQLAlchemyError

from models.storage import db, errors, reasons
from models.tables import webhook_event
from worker.process.backend import Backend

SPOOL = "rollcall:spool"
HINDRANCE = "rollcall:spool:hindrance"
HINDRANCE_LIFE_SECONDS = 60

BATCH = 500
FIELD = b"row"

Stored = tuple[bytes, dict[bytes, bytes]]

log = structlog.get_logger()


def add(redis: Redis, row: dict[str, Any]) -> None:
    """Keep an inbox row until the database is back. Raises RedisError."""
    redis.xadd(SPOOL, {FIELD: orjson.dumps(row)})


def note_hindrance(redis: Redis, reason: str) -> None:
    """Remember for a minute why the database does not take what is in it. Raises RedisError."""
    redis.set(HINDRANCE, reason, ex=HINDRANCE_LIFE_SECONDS)


def hindrance(redis: Redis) -> str:
    """Why the database did not take it lately; empty when nobody knows. Raises RedisError."""
    return cast("bytes", redis.get(HINDRANCE) or b"").decode()


def copy(backend: Backend) -> int:
    """Move up to BATCH rows into the inbox; how many. Raises what Redis and the database raise.

    A row that the database refuses stays in the spool, and holds up none behind it.
    """
    after = "-"
    while entries := _read(backend.redis, after):
        moved = _insert(backend, entries)
        if moved:
            backend.redis.xdel(SPOOL, *moved)
            return len(moved)
        after = f"({entries[-1][0].decode()}"
    return 0


def length(redis: Redis) -> int:
    """How many rows wait. Raises RedisError."""
    return int(redis.xlen(SPOOL))


def oldest(redis: Redis) -> datetime | None:
    """When the oldest row came into it, by Redis's clock. Raises RedisError."""
    entries = _read(redis, "-", count=1)
    if not entries:
        return None
    return datetime.fromtimestamp(int(entries[0][0].partition(b"-")[0]) / 1000, UTC)


def _read(redis: Redis, after: str, *, count: int = BATCH) -> list[Stored]:
    return cast("list[Stored]", redis.xrange(SPOOL, min=after, count=count))


def _insert(backend: Backend, entries: Sequence[Stored]) -> list[bytes]:
    """Insert and commit; the ids of those that the inbox has now."""
    rows = [_row(fields[FIELD]) for _, fields in entries]
    try:
        with db.writing(backend.engine) as conn:
            webhook_event.insert_rows(conn, rows)
    except SQLAlchemyError as error:
        if not errors.is_about_rows(error):
            raise
        if len(entries) > 1:
            return [moved for entry in entries for moved in _insert(backend, [entry])]
        log.error("spool.refused", event_id=rows[0]["event_id"], reason=reasons.of(error))
        return []
    return [entry_id for entry_id, _ in entries]


def _row(stored: bytes) -> dict[str, Any]:
    row: dict[str, Any] = webhook_event.EMPTY | orjson.loads(stored)  # of an older version, maybe
    for name in ("created_at", "received_at"):
        row[name] = datetime.fromisoformat(row[name]) if row[name] else None
    return row
