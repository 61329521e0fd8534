"""The copies that we make of what the tables have, and that an erasure must reach too.

SQLite's file keeps what was changed or deleted in it, Redis's append-only file what the cache once
held. What PostgreSQL, backups and archives keep is for operators to look after: docs/operators.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, sleep
from typing import Literal

import structlog
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from models.storage import sqlite_file
from worker.process.backend import Backend

Copy = Literal["sqlite-file", "redis-append-only-file"]

REWRITE_SECONDS = 10.0
"""How long a rewrite that began before may keep ours waiting."""

PAUSE_SECONDS = 0.1

log = structlog.get_logger()


def remove(backend: Backend) -> list[Copy]:
    """Have nothing kept that the tables and the cache no longer have; which copies are left.

    Redis rewrites its file on its own after this has returned.
    """
    left = list(_left(backend))
    if left:
        log.warning("copies.left", copies=left)
    return left


def _left(backend: Backend) -> Iterator[Copy]:
    if not sqlite_file.rewrite(backend.engine):
        yield "sqlite-file"
    try:
        rewritten = _rewrite_append_only_file(backend.redis)
    except RedisError:  # away, or its user may not ask for it
        rewritten = False
    if not rewritten:
        yield "redis-append-only-file"


def _rewrite_append_only_file(redis: Redis) -> bool:
    """Ask Redis to write it anew, if it has one; False when it does not take that in time."""
    if not redis.info("persistence").get("aof_enabled"):
        return True
    deadline = monotonic() + REWRITE_SECONDS
    while monotonic() < deadline:
        try:
            redis.bgrewriteaof()
            return True
        except ResponseError as error:
            if "already in progress" not in str(error):
                raise
        sleep(PAUSE_SECONDS)  # it began before, and may have seen what is gone now
    return False
