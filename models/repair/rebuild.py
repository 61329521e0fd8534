"""Rebuild: the tables are made what the ledger says, where a comparison says that they differ.

Only what differs is written, so that what is right stays untouched; what the ledger can't say any
more is kept as it is.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete

from models.ledger import erasure, made, touched
from models.ledger.touched import Touched
from models.repair.difference import Comparison
from models.settings.settings import Settings
from models.storage import bulk
from models.tables import correction, cycle, room
from models.tables.correction import corrections
from models.tables.cycle import cycles
from models.tables.room import rooms


def hold(conn: Connection, found: Comparison) -> None:
    """Hold the rows of what was compared, in the order in which drains do, until the transaction
    ends; rooms that are missing are made for that. Compare again after it.

    An erasure is over before, or begins after: else it would not find what is written again.
    """
    erasure.hold_drains(conn, shared=True)
    missing = sorted(found.rooms, key=lambda life: life.sid)
    bulk.insert_missing(conn, rooms, [room.as_row(life) for life in missing], key="sid")
    room.locked(conn, found.extent.sids | {life.sid for life in missing})
    cycle.locked(conn, found.extent.cycle_ids | {each.cycle_id for each in found.cycles})
    correction.locked(conn, found.extent.correction_ids)


def rebuild(
    conn: Connection, found: Comparison, *, remove: bool, now: datetime, settings: Settings
) -> Touched:
    """Mend what the comparison found, in the transaction that compared, holding its rows.

    With `remove`, rooms and cycles of which no event says anything go too. Whose facts changed.
    """
    rooms_before = room.locked(conn, {life.sid for life in found.rooms})
    cycles_before = cycle.locked(conn, [each.cycle_id for each in found.cycles])
    bulk.upsert(conn, rooms, [room.as_row(life) for life in found.rooms])
    bulk.upsert(conn, cycles, [cycle.as_row(each) for each in found.cycles])
    bulk.upsert(conn, corrections, [correction.as_row(each) for each in found.corrections])
    if remove:
        _remove(conn, found)
    erasure.rewrite(conn, found.unmasked)
    rooms_now, cycles_now = (
        [*found.present_rooms, *found.rooms],
        [*found.present_cycles, *found.cycles],
    )
    manual = [each for each in cycles_now if each.provisional]
    made.enter(conn, rooms_now, manual, settings)
    changed = [*rooms_before.values(), *found.rooms, *found.unrecorded_rooms]
    return touched.by(
        conn,
        changed,
        [*cycles_before.values(), *found.cycles, *found.unrecorded_cycles],
        fresh=changed,
        corrected=[*found.corrections, *found.unrecorded_corrections],
        now=now,
        settings=settings,
    )


def _remove(conn: Connection, found: Comparison) -> None:
    """Take out what no event says anything of."""
    unrecorded = [each.cycle_id for each in found.unrecorded_cycles]
    conn.execute(delete(cycles).where(cycles.c.cycle_id.in_(unrecorded)))
    unsaid = [each.id for each in found.unrecorded_corrections]
    conn.execute(delete(corrections).where(corrections.c.id.in_(unsaid)))
    conn.execute(
        delete(rooms).where(rooms.c.sid.in_([life.sid for life in found.unrecorded_rooms]))
    )
