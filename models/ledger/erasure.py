"""Erasure: random pseudonyms take a person's place, in the facts and in the ledger alike.

Each session has another one, unless attendance would come out differently (`identities`). The table
holds the cycles of erased people, by id, and nothing of the people: an event that comes later for
such a cycle takes its pseudonym before it is folded, and so does one that is folded again. Whoever
was erased and joins anew is somebody new, with a cycle of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Column,
    Connection,
    Row,
    Select,
    Table,
    bindparam,
    func,
    or_,
    select,
    update,
)

from models.domain import merge
from models.domain.event import Event
from models.domain.facts import Cycle, Person
from models.domain.json_fields import Unreadable
from models.ledger.identities import Identity
from models.storage import bulk, db
from models.storage.bulk import chunks
from models.storage.db import Key, among_bound, is_sqlite, metadata
from models.tables import cycle, session, session_people, webhook_event
from models.tables.cycle import cycles
from models.tables.session import sessions
from models.tables.webhook_event import CONTENT, webhook_events

erasures = Table(
    "erasures",
    metadata,
    Column("cycle_id", Key, primary_key=True),
    Column("pseudonym", Key, nullable=False),
)

CHUNK = 1_000

TELLS_OF = func.coalesce(webhook_events.c.participant_sid, webhook_events.c.visit)
"""The cycle that an event tells of."""


def disguise(conn: Connection, batch: Sequence[tuple[int, Event]]) -> Sequence[tuple[int, Event]]:
    """The events, by row id, as they may be folded: those of erased people's cycles disguised.

    Their rows are rewritten too. The drains are held (`hold_drains`): an erasure that committed
    before is seen, and a later erasure finds what was folded.
    """
    known = pseudonyms(conn, {cycle_id for _, event in batch if (cycle_id := _cycle_id(event))})
    if not known:
        return batch
    hidden = {
        row_id: known[key] for row_id, event in batch if (key := _cycle_id(event) or "") in known
    }
    rewrite(conn, hidden)
    return [
        (row_id, disguised(event, hidden[row_id]) if row_id in hidden else event)
        for row_id, event in batch
    ]


def disguised(event: Event, pseudonym: str) -> Event:
    """The event without its person."""
    return event._replace(user_id=pseudonym, name=None)


def pseudonyms(conn: Connection, cycle_ids: Iterable[str]) -> dict[str, str]:
    """The pseudonyms of those of these cycles whose person was erased."""
    rows = conn.execute(_pseudonyms(is_sqlite(conn)), {"cycle_ids": list(cycle_ids)})
    return dict(rows.all())


@cache
def _pseudonyms(on_sqlite: bool) -> Select[Any]:
    """Built once: each batch asks."""
    column = erasures.c
    those = among_bound(column.cycle_id, "cycle_ids", on_sqlite=on_sqlite)
    return select(column.cycle_id, column.pseudonym).where(those)


def rewrite(conn: Connection, hidden: Mapping[int, str]) -> None:
    """Put these pseudonyms into the ledger's rows, by row id: column and payload; no name stays."""
    column = webhook_events.c
    statement = select(column.id, column.payload, column.error).where(column.id.in_(list(hidden)))
    rows = [
        {
            "row_id": row.id,
            "pseudonym": hidden[row.id],
            "rewritten": _rewritten(row.payload, hidden[row.id]),
            # An error's sentence may quote what was wrong; its kind is enough to go on.
            "kind": row.error.partition(":")[0] if row.error else None,
        }
        for row in conn.execute(statement.order_by(column.id).with_for_update())
    ]
    if rows:
        changed = update(webhook_events).where(column.id == bindparam("row_id"))
        values: dict[str, Any] = {
            "user_id": bindparam("pseudonym"),
            "payload": bindparam("rewritten"),
            "error": bindparam("kind"),
        }
        conn.execute(changed.values(values), rows)


def hold_drains(conn: Connection, *, shared: bool = False) -> None:
    """Wait for the drains at work and hold others off, until the transaction ends; drains hold it
    `shared`, all at once. So each looks up who was erased entirely before or after an erasure.

    Call it before any row is locked: who waits here and holds a row that an erasure rewrites would
    wait for it as it waits for them.
    """
    db.lock(conn, ["erasure"], shared=shared)


def cycles_of(conn: Connection, user_id: str) -> list[Cycle]:
    """This person's cycles, folded or still in the ledger alone."""
    folded = conn.execute(select(cycles).where(cycles.c.user_id == user_id))
    known = {row["cycle_id"]: cycle.read(row) for row in folded.mappings()}
    unfolded = ~select(1).where(cycles.c.cycle_id == TELLS_OF).exists()
    theirs = (webhook_events.c.user_id == user_id) & TELLS_OF.is_not(None) & unfolded
    for row in conn.execute(select(TELLS_OF.label("cycle_id"), *CONTENT).where(theirs)):
        known[row.cycle_id] = _told(known.get(row.cycle_id), row)
    return list(known.values())


def remember(conn: Connection, identities: Iterable[Identity]) -> dict[str, str]:
    """Have each of these identities of a person known by a pseudonym from now on; which, by cycle
    id.

    New random ones, or those that an erasure which was cut short has begun with.
    """
    fresh = {
        cycle_id: pseudonym
        for each in identities
        for pseudonym in [f"erased-{uuid4().hex}"]
        for cycle_id in each.cycle_ids
    }
    kept: dict[str, str] = {}
    for chunk in chunks(sorted(fresh), CHUNK):
        rows = [{"cycle_id": cycle_id, "pseudonym": fresh[cycle_id]} for cycle_id in chunk]
        bulk.insert_missing(conn, erasures, rows, key="cycle_id")
        kept |= pseudonyms(conn, chunk)
    return kept


def pseudonym_of(identity: Identity, hidden: Mapping[str, str]) -> str:
    """The pseudonym of the identity, whose cycles have these; a new one where it has none."""
    return min(
        (hidden[cycle_id] for cycle_id in identity.cycle_ids), default=f"erased-{uuid4().hex}"
    )


def rename_cycles(conn: Connection, hidden: Mapping[str, str]) -> list[Cycle]:
    """Put these pseudonyms, by cycle id, into the cycles, as the rewritten events would; which
    they are."""
    before = cycle.locked(conn, sorted(hidden))
    if before:
        theirs = update(cycles).where(cycles.c.cycle_id == bindparam("renamed"))
        rows = [{"renamed": cycle_id, "pseudonym": hidden[cycle_id]} for cycle_id in before]
        changed = theirs.values(user_id=bindparam("pseudonym"), name=None, name_rank="")
        conn.execute(changed, rows)
    return list(before.values())


def rewrite_events(conn: Connection, user_id: str, *, limit: int) -> int:
    """Put the pseudonyms of their cycles into up to `limit` of the person's events; how many there
    were. An event that tells of no cycle gets one of its own."""
    column = webhook_events.c
    statement = (
        select(column.id, erasures.c.pseudonym)
        .join_from(webhook_events, erasures, erasures.c.cycle_id == TELLS_OF, isouter=True)
        .where(
            column.user_id == user_id, or_(erasures.c.pseudonym.is_not(None), TELLS_OF.is_(None))
        )
        .order_by(column.received_at, column.id)
        .limit(limit)
    )
    rows = conn.execute(statement).all()
    rewrite(conn, {row.id: row.pseudonym or f"erased-{uuid4().hex}" for row in rows})
    return len(rows)


def count_events(conn: Connection, user_id: str) -> int:
    counted = select(func.count()).where(webhook_events.c.user_id == user_id)
    return conn.execute(counted).scalar_one()


def expecting(conn: Connection, user_id: str) -> list[str]:
    """The ids of the sessions that expect this person, or have them as a host."""
    return session_people.sessions_of(conn, user_id)


def rename_expected(conn: Connection, session_id: str, user_id: str, pseudonym: str) -> None:
    """Put the pseudonym into the lists of those whom the session expects, and of its hosts."""
    found = session.find(conn, session_id, lock=True)
    if found is None:
        return
    people = tuple(
        Person(pseudonym) if person.user_id == user_id else person for person in found.expected
    )
    lists = {
        "expected": [asdict(person) for person in people],
        "hosts": [pseudonym if host == user_id else host for host in found.hosts],
    }
    conn.execute(update(sessions).where(sessions.c.id == session_id).values(lists))
    renamed = {pseudonym if awaited == user_id else awaited for awaited in found.awaited}
    session_people.put(conn, session_id, renamed)


def _told(before: Cycle | None, row: Row[Any]) -> Cycle:
    """The cycle with one more of its events. Of one that can't be read, what its row says."""
    try:
        return merge.merge(before, webhook_event.content(row).read())
    except Unreadable:
        return before or Cycle(
            row.cycle_id,
            row.user_id,
            room_sid=row.room_sid,
            room_name=row.room_name,
            last_seen_at=row.created_at,
        )


def _cycle_id(event: Event) -> str | None:
    return event.participant_sid or event.visit


def _rewritten(payload: dict[str, Any] | None, pseudonym: str) -> dict[str, Any] | None:
    """The payload of a webhook, or of a client's event, without its person."""
    if payload is None:
        return None
    kept = {word: value for word, value in payload.items() if word != "name"}
    if "user_id" in kept:
        kept["user_id"] = pseudonym
    participant = kept.get("participant")
    if isinstance(participant, dict):
        nameless = {word: value for word, value in participant.items() if word != "name"}
        if "identity" in nameless:  # a short payload has it in the column
            nameless["identity"] = pseudonym
        kept["participant"] = nameless
    return kept
