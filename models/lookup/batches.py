"""The facts of many sessions, gathered together: a few statements for a hundred sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from models.domain.facts import Cycle, Rules, Session
from models.lookup import session_facts
from models.lookup.meetings import Facts
from models.storage.bulk import chunks
from models.tables import session

AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Gathered:
    """A session that is there: its facts, and its cycles by user id."""

    facts: Facts
    cycles: Mapping[str, Sequence[Cycle]]


def of_sessions(
    conn: Connection,
    ids: Sequence[str],
    *,
    rules: Rules,
    user_id: str | None = None,
    seen_from: str | None = None,
) -> Iterator[Gathered]:
    """Those of the sessions that are there, in the order of their ids, with everybody's cycles or
    one person's. With `seen_from`, as rooms of this name see them."""
    for chunk in chunks(ids, AT_ONCE):
        known = session.of_ids(conn, chunk)
        for each in (known[session_id] for session_id in chunk if session_id in known):
            gathered = _gathered(conn, each, rules, user_id)
            seen = gathered and _seen(gathered, seen_from)
            if seen is not None:
                yield seen


def _seen(gathered: Gathered, seen_from: str | None) -> Gathered | None:
    if seen_from is None:
        return gathered
    meeting = gathered.facts.meeting.seen_from(seen_from)
    if meeting is None:
        return None
    return replace(gathered, facts=replace(gathered.facts, meeting=meeting))


def _gathered(
    conn: Connection, known: Session, rules: Rules, user_id: str | None
) -> Gathered | None:
    facts = session_facts.facts(conn, known.id, rules=rules)
    if facts is None:
        return None
    return Gathered(facts, session_facts.cycles_by_user(conn, facts.reach, user_id=user_id))
