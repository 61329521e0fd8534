"""The judge: what is stored after the attack, and what was said of it in the logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, func, select

from models.storage import db
from models.tables import pending_event
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.session import sessions
from models.tables.webhook_event import LEDGER, STATUS, webhook_events
from tests.fuzz.attack import PEOPLE, ROOMS, Allowed
from tests.fuzz.words import MARK
from worker.process.backend import Backend

ERASED = "erased-"


def wrong_rows(backend: Backend, several: Sequence[Allowed]) -> Iterator[str]:
    """Each row that nobody who may have asked for it did ask for, and each event that failed."""
    allowed = Allowed(
        events=set().union(*(one.events for one in several)),
        rooms=set().union(*(one.rooms for one in several)),
        participants=set().union(*(one.participants for one in several)),
        sessions=set().union(*(one.sessions for one in several)),
    )
    with db.reading(backend.engine) as conn:
        yield from _wrong_events(conn, allowed)
        yield from _wrong_facts(conn, allowed)


def told_too_much(logs: str) -> Iterator[str]:
    """Lines with something of a person, a token or a body; and mistakes of ours."""
    for line in logs.splitlines():
        if MARK in line:
            yield f"a log tells: {line[:200]}"
        if "Traceback" in line or "request.failed" in line or "event.failed" in line:
            yield f"a mistake: {line[:400]}"


def is_settled(backend: Backend) -> bool:
    """Whether the worker has nothing left to do."""
    with db.reading(backend.engine) as conn:
        return pending_event.oldest(conn) is None


def counted(backend: Backend) -> dict[str, int]:
    """How many rows each table has."""
    with db.reading(backend.engine) as conn:
        return {
            table.name: conn.execute(select(func.count()).select_from(table)).scalar_one()
            for table in db.metadata.sorted_tables
        }


def _wrong_events(conn: Connection, allowed: Allowed) -> Iterator[str]:
    columns = webhook_events.c
    status = STATUS.label("status")
    wanted = (columns.event_id, columns.source, status, columns.user_id, columns.error)
    for row in conn.execute(select(*wanted).select_from(LEDGER)):
        if row.status in ("failed", "pending"):
            yield f"event {row.event_id} is {row.status}: {row.error}"
        known = (
            row.event_id in allowed.events
            if row.source == "livekit"
            else row.source == "client" and _is_person(row.user_id)
        )
        if not known:
            yield f"event {row.event_id} of {row.source} is from nobody"


def _wrong_facts(conn: Connection, allowed: Allowed) -> Iterator[str]:
    for row in conn.execute(select(rooms.c.sid, rooms.c.name)):
        if row.name not in allowed.rooms:
            yield f"room {row.sid} {row.name!r} is from nobody"
    names = allowed.rooms | set(ROOMS)
    for session_id in conn.execute(select(sessions.c.id)).scalars():
        made_for = session_id.rpartition("@")[0]
        if session_id not in allowed.sessions and made_for not in names:
            yield f"session {session_id!r} is from nobody"
    for one in conn.execute(select(cycles.c.cycle_id, cycles.c.room_sid, cycles.c.user_id)):
        provisional = one.room_sid is None
        if not (_is_person(one.user_id) if provisional else one.cycle_id in allowed.participants):
            yield f"cycle {one.cycle_id!r} of {one.user_id!r} is from nobody"


def _is_person(user_id: str | None) -> bool:
    return user_id is not None and (user_id in (*PEOPLE, "teacher") or user_id.startswith(ERASED))
