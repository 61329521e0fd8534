"""Rebuild: the tables are made what the ledger tells, where a comparison says that they differ.

Only what differs is written, so that what is right stays untouched; what the ledger can't tell any
more is kept as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, delete, select

from models.domain.facts import Cycle, Room
from models.ledger import apply as ledger
from models.ledger import erasure
from models.ledger.apply import Touched
from models.repair.difference import Comparison
from models.settings.settings import Settings
from models.storage import bulk
from models.tables import cycle, room, session
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.session import sessions

Fact = TypeVar("Fact", Room, Cycle)


def rebuild(
    conn: Connection, found: Comparison, *, remove: bool, now: datetime, settings: Settings
) -> Touched:
    """Mend what the comparison found, in the transaction that compared, holding its room names.

    With `remove`, rooms and cycles of which no event tells go too. Whose facts changed.
    """
    sids = found.extent.sids | {one.sid for one in found.rooms}
    before = room.locked(conn, sids)
    visits = _write(conn, found)
    superseded = _remove(conn, found) if remove else set()
    erasure.rewrite(conn, found.unmasked)
    after = {sid: one for sid, one in room.locked(conn, sids).items() if sid not in found.kept}
    superseded |= room.supersede(conn, [(before.get(sid), one) for sid, one in after.items()])
    by_hand = _by_hand(conn, found)
    touched = ledger.resolve(
        conn, _housed(conn, after.values()), _housed(conn, by_hand), now=now, settings=settings
    )
    left = _sessions(conn, found, before.values(), visits) | superseded
    session.tidy(conn, left)
    return Touched(touched.sessions | left, touched.names | found.room_names)


def _write(conn: Connection, found: Comparison) -> list[Cycle]:
    """Write what differs; the visits that did, as they were."""
    bulk.upsert(conn, rooms, [room.as_row(one) for one in found.rooms])
    known = cycle.locked(conn, [one.cycle_id for one in found.cycles])
    told = [
        replace(one, session_id=known[one.cycle_id].session_id) if one.cycle_id in known else one
        for one in found.cycles
    ]
    bulk.upsert(conn, cycles, [cycle.as_row(one) for one in told])
    return list(known.values())


def _remove(conn: Connection, found: Comparison) -> set[str]:
    """Take out what no event tells of; what such a room had superseded is so no more: in which
    sessions."""
    superseded = [room.preceding(conn, one) for one in found.untold_rooms]
    untold = [one.cycle_id for one in found.untold_cycles]
    conn.execute(delete(cycles).where(cycles.c.cycle_id.in_(untold)))
    conn.execute(delete(rooms).where(rooms.c.sid.in_([one.sid for one in found.untold_rooms])))
    return room.supersede(conn, [(None, one) for one in superseded if one is not None])


def _by_hand(conn: Connection, found: Comparison) -> list[Cycle]:
    """The manual joins of the extent that may find another session."""
    wanted = found.extent.cycle_ids | {one.cycle_id for one in found.cycles}
    held = cycle.locked(conn, wanted - found.kept.keys())
    return [one for one in held.values() if one.provisional]


def _housed(conn: Connection, facts: Iterable[Fact]) -> list[Fact]:
    """The facts, but for sessions that are not there: those are then made."""
    told = list(facts)
    homes = {one.session_id for one in told if one.session_id}
    known = set(conn.execute(select(sessions.c.id).where(sessions.c.id.in_(homes))).scalars())
    return [one if one.session_id in known else replace(one, session_id=None) for one in told]


def _sessions(
    conn: Connection, found: Comparison, before: Iterable[Room], visits: Sequence[Cycle]
) -> set[str]:
    """The sessions that what was compared, written and removed is in, or was in."""
    some = [*visits, *found.cycles, *found.untold_cycles]
    left = {found.extent.session_id}
    left |= room.sessions_of(conn, {one.room_sid for one in some if one.room_sid})
    left |= {one.session_id for one in [*before, *found.untold_rooms]}
    left |= {one.session_id for one in found.untold_cycles}
    return {one for one in left if one is not None}
