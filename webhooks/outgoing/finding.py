"""Finding what became final: sessions that ended are looked at, and each new content is a version.

What was looked at stands in the database, and so do the deliveries that follow from it: a process
that dies, or a Redis that is wiped, has the next look find the same.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Connection

from models.lookup import finality
from models.storage import db, reasons
from models.tables import delivery, final_session, revision
from models.tables.final_session import FinalSession
from webhooks.outgoing import body
from webhooks.outgoing.body import Final, NotFinal
from worker.inbox import bell, own_job
from worker.jobs.draining import NOBODYS_FAULT
from worker.process import shutdown
from worker.process.backend import Backend, own_backend

AT_ONCE = 200
"""Sessions that are asked for in one statement."""

LOOKS_NEAR = timedelta(days=1)
"""How far back most looks go for changes: all that are kept take eight times as long to go through,
1.5 s for 100,000 sessions in PostgreSQL, and matter only where nobody looked for long."""

FAR_LOOK = "rollcall:far-look"
FAR_LOOK_EACH = timedelta(hours=1)

MOST_AGAIN = 10_000
"""Deliveries that are put back in one transaction."""

JOB_SECONDS = 20.0
"""Of work, before sending comes between. A session that was begun then has forty seconds more:
after them RQ ends the job."""

READ_SECONDS = 20.0
"""For the people of one session."""

SOONEST, LATEST = timedelta(minutes=5), timedelta(hours=6)
"""Between two looks at a session that is not final and of which nothing new was heard, or that
can't be read."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a session at `at`: `before` is what was known, `revision` its own then."""

    session_id: str
    at: datetime
    before: FinalSession | None
    revision: int
    seen: Final | NotFinal | None


def find_final() -> None:
    """RQ job: look at the sessions that may have become final or changed, and have it sent."""
    backend = own_backend()
    try:
        more = look_around(backend)
    except NOBODYS_FAULT as error:
        log.warning("final.unknown", reason=reasons.of(error))
        return
    bell.enqueue_once(backend.redis, own_job.SEND)
    if more:
        bell.enqueue_once(backend.redis, own_job.FIND)


def look_around(backend: Backend) -> bool:
    """Look at all that is to be looked at, for JOB_SECONDS; whether some is left.

    Raises NOBODYS_FAULT when the database is away.
    """
    ends_at = monotonic() + JOB_SECONDS
    send_to_returned(backend)
    is_far = _is_time_for_a_far_look(backend)
    while True:
        now = datetime.now(UTC)
        since = now - (finality.CHANGES_KEPT_FOR if is_far else LOOKS_NEAR)
        with db.reading(backend.engine) as conn:
            found = finality.candidates(conn, now=now, changed_since=since, limit=AT_ONCE)
        for session_id in found:
            if shutdown.requested.is_set() or monotonic() > ends_at:
                return True
            _try(backend, session_id, now=now)
        if len(found) < AT_ONCE:
            if is_far:
                _note_far_look(backend)
            return False


def _is_time_for_a_far_look(backend: Backend) -> bool:
    """Whether nobody looked an hour ago or later at all changes that are kept. When Redis does not
    know, it is time: a look that is too far only takes longer."""
    try:
        return not backend.redis.exists(FAR_LOOK)
    except RedisError:
        return True


def _note_far_look(backend: Backend) -> None:
    with suppress(RedisError):
        backend.redis.set(FAR_LOOK, b"1", ex=FAR_LOOK_EACH)


def send_to_returned(backend: Backend) -> int:
    """Have sent after all what was dropped because a receiver was not in the setting, and is in it
    again; how many."""
    receivers = [delivery.receiver_of(url) for url in backend.settings.attendance_webhook_url]
    why, now = delivery.NOT_CONFIGURED, datetime.now(UTC)
    with db.writing(backend.engine) as conn:
        return delivery.take_back_drops(conn, receivers, why=why, now=now, limit=MOST_AGAIN)


def _try(backend: Backend, session_id: str, *, now: datetime) -> None:
    try:
        look_at(backend, session_id, now=now)
    except Exception as error:  # a session that can't be read, or not in time, must stop no other
        set_aside(backend, session_id, why=body.why(error), now=now)
        log.exception("final.unreadable", session=session_id, reason=body.why(error))


def look_at(backend: Backend, session_id: str, *, now: datetime) -> bool:
    """Look at one session; whether it has a new version, which has its deliveries then."""
    with db.snapshot(backend.engine, timeout=READ_SECONDS) as conn:
        look = Look(
            session_id,
            now,
            before=final_session.find(conn, session_id),
            revision=revision.of(conn, [session_id])[session_id],
            seen=body.read(conn, session_id, now=now, rules=backend.rules, seconds=READ_SECONDS),
        )
    with db.writing(backend.engine) as conn:
        return _note(conn, look, backend.settings.attendance_webhook_url)


def set_aside(backend: Backend, session_id: str, *, why: str, now: datetime) -> None:
    """Look at a session that can't be read again later, each time twice as late, or when it
    changes. Raises OperationalError when it is the database that fails, and not the session."""
    with db.writing(backend.engine) as conn:
        known = final_session.find(conn, session_id, lock=True) or FinalSession(session_id, now)
        number = revision.of(conn, [session_id])[session_id]
        again_at = now + _twice_as_late(known)
        seen = replace(known, revision=number, looked_at=now, look_at=again_at, error=why)
        final_session.store(conn, seen)


def _twice_as_late(known: FinalSession) -> timedelta:
    """As the look before that failed as well."""
    if known.error is None or known.look_at is None:
        return SOONEST
    return min(2 * (known.look_at - known.looked_at), LATEST)


def _note(conn: Connection, look: Look, addresses: tuple[str, ...]) -> bool:
    """Store what was seen, unless somebody else looked meanwhile: theirs may be newer."""
    if final_session.find(conn, look.session_id, lock=True) != look.before:
        return False
    known = look.before or FinalSession(look.session_id, look.at)
    digest = _new_digest(look, known)
    if isinstance(look.seen, Final) and look.seen.digest == known.digest:
        _send_dropped(conn, look)
    if digest is not None:
        known = replace(known, version=known.version + 1, digest=digest, final_at=look.at)
        delivery.drop_session(conn, look.session_id, why=delivery.NEWER, now=look.at)
        delivery.add(conn, look.session_id, known.version, addresses, now=look.at)
        log.info("session.final", session=look.session_id, version=known.version)
    again_at = _look_again_at(look)
    seen = replace(known, revision=look.revision, looked_at=look.at, look_at=again_at, error=None)
    final_session.store(conn, seen)
    return digest is not None


def _send_dropped(conn: Connection, look: Look) -> None:
    """The session is there again, and says the same: it is sent now to those who did not get it."""
    why = delivery.NOT_THERE
    if delivery.take_back_drop(conn, look.session_id, why=why, now=look.at):
        log.info("session.there_again", session=look.session_id)


def _new_digest(look: Look, known: FinalSession) -> str | None:
    """The digest of what is seen, when it is final and another than its last version's. What ended
    long ago, and was sent to nobody then, is sent to nobody now."""
    if not isinstance(look.seen, Final) or look.seen.digest == known.digest:
        return None
    last_at = look.seen.last_at
    is_recent = last_at is None or last_at > look.at - finality.LOOKS_BACK
    return look.seen.digest if known.version > 0 or is_recent else None


def _look_again_at(look: Look) -> datetime | None:
    """The longer nothing was heard of it, the later."""
    if not isinstance(look.seen, NotFinal):
        return None
    passed = look.at - (look.seen.since or look.at)
    return look.at + min(max(passed / 2, SOONEST), LATEST)
