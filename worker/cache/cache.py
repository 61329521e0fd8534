"""The cache: the facts of a session, read by a status in one HMGET.

It holds facts, never answers: `attendance.view` derives those from `now`. Facts are served for
CACHE_TTL_SECONDS. Then the next reader asks the database for their revision, by one query. If it is
the same, they are served for as long again. So a status is never older than that, even when a clear
was lost. With Redis gone, the database answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Literal

import structlog
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection

from models.domain.facts import Cycle, Meeting
from models.storage import db
from models.tables import cycle, revision, session_facts
from worker.cache import codec, entry
from worker.cache.entry import Kind, Ticket, Values
from worker.process import metrics
from worker.process.backend import Backend

KEPT = 30
"""Times CACHE_TTL_SECONDS: how long facts are checked before they are read anew. It bounds for how
long what somebody changed in the database by hand is not seen."""

WHOLE_UP_TO = 1_000
"""Cycles that are filled in at once; a larger session is filled person by person."""

FILLER_LIFE_MS = 1_000
FILLER_PATIENCE_SECONDS = 0.2
MEETING, WHOLE = "_", "whole"
SESSION = "session"

log = structlog.get_logger()

Outcome = Literal["hit", "revalidated", "miss", "bypass"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one person in one session, and where it was read.

    `meeting` is None when no session is known by that address.
    """

    meeting: Meeting | None
    cycles: Sequence[Cycle]
    outcome: Outcome


def read(backend: Backend, address: str, user_id: str) -> Facts:
    """The facts of one person in the session that `address` (an id or a room's name) means.

    Never older than CACHE_TTL_SECONDS. Raises what the database raises when it has to be asked.
    """
    try:
        return _hit(backend, address, user_id) or _miss(backend, address, user_id)
    except RedisError:
        return _bypass(backend, address, user_id)


def clear(redis: Redis, keys: Iterable[str]) -> bool:
    """Forget these session ids and room names, after the commit that changed them.

    False when Redis does not answer: what it still has is checked within CACHE_TTL_SECONDS.
    """
    try:
        with redis.pipeline(transaction=False) as pipe:
            entry.forget(pipe, keys)
            pipe.execute()
    except RedisError as error:
        metrics.cache_errors.inc()
        log.warning("cache.not_cleared", error=type(error).__name__)
        return False
    return True


def _hit(backend: Backend, address: str, user_id: str) -> Facts | None:
    """One HMGET for an id; a room's name is looked up first when it is none."""
    fields = _fields(user_id)
    facts = _unpack(entry.fresh(backend.redis, "facts", address, fields), "hit")
    if facts is not None:
        return facts
    [session_id] = entry.fresh(backend.redis, "name", address, [SESSION])
    if session_id is None:
        return None
    if not session_id:
        return Facts(None, (), "hit")
    return _unpack(entry.fresh(backend.redis, "facts", session_id.decode(), fields), "hit")


def _unpack(values: Values, outcome: Outcome) -> Facts | None:
    """The facts in the fields that `_fields` names; None when they are not all there."""
    meeting, whole, cycles = values[:3]
    if meeting is None or (cycles is None and whole is None):
        return None
    try:
        return Facts(codec.meeting(meeting), codec.cycles(cycles) if cycles else (), outcome)
    except codec.OtherFields:
        return None


def _miss(backend: Backend, address: str, user_id: str) -> Facts:
    """Ask the database, one reader of an address at a time; others wait a moment."""
    filler = entry.place("filler", address)
    if not backend.redis.set(filler, b"1", nx=True, px=FILLER_LIFE_MS):
        filled = _wait_for_filler(backend, address, user_id)
        if filled is not None:
            return filled
    try:
        return _revalidated(backend, address, user_id) or _fill(backend, address, user_id)
    finally:
        backend.redis.delete(filler)


def _wait_for_filler(backend: Backend, address: str, user_id: str) -> Facts | None:
    deadline = monotonic() + FILLER_PATIENCE_SECONDS
    while monotonic() < deadline:
        sleep(0.01)
        if (facts := _hit(backend, address, user_id)) is not None:
            return facts
        if not backend.redis.exists(entry.place("filler", address)):
            return None
    return None


@dataclass(frozen=True, slots=True)
class _Check:
    """A kept entry whose facts are good if the database still has their revision."""

    ticket: Ticket
    kind: Kind
    revision: int


def _revalidated(backend: Backend, address: str, user_id: str) -> Facts | None:
    """The kept facts, if the database says that nothing has changed them: one query."""
    facts, checks = _kept(backend.redis, address, user_id)
    if facts is None:
        return None
    with db.reading(backend.engine) as conn:
        current = revision.of(conn, [check.ticket.key for check in checks])
    changed = {check.ticket.key for check in checks if current[check.ticket.key] != check.revision}
    if changed:
        clear(backend.redis, changed)
        return None
    for check in checks:
        number, fresh_ms = check.revision, _fresh_ms(backend)
        entry.renew(backend.redis, check.ticket, check.kind, revision=number, fresh_ms=fresh_ms)
    return facts


def _kept(redis: Redis, address: str, user_id: str) -> tuple[Facts | None, list[_Check]]:
    """What is kept of the session that the address means, and what has to be checked for it."""
    fields = _fields(user_id)
    ticket, kept = entry.draw(redis, address, facts=fields, name=[SESSION])
    facts = _unpack(kept["facts"], "revalidated")
    if facts is not None:
        return facts, [_check(ticket, "facts", kept["facts"])]
    session_id = kept["name"][0]
    if not session_id:
        return None, []
    own, of_session = entry.draw(redis, session_id.decode(), facts=fields)
    facts = _unpack(of_session["facts"], "revalidated")
    if facts is None:
        return None, []
    return facts, [_check(ticket, "name", kept["name"]), _check(own, "facts", of_session["facts"])]


def _check(ticket: Ticket, kind: Kind, values: Values) -> _Check:
    return _Check(ticket, kind, int(values[-1] or revision.NEVER_RAISED))


def _fill(backend: Backend, address: str, user_id: str) -> Facts:
    """What the address means as an id, as nearly every one does, else as a room's name.

    Each look at the database is one of its own: SQLite shows a transaction the moment of its first
    statement, which must not be before the ticket for the facts was drawn.
    """
    facts = _fill_facts(backend, address, user_id)
    if facts.meeting is not None:
        return facts
    session_id = _resolve(backend, address)
    if session_id is None:
        return facts
    kept = _revalidated(backend, session_id, user_id)
    return kept or _fill_facts(backend, session_id, user_id)


def _resolve(backend: Backend, address: str) -> str | None:
    """What the address means; stored unless it is the session's own id. Nothing is stored as "",
    and not kept: anybody can ask for what is not there. Nor is what time alone may change."""
    fresh_ms, kept_ms = _fresh_ms(backend), _kept_ms(backend)
    ticket, _ = entry.draw(backend.redis, address)
    now = datetime.now(UTC)
    with db.reading(backend.engine) as conn:
        number = revision.of(conn, [address])[address]
        session_id = session_facts.addressed(conn, address, now=now)
        if session_id == address:
            return session_id
        until = now + timedelta(milliseconds=kept_ms + fresh_ms)
        is_kept = session_id is not None and session_facts.is_steady(
            conn, address, now=now, until=until
        )
    entry.store(
        backend.redis,
        ticket,
        "name",
        {SESSION: (session_id or "").encode()},
        revision=number,
        fresh_ms=fresh_ms,
        kept_ms=kept_ms if is_kept else None,
    )
    return session_id


def _fill_facts(backend: Backend, session_id: str, user_id: str) -> Facts:
    """Read the revision first: a commit in between costs one more fill later, and no truth."""
    ticket, _ = entry.draw(backend.redis, session_id)
    with db.reading(backend.engine) as conn:
        number = revision.of(conn, [session_id])[session_id]
        meeting = session_facts.meeting(conn, session_id)
        if meeting is None:
            return Facts(None, (), "miss")
        by_user, is_whole = _cycles(conn, session_id, user_id)
    entry.store(
        backend.redis,
        ticket,
        "facts",
        _packed(meeting, by_user, is_whole=is_whole),
        revision=number,
        fresh_ms=_fresh_ms(backend),
        kept_ms=_kept_ms(backend),
    )
    return Facts(meeting, by_user.get(user_id, ()), "miss")


def _cycles(conn: Connection, session_id: str, user_id: str) -> tuple[dict[str, list[Cycle]], bool]:
    """The cycles of everybody by user id, and whether they are everybody's; of a large session
    only this person's."""
    cycles = cycle.of_session(conn, session_id, most=WHOLE_UP_TO + 1)
    if len(cycles) <= WHOLE_UP_TO:
        return session_facts.by_user(cycles), True
    return {user_id: cycle.of_session(conn, session_id, user_id=user_id)}, False


def _packed(
    meeting: Meeting, by_user: dict[str, list[Cycle]], *, is_whole: bool
) -> dict[str, bytes]:
    people = {_person(user): codec.pack_cycles(cycles) for user, cycles in by_user.items()}
    whole = {WHOLE: b"1"} if is_whole else {}
    return {MEETING: codec.pack_meeting(meeting)} | whole | people


def _bypass(backend: Backend, address: str, user_id: str) -> Facts:
    """The same answer without Redis."""
    with db.reading(backend.engine) as conn:
        meeting = session_facts.meeting_at(conn, address, now=datetime.now(UTC))
        if meeting is None:
            return Facts(None, (), "bypass")
        cycles = cycle.of_session(conn, meeting.session.id, user_id=user_id)
        return Facts(meeting, cycles, "bypass")


def _fresh_ms(backend: Backend) -> int:
    return backend.settings.cache_ttl_seconds * 1000


def _kept_ms(backend: Backend) -> int:
    return KEPT * _fresh_ms(backend)


def _fields(user_id: str) -> list[str]:
    return [MEETING, WHOLE, _person(user_id)]


def _person(user_id: str) -> str:
    return f"u:{user_id}"
