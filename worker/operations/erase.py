"""Erasing a person: in an order that survives, and so that nobody waits for long.

First it is remembered which cycles are theirs, and the sessions no longer expect them: from that
commit on no fold brings the person back. The rest is many short transactions. Whatever stops it
later, running it again finishes with the same pseudonyms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection

from models.domain.facts import Cycle, Rules
from models.ledger import erased_corrections, erasure, identities, touched
from models.lookup import stays
from models.storage import db
from models.storage.bulk import chunks
from models.tables import correction, session
from worker.cache.change import Change, changing
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
    corrections: int


@dataclass(frozen=True, slots=True)
class _Person:
    """What is known of a person: which sessions expect them, and what caches know those by; their
    cycles, and by cycle id the sessions that own some of it.
    """

    user_id: str
    expected_by: Sequence[str]
    touched: set[str]
    cycles: frozenset[Cycle]
    owned_by: Mapping[str, set[str]]


def fetch(backend: Backend) -> None:
    """Have what still waits in Redis come into the ledger, as a drain does: there it is found.

    Call it before `known` and `erase`. Raises RedisError: what they find may then not be all, and
    what is fetched later would bring the person back.
    """
    while spool.copy(backend):
        pass


def known(backend: Backend, user_id: str) -> Erased:
    """How much `erase` would find; nothing is changed."""
    with db.reading(backend.engine) as conn:
        return Erased(
            cycles=len(erasure.cycles_of(conn, user_id)),
            events=erasure.count_events(conn, user_id),
            sessions=len(erasure.expecting(conn, user_id)),
            corrections=len(correction.of_person(conn, user_id)),
        )


def erase(backend: Backend, user_id: str) -> Erased:
    """Put random pseudonyms into the person's place in cycles, expectations, corrections and the
    ledger: one for each session, or for several where attendance needs it (`identities`).

    How much of them there was. Events that come later for their cycles take the pseudonym too.
    """
    with db.reading(backend.engine) as conn:
        person = _look_up(conn, user_id, backend.rules)
    with changing(backend) as change:
        hidden, corrected = _remember(change, person, backend.rules)
    if user_id in hidden.values():
        return Erased(0, 0, 0, 0)
    _rename_cycles(backend, hidden)
    events, sessions = _rewrite_events(backend, user_id), len(person.expected_by)
    done = Erased(len(hidden), events, sessions, corrected)
    log.info("user.erased", **asdict(done))
    return done


def _look_up(conn: Connection, user_id: str, rules: Rules) -> _Person:
    """What takes long to work out, before anybody has to wait for it."""
    expected_by = erasure.expecting(conn, user_id)
    registered = session.registered(conn, expected_by).values()
    theirs = erasure.cycles_of(conn, user_id)
    return _Person(
        user_id,
        expected_by=expected_by,
        touched=touched.by_expectations(conn, registered, rules),
        cycles=frozenset(theirs),
        owned_by=stays.owned_by(conn, theirs, user_id, now=datetime.now(UTC), rules=rules),
    )


def _remember(change: Change, person: _Person, rules: Rules) -> tuple[dict[str, str], int]:
    """Have the person's cycles known by pseudonyms, by cycle id, and the sessions that expect or
    correct them name those; also how many corrections there were.

    All in one transaction: what a session expects decides what it owns, and so which cycles have
    its pseudonym.
    """
    conn, user_id, now = change.conn, person.user_id, datetime.now(UTC)
    # Their manual joins, and the drains that look up who was erased, are before or after this.
    db.lock(conn, [f"person:{user_id}"])
    erasure.hold_drains(conn)
    theirs = erasure.cycles_of(conn, user_id)
    since = [each for each in theirs if each not in person.cycles]
    owned = dict(person.owned_by) | stays.owned_by(conn, since, user_id, now=now, rules=rules)
    corrections = correction.of_person(conn, user_id)
    named_by = {each.session_id for each in corrections if each.names(user_id)}
    named_by |= set(person.expected_by)
    joined = erased_corrections.joined(conn, user_id, corrections, named_by.union(*owned.values()))
    found = identities.identities(theirs, owned, named_by, corrected=joined, rules=rules)
    hidden = erasure.remember(conn, found)
    pseudonyms = {
        session_id: pseudonym
        for each in found
        for pseudonym in [erasure.pseudonym_of(each, hidden)]
        for session_id in each.session_ids
    }
    for session_id in person.expected_by:
        erasure.rename_expected(conn, session_id, user_id, pseudonyms[session_id])
    erased_corrections.rename(conn, user_id, corrections, pseudonyms)
    change.keys |= person.touched | touched.by_corrections(conn, corrections).keys
    return hidden, len(corrections)


def _rename_cycles(backend: Backend, hidden: Mapping[str, str]) -> None:
    for chunk in chunks(sorted(hidden), CYCLES_AT_ONCE):
        with changing(backend) as change:
            renamed = erasure.rename_cycles(change.conn, {key: hidden[key] for key in chunk})
            reached = touched.by(
                change.conn, [], renamed, now=datetime.now(UTC), settings=backend.settings
            )
            change.keys.update(reached.keys)


def _rewrite_events(backend: Backend, user_id: str) -> int:
    rewritten = 0
    while True:
        with db.writing(backend.engine) as conn:
            count = erasure.rewrite_events(conn, user_id, limit=EVENTS_AT_ONCE)
        rewritten += count
        if count < EVENTS_AT_ONCE:
            return rewritten
