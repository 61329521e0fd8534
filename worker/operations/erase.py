"""Erasing a person: in short transactions, so that nobody waits, and in an order that survives.

First it is remembered which cycles are theirs: from that commit on no fold brings the person back.
Whatever stops it later, running it again finishes with the same pseudonym.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import structlog

from models.ledger import erasure, touched
from models.storage import db
from models.storage.bulk import chunks
from worker.cache.change import changing
from worker.inbox import spool
from worker.process.backend import Backend

CYCLES_AT_ONCE = 200
EVENTS_AT_ONCE = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Erased:
    """How much of a person there was."""

    cycles: int
    events: int
    sessions: int


def fetch(backend: Backend) -> None:
    """Have what still waits in Redis come into the ledger, as a drain does: there it is found.

    Call it before `known` and `erase`. Raises RedisError: what they find may then not be all, and
    what is fetched later would bring the person back.
    """
    while spool.copy(backend) == spool.BATCH:
        pass


def known(backend: Backend, user_id: str) -> Erased:
    """How much `erase` would find; nothing is changed."""
    with db.reading(backend.engine) as conn:
        return Erased(
            cycles=len(erasure.cycles_of(conn, user_id)),
            events=erasure.count_events(conn, user_id),
            sessions=len(erasure.expecting(conn, user_id)),
        )


def erase(backend: Backend, user_id: str) -> Erased:
    """Put one random pseudonym into the person's place in cycles, expectations and the ledger.

    How much of them there was. Events that come later for their cycles take the pseudonym too.
    """
    with db.reading(backend.engine) as conn:
        session_ids = erasure.expecting(conn, user_id)
    with db.writing(backend.engine) as conn:
        # Their manual joins, and the drains that look up who was erased, are before or after this.
        db.lock(conn, [f"person:{user_id}"])
        erasure.hold_drains(conn)
        guarded = erasure.cycles_of(conn, user_id)
        pseudonym = erasure.remember(conn, guarded)
    if pseudonym == user_id:
        return Erased(0, 0, 0)
    for session_id in session_ids:
        with db.writing(backend.engine) as conn:
            erasure.rename_expected(conn, session_id, user_id, pseudonym)
    _rename_cycles(backend, guarded, pseudonym)
    events = _rewrite_events(backend, user_id, pseudonym)
    done = Erased(len(guarded), events, len(session_ids))
    log.info("user.erased", **asdict(done))
    return done


def _rename_cycles(backend: Backend, ids: set[str], pseudonym: str) -> None:
    for chunk in chunks(sorted(ids), CYCLES_AT_ONCE):
        with changing(backend) as change:
            renamed = erasure.rename_cycles(change.conn, chunk, pseudonym)
            reached = touched.by(
                change.conn, [], renamed, now=datetime.now(UTC), settings=backend.settings
            )
            change.keys.update(reached.keys)


def _rewrite_events(backend: Backend, user_id: str, pseudonym: str) -> int:
    rewritten = 0
    while True:
        with db.writing(backend.engine) as conn:
            count = erasure.rewrite_events(conn, user_id, pseudonym, limit=EVENTS_AT_ONCE)
        rewritten += count
        if count < EVENTS_AT_ONCE:
            return rewritten
