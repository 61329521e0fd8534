"""The cache: the facts of a session, read by a status in one HMGET.

It holds facts, never answers: `fold.view` derives those from `now`. A filler draws a ticket before
it asks the database, and stores only while the ticket is there; clearing tears it up, so a slow
reader can never put old facts over new. Should a clear be lost, nobody may be served old facts for
longer than CACHE_TTL_SECONDS: those of an epoch are served only under the keeper's lease, those of
none live no longer. With Redis gone, the database answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any, Literal, cast
from uuid import uuid4

import structlog
from redis import Redis
from redis.exceptions import RedisError

from models.domain.facts import Cycle, Meeting
from models.storage import db
from models.tables import cycle, session_facts
from worker.cache import codec
from worker.process import metrics
from worker.process.backend import Backend

KEPT = 30
"""Times CACHE_TTL_SECONDS: how long facts live under a lease, when nothing changes them."""

TICKET_LIFE_MS = 60_000
WHOLE_UP_TO = 1_000
"""Cycles that are filled in at once; a larger session is filled person by person."""

FILLER_LIFE_MS = 1_000
FILLER_PATIENCE_SECONDS = 0.2
MEETING, EPOCH, WHOLE = "_", "epoch", "whole"

log = structlog.get_logger()

Outcome = Literal["hit", "miss", "bypass"]

FILL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[3] then redis.call('DEL', KEYS[2]) end
redis.call('HSET', KEYS[2], 'epoch', ARGV[3], unpack(ARGV, 4))
redis.call('PEXPIREAT', KEYS[2], ARGV[2], 'LT')
return 1
"""
FILL_NAME = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PXAT', ARGV[2])
return 1
"""


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

    False when Redis does not answer: then it serves nothing either, and what it still has is
    cleared by the keeper, or gone, within CACHE_TTL_SECONDS.
    """
    try:
        with redis.pipeline(transaction=False) as pipe:
            forget(pipe, keys)
            pipe.execute()
    except RedisError as error:
        metrics.cache_errors.inc()
        log.warning("cache.not_cleared", error=type(error).__name__)
        return False
    return True


def forget(pipe: Redis, keys: Iterable[str]) -> None:
    """What clears these, without a word to whoever waits for an answer."""
    for key in sorted(keys):
        pipe.delete(*(_key(what, key) for what in ("ticket", "facts", "name")))


def clock_ms(redis: Redis) -> int:
    """Redis's clock: what is kept lapses by it, and nobody else's clock matters."""
    return _ms(redis.time())


def _hit(backend: Backend, address: str, user_id: str) -> Facts | None:
    """One HMGET for an id; a room's name is looked up first when it is none."""
    found = _cached(backend, address, user_id)
    if found is not None:
        return found
    named = _named(backend, address)
    if named is None:
        return None
    return _cached(backend, named, user_id) if named else Facts(None, (), "hit")


def _named(backend: Backend, name: str) -> str | None:
    """The session that a room's name means, "" for none; None when that is not kept."""
    value = cast("bytes | None", backend.redis.get(_key("name", name)))
    if value is None:
        return None
    epoch, _, session_id = value.decode().partition(" ")
    return session_id if _is_good(backend, epoch) else None


def _cached(backend: Backend, session_id: str, user_id: str) -> Facts | None:
    fields = (MEETING, EPOCH, WHOLE, _person(user_id))
    found = cast("list[bytes | None]", backend.redis.hmget(_key("facts", session_id), *fields))
    meeting, epoch, whole, cycles = found
    if meeting is None or (cycles is None and whole is None):
        return None
    if not _is_good(backend, (epoch or b"").decode()):
        return None
    try:
        return Facts(codec.meeting(meeting), codec.cycles(cycles) if cycles else (), "hit")
    except codec.OtherFields:
        return None


def _is_good(backend: Backend, epoch: str) -> bool:
    """Whether what was kept under that epoch may be served now; without one it is never old."""
    return not epoch or epoch == backend.lease.epoch(backend.redis)


def _miss(backend: Backend, address: str, user_id: str) -> Facts:
    """Ask the database and fill what was missing; one filler at a time, others wait a moment."""
    if not backend.redis.set(_key("filler", address), b"1", nx=True, px=FILLER_LIFE_MS):
        filled = _wait_for_filler(backend, address, user_id)
        if filled is not None:
            return filled
    try:
        return _fill(backend, address, user_id)
    finally:
        backend.redis.delete(_key("filler", address))


def _wait_for_filler(backend: Backend, address: str, user_id: str) -> Facts | None:
    deadline = monotonic() + FILLER_PATIENCE_SECONDS
    while monotonic() < deadline:
        sleep(0.01)
        if (found := _hit(backend, address, user_id)) is not None:
            return found
        if not backend.redis.exists(_key("filler", address)):
            return None
    return None


def _fill(backend: Backend, address: str, user_id: str) -> Facts:
    """What the address means as an id, as nearly every one does, else as a room's name.

    Each look at the database is one of its own: SQLite shows a transaction the moment of its first
    statement, which must not be before the ticket for the facts was drawn.
    """
    found = _fill_facts(backend, address, user_id)
    if found.meeting is not None:
        return found
    session_id = _resolve(backend, address)
    return found if session_id is None else _fill_facts(backend, session_id, user_id)


def _resolve(backend: Backend, address: str) -> str | None:
    """What the address means; kept unless it is the session's own id. Nothing is kept as "", and
    not for long: anybody can ask for what is not there. Nor is what time alone may change."""
    epoch = backend.lease.epoch(backend.redis)
    ticket, read_at_ms = _ticket(backend.redis, address)
    now = datetime.now(UTC)
    with db.reading(backend.engine) as conn:
        session_id = session_facts.addressed(conn, address, now=now)
        if session_id == address:
            return session_id
        until = now + timedelta(milliseconds=_life_ms(backend, epoch))
        if session_id is None or not session_facts.is_steady(conn, address, now=now, until=until):
            epoch = ""
    keys = [_key("ticket", address), _key("name", address)]
    until_ms = read_at_ms + _life_ms(backend, epoch)
    backend.redis.eval(FILL_NAME, 2, *keys, ticket, until_ms, f"{epoch} {session_id or ''}")
    return session_id


def _fill_facts(backend: Backend, session_id: str, user_id: str) -> Facts:
    epoch = backend.lease.epoch(backend.redis)
    ticket, read_at_ms = _ticket(backend.redis, session_id)
    with db.reading(backend.engine) as conn:
        meeting = session_facts.meeting(conn, session_id)
        if meeting is None:
            return Facts(None, (), "miss")
        cycles = cycle.of_session(conn, session_id, most=WHOLE_UP_TO + 1)
        whole = len(cycles) <= WHOLE_UP_TO
        if not whole:
            cycles = cycle.of_session(conn, session_id, user_id=user_id)
    by_user = session_facts.by_user(cycles)
    values: dict[str, bytes] = {MEETING: codec.pack_meeting(meeting)}
    values |= {_person(key): codec.pack_cycles(found) for key, found in by_user.items()}
    if whole:
        values[WHOLE] = b"1"
    else:
        values.setdefault(_person(user_id), b"[]")
    flat = [part for pair in values.items() for part in pair]
    keys = [_key("ticket", session_id), _key("facts", session_id)]
    until_ms = read_at_ms + _life_ms(backend, epoch)
    backend.redis.eval(FILL, 2, *keys, ticket, until_ms, epoch, *flat)
    return Facts(meeting, by_user.get(user_id, ()), "miss")


def _bypass(backend: Backend, address: str, user_id: str) -> Facts:
    """The same answer without Redis."""
    with db.reading(backend.engine) as conn:
        meeting = session_facts.meeting_at(conn, address, now=datetime.now(UTC))
        if meeting is None:
            return Facts(None, (), "bypass")
        cycles = cycle.of_session(conn, meeting.session.id, user_id=user_id)
        return Facts(meeting, cycles, "bypass")


def _ticket(redis: Redis, key: str) -> tuple[str, int]:
    """The ticket that is out for this session or name, else a new one, and the moment by Redis's
    clock. A clear tears the ticket up."""
    ticket = _key("ticket", key)
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.set(ticket, uuid4().hex, nx=True, px=TICKET_LIFE_MS)
        pipe.get(ticket)
        now, _, drawn = pipe.execute()
    return (drawn or b"").decode(), _ms(now)


def _life_ms(backend: Backend, epoch: str) -> int:
    return backend.settings.cache_ttl_seconds * 1000 * (KEPT if epoch else 1)


def _ms(time: Any) -> int:
    """Of the pair of seconds and microseconds that Redis tells."""
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000


def _key(what: str, name: str) -> str:
    """Keys of one session or room name share a hash tag: Redis Cluster keeps them together."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"rc:{{{digest}}}:{what}"


def _person(user_id: str) -> str:
    return f"u:{user_id}"
