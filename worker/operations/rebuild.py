"""Verify and rebuild, some rooms at a time: compared at one moment, mended in one transaction.

A rebuild locks the rows that it compares, in the order in which drains do: neither sees the other
half done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Connection

from models.domain.facts import Rules
from models.repair import comparison, derivation, rebuild
from models.repair.derivation import Extent
from models.repair.difference import Comparison
from models.storage import db
from worker.cache.change import changing
from worker.process.backend import UNHURRIED, Backend

Find = Callable[[Connection], Extent]

log = structlog.get_logger()


def extents(backend: Backend, session_id: str | None = None) -> list[Find]:
    """How to find the rooms, visits and corrections of a session, at the moment when they are
    compared; without a session all that there are, some at a time."""
    if session_id is not None:
        return [partial(_of_session, session_id=session_id, rules=backend.rules)]
    with db.snapshot(backend.engine, timeout=UNHURRIED.database) as conn:
        return [partial(_same, extent=extent) for extent in derivation.everything(conn)]


def verified(backend: Backend, find: Find) -> Comparison:
    """The extent, compared at one moment; nothing is changed."""
    with db.snapshot(backend.engine, timeout=UNHURRIED.database) as conn:
        return comparison.compare(conn, find(conn), backend.settings)


def rebuilt(backend: Backend, find: Find, *, remove: bool, now: datetime) -> Comparison:
    """The extent, compared and mended. With `remove`, what no event tells of goes too."""
    found = verified(backend, find)
    if not found.mended(remove=remove):
        return found
    with changing(backend) as change:
        conn = change.conn
        rebuild.hold(conn, found)
        found = comparison.compare(conn, find(conn), backend.settings)
        touched = rebuild.rebuild(conn, found, remove=remove, now=now, settings=backend.settings)
        change.keys.update(touched.keys)
    if mended := found.mended(remove=remove):
        log.info("session.rebuilt", session_id=found.extent.session_id, count=mended)
    return found


def _of_session(conn: Connection, session_id: str, rules: Rules) -> Extent:
    return derivation.with_lost(conn, derivation.of_session(conn, session_id, rules), rules)


def _same(_: Connection, extent: Extent) -> Extent:
    return extent
