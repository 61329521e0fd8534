"""A change of facts: its transaction raises the revisions, and its commit clears the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection

from models.storage import db
from models.tables import revision
from worker.cache import cache
from worker.process.backend import Backend


@dataclass(slots=True)
class Change:
    """A transaction that changes facts; `keys` are the session ids and room names of those."""

    conn: Connection
    keys: set[str] = field(default_factory=set)
    cleared: bool = False


@contextmanager
def changing(backend: Backend) -> Iterator[Change]:
    """A transaction that writes; what it changed is cleared from the cache once it committed."""
    with db.writing(backend.engine) as conn:
        change = Change(conn)
        yield change
        if change.keys:
            revision.raise_all(conn, change.keys, now=datetime.now(UTC))
    change.cleared = cache.clear(backend.redis, change.keys)
