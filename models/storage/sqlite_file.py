"""SQLite's file: how to have it hold nothing but what its tables have.

What is changed or deleted stays in freed pages and in the write-ahead log, often for long. SQLite's
`secure_delete` overwrites most of it, and misses what a page leaves behind that was split.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext

from sqlalchemy import Engine

from models.storage.write_queue import WriteQueue


def rewrite(engine: Engine) -> bool:
    """Write SQLite's file anew, and empty its write-ahead log; True when both are done.

    False when others used it for too long, or the disk has no room for a copy. Nobody else writes
    meanwhile. With another database there is nothing to do.
    """
    if engine.dialect.name != "sqlite":
        return True
    queue: WriteQueue | None = engine.get_execution_options().get("write_queue")
    with queue.held() if queue else nullcontext(), closing(engine.raw_connection()) as connection:
        own = connection.driver_connection
        if own is None:
            return False
        try:
            own.execute("VACUUM")
            busy, _, _ = own.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
        return not busy
