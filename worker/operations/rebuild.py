"""Verify and rebuild, session by session: each compared at one moment, mended in one transaction.

A rebuild holds the session's room names, as a drain does: neither sees the other half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import structlog
from sqlalchemy import Connection

from models.repair import comparison, derivation, rebuild
from models.repair.derivation import Extent
from models.repair.difference import Comparison
from models.storage import db
from models.tables import session
from worker.cache.change import changing
from worker.process.backend import UNHURRIED, Backend

SESSIONS_AT_ONCE = 500

Find = Callable[[Connection], Extent]

log = structlog.get_logger()


def extents(backend: Backend, session_id: str | None = None) -> Iterator[Find]:
    """How to find each session's rooms and visits, at the moment when they are compared.

    Without a session: all of them, and after them what belongs to none.
    """
    if session_id is not None:
        yield lambda conn: derivation.with_lost(conn, derivation.of_session(conn, session_id))
        return
    after: str | None = None
    while True:
        with db.reading(backend.engine) as conn:
            found = session.page(conn, after=after, limit=SESSIONS_AT_ONCE)
        for one in found:
            yield _of_session(one.id)
        if len(found) < SESSIONS_AT_ONCE:
            break
        after = found[-1].id
    with db.snapshot(backend.engine, timeout=UNHURRIED.database) as conn:
        strays = derivation.strays(conn)
    for extent in strays:
        yield _same(extent)


def verified(backend: Backend, find: Find) -> Comparison:
    """The extent, compared at one moment; nothing is changed."""
    with db.snapshot(backend.engine, timeout=UNHURRIED.database) as conn:
        return comparison.compare(conn, find(conn), backend.settings)


def rebuilt(backend: Backend, find: Find, *, remove: bool, now: datetime) -> Comparison:
    """The extent, compared and mended. With `remove`, what no event tells of goes too."""
    found = verified(backend, find)
    if not found.mended(remove=remove):
        return found
    names = _guards(found)
    while True:
        with changing(backend) as change:
            conn = change.conn
            db.lock(conn, names)
            found = comparison.compare(conn, find(conn), backend.settings)
            if _guards(found) <= names:
                touched = rebuild.rebuild(
                    conn, found, remove=remove, now=now, settings=backend.settings
                )
                change.keys.update(touched.keys)
                break
        # What guards it changed until it was held: let go, hold that too, and look again.
        names |= _guards(found)
    if mended := found.mended(remove=remove):
        log.info("session.rebuilt", session_id=found.extent.session_id, count=mended)
    return found


def _guards(found: Comparison) -> set[str]:
    """The names to hold; a session's own id is one, as for whoever registers it."""
    home = found.extent.session_id
    return found.room_names | ({home} if home is not None else set())


def _of_session(session_id: str) -> Find:
    return lambda conn: derivation.of_session(conn, session_id)


def _same(extent: Extent) -> Find:
    return lambda _: extent
