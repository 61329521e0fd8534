"""The cache: the facts of a session, read by a status in one HMGET.

It holds facts, never answers: `attendance.view` derives those from `now`. Facts are served for
CACHE_TTL_SECONDS. Then the next reader asks the database for their revision, by one query. If it is
the same, they are served for as long again. So a status is never older than that, even when a clear
was lost. With Redis gone, the database answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Literal

import orjson
import structlog
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection

from models.domain.corrections import by_person
from models.domain.facts import Cycle, Meeting
from models.lookup import meetings, named_room, session_facts
from models.lookup.named_room import NamedRoom
from models.lookup.reach import Values as CycleValues
from models.storage import db
from models.tables import revision
from worker.cache import codec, entry
from worker.cache.entry import NAMED, Drawn, Kind, Ticket, Values
from worker.process import metrics
from worker.process.backend import Backend

KEPT = 30
"""Times CACHE_TTL_SECONDS: how long facts are checked before they are read anew. It bounds for how
long what somebody changed in the database by hand is not seen."""

WHOLE_UP_TO = 1_000
"""Cycles that are filled in at once; a larger session is filled person by person."""

FILLER_LIFE_MS = 1_000
FILLER_PATIENCE_SECONDS = 0.2
MEETING, WHOLE, KEYS = "_", "whole", "keys"
OF_ROOM = "of_room"
"""What a name means that is another session's id too: only who asks for the room may have it."""

USER_ID = codec.NAMES[Cycle].index("user_id")
NOBODY: tuple[tuple[Cycle, ...], frozenset[str]] = ((), frozenset())

log = structlog.get_logger()

Outcome = Literal["hit", "revalidated", "miss", "bypass"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one person in one session, and where it was read.

    `meeting` is None when no session is known by that address. `expecting` are the classes of its
    rooms that expect this person.
    """

    meeting: Meeting | None
    cycles: Sequence[Cycle]
    outcome: Outcome
    expecting: frozenset[str] = frozenset()


def read(backend: Backend, address: str, user_id: str, *, keep_unknown: bool = False) -> Facts:
    """The facts of one person in the session that `address` (an id or a room's name) means.

    Never older than CACHE_TTL_SECONDS. `keep_unknown`: of a large session, it is also kept that
    nothing is known of this person. Who may ask for anybody can make people up.

    Raises what the database raises when it has to be asked.
    """
    try:
        hit = _hit_by_id(backend, address, user_id)
        return hit or _miss(backend, address, user_id, keep_unknown=keep_unknown)
    except RedisError:
        return _bypass(backend, address, user_id)


def read_of_room(backend: Backend, room_name: str, user_id: str, *, keep_unknown: bool) -> Facts:
    """The same of the session that the room's name means, where it is another session's id too."""
    try:
        named = _unpack_named(backend, entry.fresh(backend.redis, "name", room_name, [OF_ROOM]))
        session_id = (
            _resolve(backend, entry.draw(backend.redis, room_name).ticket, user_id, field=OF_ROOM)
            if named is None
            else named.session_id(user_id, now=datetime.now(UTC))
        )
    except RedisError:
        return _bypass(backend, room_name, user_id, find=session_facts.facts_of_name)
    if session_id is None:
        return Facts(None, (), "miss")
    return read(backend, session_id, user_id, keep_unknown=keep_unknown)


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
    """The facts of an id, or of what a room's name means, where they may be served."""
    facts = _hit_by_id(backend, address, user_id)
    if facts is not None:
        return facts
    return _hit_by_name(backend, entry.fresh(backend.redis, "name", address, [NAMED]), user_id)


def _hit_by_id(backend: Backend, session_id: str, user_id: str) -> Facts | None:
    values = entry.fresh(backend.redis, "facts", session_id, _fields(user_id))
    return _unpack(values, "hit")


def _hit_by_name(backend: Backend, values: Values, user_id: str) -> Facts | None:
    named = _unpack_named(backend, values)
    if named is None:
        return None
    session_id = named.session_id(user_id, now=datetime.now(UTC))
    if session_id is None:
        return Facts(None, (), "hit")
    return _hit_by_id(backend, session_id, user_id)


def _unpack(values: Values, outcome: Outcome) -> Facts | None:
    """The facts in the fields that `_fields` names; None when they are not all there."""
    meeting, whole, cycles = values[:3]
    if meeting is None or (cycles is None and whole is None):
        return None
    try:
        own, expecting = codec.person(cycles) if cycles else NOBODY
        return Facts(codec.meeting(meeting), own, outcome, expecting)
    except codec.OtherFields:
        return None


def _unpack_named(backend: Backend, values: Values) -> NamedRoom | None:
    """What a room's name may mean; None when that is not kept."""
    try:
        return codec.named(values[0], backend.rules) if values[0] is not None else None
    except codec.OtherFields:
        return None


def _miss(backend: Backend, address: str, user_id: str, *, keep_unknown: bool) -> Facts:
    """What a room's name means, where that may be served, else ask the database: one reader of an
    address at a time, others wait a moment."""
    redis, fields, life_ms = backend.redis, [*_fields(user_id), KEYS], FILLER_LIFE_MS
    begun = entry.named_or_begin(redis, address, fields, life_ms=life_ms)
    if not isinstance(begun, Drawn):
        hit = _hit_by_name(backend, [begun], user_id)
        if hit is not None:
            return hit
        begun = entry.begin(redis, address, fields, life_ms=life_ms)
    if not begun.ticket.is_filler:
        filled = _wait_for_filler(backend, address, user_id)
        if filled is not None:
            return filled
    return _read(backend, begun, user_id, keep_unknown=keep_unknown)


def _read(backend: Backend, drawn: Drawn, user_id: str, *, keep_unknown: bool) -> Facts:
    """The facts by the database's word. Whoever stores or renews what was asked for lets others
    read it by that; the name's filler does so here."""
    key, released = drawn.ticket.key, False
    try:
        known, ticket = _revalidated(backend, drawn, user_id)
        facts = known or _fill(backend, ticket, user_id, keep_unknown=keep_unknown)
        released = facts.meeting is not None and facts.meeting.session.id == key
        return facts
    finally:
        if drawn.ticket.is_filler and not released:
            entry.release(backend.redis, key)


def _wait_for_filler(backend: Backend, address: str, user_id: str) -> Facts | None:
    deadline = monotonic() + FILLER_PATIENCE_SECONDS
    while monotonic() < deadline:
        sleep(0.01)
        if (facts := _hit(backend, address, user_id)) is not None:
            return facts
        if not entry.is_filled(backend.redis, address):
            return None
    return None


@dataclass(frozen=True, slots=True)
class _Check:
    """A kept entry whose facts are good if the database still has their revision."""

    ticket: Ticket
    kind: Kind
    revision: int
    keys: list[str]


def _revalidated(backend: Backend, drawn: Drawn, user_id: str) -> tuple[Facts | None, Ticket]:
    """The kept facts, if the database says that nothing has changed them: one query. Else None, and
    the ticket to read them anew with."""
    facts, checks = _kept(backend, drawn, user_id)
    if facts is None:
        return None, drawn.ticket
    with db.reading(backend.engine) as conn:
        current = revision.of(conn, {key for check in checks for key in check.keys})
    changed = {
        check.ticket.key
        for check in checks
        if revision.combined(current, check.keys) != check.revision
    }
    if changed:
        clear(backend.redis, changed)
        again = entry.draw(backend.redis, drawn.ticket.key).ticket
        return None, replace(again, is_filler=drawn.ticket.is_filler)
    for check in checks:
        number, fresh_ms = check.revision, _fresh_ms(backend)
        entry.renew(backend.redis, check.ticket, check.kind, revision=number, fresh_ms=fresh_ms)
    return facts, drawn.ticket


def _kept(backend: Backend, drawn: Drawn, user_id: str) -> tuple[Facts | None, list[_Check]]:
    """What is kept of the session that was asked for, and what has to be checked for it."""
    facts = _unpack(drawn.kept["facts"], "revalidated")
    if facts is not None:
        return facts, [_check_of_facts(drawn)]
    named = _unpack_named(backend, drawn.kept["name"]) if "name" in drawn.kept else None
    session_id = named.session_id(user_id, now=datetime.now(UTC)) if named is not None else None
    if session_id is None:
        return None, []
    own = entry.draw(backend.redis, session_id, facts=[*_fields(user_id), KEYS])
    facts = _unpack(own.kept["facts"], "revalidated")
    if facts is None:
        return None, []
    number = int(drawn.kept["name"][-1] or revision.NEVER_RAISED)
    by_name = _Check(drawn.ticket, "name", number, [drawn.ticket.key])
    return facts, [by_name, _check_of_facts(own)]


def _check_of_facts(drawn: Drawn) -> _Check:
    *_, keys, number = drawn.kept["facts"]
    return _Check(
        drawn.ticket, "facts", int(number or revision.NEVER_RAISED), orjson.loads(keys or b"[]")
    )


def _fill(backend: Backend, ticket: Ticket, user_id: str, *, keep_unknown: bool) -> Facts:
    """What the ticket's key means as an id, as nearly every one does, else as a room's name.

    Each look at the database is one of its own: SQLite shows a transaction the moment of its first
    statement, which must not be before the ticket for the facts was drawn.
    """
    facts = _fill_facts(backend, ticket, user_id, keep_unknown=keep_unknown)
    if facts.meeting is not None:
        return facts
    session_id = _resolve(backend, ticket, user_id, field=NAMED)
    if session_id is None:
        return facts
    own = entry.draw(backend.redis, session_id, facts=[*_fields(user_id), KEYS])
    kept, ticket = _revalidated(backend, own, user_id)
    return kept or _fill_facts(backend, ticket, user_id, keep_unknown=keep_unknown)


def _resolve(backend: Backend, ticket: Ticket, user_id: str, *, field: str) -> str | None:
    """The session that the ticket's key means for this person, as a room's name. What the name may
    mean is stored; when nobody knows it, it is not kept: anybody can ask for what is not there."""
    now = datetime.now(UTC)
    with db.reading(backend.engine) as conn:
        named, number = named_room.of_name_at_revision(
            conn, ticket.key, now=now, rules=backend.rules
        )
    session_id = named.session_id(user_id, now=now)
    entry.store(
        backend.redis,
        ticket,
        "name",
        {field: codec.pack_named(named)},
        revision=number,
        fresh_ms=_fresh_ms(backend),
        kept_ms=_kept_ms(backend) if session_id is not None else None,
    )
    return session_id


def _fill_facts(backend: Backend, ticket: Ticket, user_id: str, *, keep_unknown: bool) -> Facts:
    """Read the revision first: a commit in between costs one more fill later, and no truth."""
    with db.reading(backend.engine) as conn:
        seen = session_facts.read_at_revision(
            conn, ticket.key, rules=backend.rules, most=WHOLE_UP_TO + 1, places=backend.places
        )
        if seen is None:
            return Facts(None, (), "miss")
        known, number, facts, cycles = seen
        by_user, is_whole = _by_user(conn, facts, cycles, user_id)
    own, expecting = by_user.get(user_id, ()), facts.expected_by(user_id)
    if not (is_whole or own or expecting or keep_unknown):
        by_user = {}
    packed = _packed(facts, by_user, is_whole=is_whole)
    entry.store(
        backend.redis,
        ticket,
        "facts",
        packed | {KEYS: orjson.dumps(known.keys)},
        revision=number,
        fresh_ms=_fresh_ms(backend),
        kept_ms=_kept_ms(backend),
    )
    return Facts(facts.meeting, codec.cycles(own), "miss", expecting)


def _by_user(
    conn: Connection, facts: meetings.Facts, cycles: Sequence[CycleValues], user_id: str
) -> tuple[dict[str, list[CycleValues]], bool]:
    """The cycles of everybody by user id, and whether they are everybody's; of a large session
    only this person's. Whoever has several identities has the cycles of all of them."""
    if len(cycles) > WHOLE_UP_TO:
        own_cycles = session_facts.cycles_of(conn, facts, user_id)
        return {user_id: [codec.values(each) for each in own_cycles]}, False
    own, corrections = defaultdict[str, list[CycleValues]](list), facts.meeting.corrections
    for each in cycles:
        own[each[USER_ID]].append(each)
    return own | by_person(corrections, own.items()) if corrections.same_as else own, True


def _packed(
    facts: meetings.Facts, by_user: Mapping[str, Sequence[CycleValues]], *, is_whole: bool
) -> dict[str, bytes]:
    people = {
        _person(user_id): codec.pack_person(cycles, facts.expected_by(user_id))
        for user_id, cycles in by_user.items()
    }
    whole = {WHOLE: b"1"} if is_whole else {}
    return {MEETING: codec.pack_meeting(facts.meeting)} | whole | people


def _bypass(
    backend: Backend,
    address: str,
    user_id: str,
    *,
    find: Callable[..., meetings.Facts | None] = session_facts.facts_at,
) -> Facts:
    """The same answer without Redis."""
    now, rules = datetime.now(UTC), backend.rules
    with db.reading(backend.engine) as conn:
        facts = find(conn, address, user_id=user_id, now=now, rules=rules)
        if facts is None:
            return Facts(None, (), "bypass")
        cycles = session_facts.cycles_of(conn, facts, user_id)
        return Facts(facts.meeting, cycles, "bypass", facts.expected_by(user_id))


def _fresh_ms(backend: Backend) -> int:
    return backend.settings.cache_ttl_seconds * 1000


def _kept_ms(backend: Backend) -> int:
    return KEPT * _fresh_ms(backend)


def _fields(user_id: str) -> list[str]:
    return [MEETING, WHOLE, _person(user_id)]


def _person(user_id: str) -> str:
    return f"u:{user_id}"
