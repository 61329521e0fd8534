"""The spool: a Redis stream that takes events while the database is down.

What is in it was acknowledged, so it is as safe as that Redis (run it with AOF). Every drain first
copies it into the inbox, commits, and only then deletes it: a repetition changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import orjson
from redis import Redis

from models.storage import db
from models.tables import webhook_event
from worker.process.backend import Backend

SPOOL = "rollcall:spool"
BATCH = 500
FIELD = b"row"


def add(redis: Redis, row: dict[str, Any]) -> None:
    """Keep an inbox row until the database is back. Raises RedisError."""
    redis.xadd(SPOOL, {FIELD: orjson.dumps(row)})


def copy(backend: Backend) -> int:
    """Move up to BATCH rows into the inbox; how many. Raises what Redis and the database raise."""
    found = cast("list[tuple[bytes, dict[bytes, bytes]]]", backend.redis.xrange(SPOOL, count=BATCH))
    if not found:
        return 0
    with db.writing(backend.engine) as conn:
        webhook_event.insert_rows(conn, [_row(fields[FIELD]) for _, fields in found])
    backend.redis.xdel(SPOOL, *[entry for entry, _ in found])
    return len(found)


def length(redis: Redis) -> int:
    """How many rows wait. Raises RedisError."""
    return int(redis.xlen(SPOOL))


def _row(stored: bytes) -> dict[str, Any]:
    row: dict[str, Any] = webhook_event.EMPTY | orjson.loads(stored)  # of an older version, maybe
    for name in ("created_at", "received_at"):
        row[name] = datetime.fromisoformat(row[name]) if row[name] else None
    return row
