"""The deliveries table: one row is one version of a session's final attendance for one receiver.

No row has a body: that is made of the facts when it is sent. Nor has one a receiver's address with
its password. The row alone says when it is sent next; a queue only says that something may be due.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    Row,
    Select,
    Table,
    Text,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from models.settings import urls
from models.storage.db import Instant, Key, RowId, among, insert, metadata, partial
from models.tables.final_session import final_sessions

Status = Literal["pending", "sent", "failed", "dropped"]

FOR_OTHERS = timedelta(hours=1)
"""How long a delivery waits for an address that this process does not know: one that is new, while
processes are restarted one after another."""

NEWER = "a newer version took its place"
NOT_CONFIGURED = "ATTENDANCE_WEBHOOK_URL no longer has this address"
NOT_THERE = "the session is no longer there"

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("delivery_id", Key, nullable=False),
    Column("session_id", Key, nullable=False),
    Column("version", Integer, nullable=False),
    Column("receiver", Key, nullable=False),
    Column("url", Text, nullable=False),
    Column("status", Key, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("made_at", Instant, nullable=False),
    Column("next_attempt_at", Instant),
    Column("done_at", Instant),
    Index("deliveries_by_delivery_id", "delivery_id", unique=True),
    Index("deliveries_by_session", "session_id", "version", "receiver", unique=True),
    Index("deliveries_by_status", "status", "id"),
    Index("deliveries_by_time", "made_at"),
    partial("deliveries_by_due", "receiver", "next_attempt_at"),
)

COLUMN = deliveries.c


@dataclass(frozen=True, slots=True)
class Delivery:
    """One version of a session for one receiver.

    `receiver` is a digest of its address; `url` is the address for people. `next_attempt_at` is
    None when it is done: sent, failed (nobody tries again by itself) or dropped.
    """

    id: int
    delivery_id: str
    session_id: str
    version: int
    receiver: str
    url: str
    status: Status
    attempts: int
    error: str | None
    made_at: datetime
    next_attempt_at: datetime | None
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many failed and wait, and since when the oldest failed one was made."""

    failed: int
    pending: int
    failed_since: datetime | None


def receiver_of(url: str) -> str:
    """By which the rows know an address, which may have a password."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def add(
    conn: Connection, session_id: str, version: int, addresses: Iterable[str], *, now: datetime
) -> None:
    """A row for each of these addresses, due at once."""
    rows = [
        {
            "delivery_id": f"msg_{uuid4().hex}",
            "session_id": session_id,
            "version": version,
            "receiver": receiver_of(url),
            "url": urls.receiver_address(url),
            "status": "pending",
            "attempts": 0,
            "made_at": now,
            "next_attempt_at": now,
        }
        for url in addresses
    ]
    if rows:
        conn.execute(insert(conn, deliveries).on_conflict_do_nothing(), rows)


def drop_session(conn: Connection, session_id: str, *, why: str, now: datetime) -> None:
    """Send none of the session's any more that no receiver took."""
    _drop(conn, COLUMN.session_id == session_id, why=why, now=now)


def drop(conn: Connection, row_id: int, *, why: str, now: datetime) -> None:
    """Do not send this any more."""
    _drop(conn, COLUMN.id == row_id, why=why, now=now)


def take_back_drop(conn: Connection, session_id: str, *, why: str, now: datetime) -> int:
    """Have those of the session's newest version sent after all that were dropped for this reason;
    how many."""
    of_session = COLUMN.session_id == session_id
    statement = update(deliveries).where(of_session, _was_dropped(why), _is_newest())
    return conn.execute(statement.values(_anew(now))).rowcount


def take_back_drops(
    conn: Connection, receivers: Collection[str], *, why: str, now: datetime, limit: int
) -> int:
    """The same, of up to `limit` deliveries to these receivers, the oldest first."""
    which = and_(_was_dropped(why), COLUMN.receiver.in_(receivers), _is_newest())
    return _send_those_again(conn, which, now=now, limit=limit)


def drop_others(conn: Connection, receivers: Collection[str], *, now: datetime) -> None:
    """Of what is due and was made an hour ago or earlier, send nothing any more to receivers other
    than these."""
    due = and_(COLUMN.next_attempt_at <= now, COLUMN.made_at < now - FOR_OTHERS)
    _drop(conn, and_(due, COLUMN.receiver.not_in(receivers)), why=NOT_CONFIGURED, now=now)


def hand_over(conn: Connection, url: str, *, known: Collection[str], now: datetime) -> None:
    """What is due to this address with another user, password or query, of no receiver that is
    `known`, is due to this one from now on."""
    receiver, shown = receiver_of(url), urls.receiver_address(url)
    waits = and_(COLUMN.next_attempt_at <= now, COLUMN.url == shown)
    former = select(COLUMN.receiver).where(waits, COLUMN.receiver.not_in(known)).distinct()
    other = deliveries.alias()
    same = and_(other.c.session_id == COLUMN.session_id, other.c.version == COLUMN.version)
    has_its_own = exists().where(same, other.c.receiver == receiver)
    for each in conn.execute(former).scalars().all():
        rows = update(deliveries).where(waits, COLUMN.receiver == each, ~has_its_own)
        conn.execute(rows.values(receiver=receiver))


def claim(
    conn: Connection, receiver: str, *, now: datetime, until: datetime, limit: int
) -> list[Delivery]:
    """Up to `limit` deliveries to this receiver that are due, the longest due first, as they are
    from then on: each has one more attempt, and nobody else takes it before `until`. Should its
    sender die, it is due again then.
    """
    due = select(deliveries).where(COLUMN.receiver == receiver, COLUMN.next_attempt_at <= now)
    longest = due.order_by(COLUMN.next_attempt_at, COLUMN.id).limit(limit)
    due = longest.with_for_update(skip_locked=True)
    taken = [_read(row) for row in conn.execute(due)]
    if taken:
        counted = {"attempts": COLUMN.attempts + 1, "next_attempt_at": until}
        ids = [each.id for each in taken]
        conn.execute(update(deliveries).where(among(conn, COLUMN.id, ids)).values(counted))
    return [replace(each, attempts=each.attempts + 1, next_attempt_at=until) for each in taken]


def hold(conn: Connection, taken: Collection[Delivery], *, until: datetime) -> set[int]:
    """Take these, which `claim` returned together, until later; the row ids of those that are still
    ours: not dropped, not sent again, and taken by nobody else since their time was over."""
    ids = [each.id for each in taken]
    ours = COLUMN.next_attempt_at.in_({each.next_attempt_at for each in taken})
    waits = and_(among(conn, COLUMN.id, ids), COLUMN.status == "pending", ours)
    statement = update(deliveries).where(waits).values(next_attempt_at=until)
    return set(conn.execute(statement.returning(COLUMN.id)).scalars())


def put_off(conn: Connection, receiver: str, *, until: datetime, why: str) -> None:
    """Send this receiver nothing before then: it asked for time.

    But for what somebody else is marking at this moment, which waits for nobody here.
    """
    earlier = select(COLUMN.id).where(COLUMN.receiver == receiver, COLUMN.next_attempt_at < until)
    ids = earlier.with_for_update(skip_locked=True)
    values = {"next_attempt_at": until, "error": func.coalesce(COLUMN.error, why)}
    conn.execute(update(deliveries).where(COLUMN.id.in_(ids)).values(values))


def is_due(conn: Connection, *, now: datetime) -> bool:
    """Whether any is."""
    return conn.execute(select(exists().where(COLUMN.next_attempt_at <= now))).scalar_one()


def mark_sent(conn: Connection, row_id: int, *, now: datetime) -> None:
    """The receiver took it, whatever became of the row meanwhile."""
    done = {"status": "sent", "error": None, "next_attempt_at": None, "done_at": now}
    conn.execute(update(deliveries).where(COLUMN.id == row_id).values(done))


def mark_unsent(
    conn: Connection, row_id: int, *, error: str, again_at: datetime | None, now: datetime
) -> None:
    """It did not arrive, and is tried again then; it failed when that is None."""
    done = {"status": "failed", "done_at": now} if again_at is None else {}
    values = {"error": error, "next_attempt_at": again_at, **done}
    conn.execute(update(deliveries).where(*_waits(row_id)).values(values))


def postpone(conn: Connection, row_id: int, *, until: datetime) -> None:
    """It could not be made now: take back the attempt that `claim` counted."""
    values = {"attempts": COLUMN.attempts - 1, "next_attempt_at": until}
    conn.execute(update(deliveries).where(*_waits(row_id)).values(values))


def send_again(conn: Connection, found: Delivery, *, now: datetime) -> bool:
    """Have it sent again, from the first attempt on, under its id; False for one that is not of its
    session's newest version."""
    statement = update(deliveries).where(COLUMN.id == found.id, _is_newest())
    return conn.execute(statement.values(_anew(now))).rowcount > 0


def is_newest(conn: Connection, known: Delivery) -> bool:
    """Whether it is of its session's newest version: no other is sent again."""
    statement = select(exists().where(COLUMN.id == known.id, _is_newest()))
    return conn.execute(statement).scalar_one()


def send_failed_again(conn: Connection, *, now: datetime, limit: int) -> int:
    """Have up to `limit` of those whose last attempt failed sent again, the oldest first; how many.

    Also those that wait for their next attempt: after an outage of days that may be a day away.
    """
    return _send_those_again(conn, and_(_failed(), _is_newest()), now=now, limit=limit)


def count_failed(conn: Connection) -> int:
    """How many `send_failed_again` would have sent again."""
    return conn.execute(select(func.count()).where(_failed(), _is_newest())).scalar_one()


def find(conn: Connection, delivery_id: str) -> Delivery | None:
    """The delivery of this id."""
    row = conn.execute(select(deliveries).where(COLUMN.delivery_id == delivery_id)).first()
    return _read(row) if row else None


def page(
    conn: Connection,
    *,
    status: Status | None = None,
    session_id: str | None = None,
    after: int | None = None,
    limit: int,
) -> list[Delivery]:
    """Up to `limit` deliveries, the newest first, those older than the row `after`."""
    statement = select(deliveries)
    if status is not None:
        statement = statement.where(COLUMN.status == status)
    if session_id is not None:
        statement = statement.where(COLUMN.session_id == session_id)
    if after is not None:
        statement = statement.where(COLUMN.id < after)
    return [_read(row) for row in conn.execute(statement.order_by(COLUMN.id.desc()).limit(limit))]


def counts(conn: Connection) -> Counts:
    """How many failed, and how many wait."""
    failed = select(func.count(), func.min(COLUMN.made_at)).where(COLUMN.status == "failed")
    waits = select(func.count()).where(COLUMN.status == "pending")
    failed_count, failed_since = conn.execute(failed).one()
    return Counts(failed_count, conn.execute(waits).scalar_one(), failed_since)


def due_since(conn: Connection) -> datetime | None:
    """Since when the oldest that waits is due."""
    return conn.execute(_oldest_due()).scalar_one()


def not_done_since(
    conn: Connection, receivers: Collection[str], *, made_before: datetime
) -> datetime | None:
    """Since when the oldest is due that waits to be sent to one of these receivers, or that was
    made before and waits to be dropped."""
    ours = or_(COLUMN.receiver.in_(receivers), COLUMN.made_at < made_before)
    return conn.execute(_oldest_due().where(ours)).scalar_one()


def _oldest_due() -> Select[datetime | None]:
    return select(func.min(COLUMN.next_attempt_at))


def prune(conn: Connection, *, before: datetime, limit: int) -> int:
    """Remove up to `limit` deliveries that are done with and were made before; how many."""
    old = select(COLUMN.id).where(COLUMN.made_at < before, COLUMN.next_attempt_at.is_(None))
    batch = old.order_by(COLUMN.made_at).limit(limit).with_for_update(skip_locked=True)
    ids = list(conn.execute(batch).scalars())
    if ids:
        conn.execute(delete(deliveries).where(among(conn, COLUMN.id, ids)))
    return len(ids)


def _drop(conn: Connection, which: Any, *, why: str, now: datetime) -> None:
    done = {"status": "dropped", "error": why, "next_attempt_at": None, "done_at": now}
    unsent = COLUMN.status.in_(("pending", "failed"))
    conn.execute(update(deliveries).where(which, unsent).values(done))


def _was_dropped(why: str) -> Any:
    return and_(COLUMN.status == "dropped", COLUMN.error == why)


def _failed() -> Any:
    """Their last attempt did, or else their receiver has asked for time."""
    return and_(COLUMN.status.in_(("failed", "pending")), COLUMN.error.is_not(None))


def _send_those_again(conn: Connection, which: Any, *, now: datetime, limit: int) -> int:
    """The condition stands in both statements: a newer version may come between them. What somebody
    else is marking at this moment stays as it is."""
    found = select(COLUMN.id).where(which).order_by(COLUMN.id).limit(limit)
    found = found.with_for_update(skip_locked=True, of=deliveries)
    ids = list(conn.execute(found).scalars())
    if not ids:
        return 0
    statement = update(deliveries).where(among(conn, COLUMN.id, ids), which)
    return conn.execute(statement.values(_anew(now))).rowcount


def _waits(row_id: int) -> tuple[Any, ...]:
    """It may have been dropped while it was on its way."""
    return COLUMN.id == row_id, COLUMN.status == "pending"


def _anew(now: datetime) -> dict[str, Any]:
    return {
        "status": "pending",
        "attempts": 0,
        "error": None,
        "next_attempt_at": now,
        "done_at": None,
    }


def _is_newest() -> Any:
    column = final_sessions.c
    same = and_(column.session_id == COLUMN.session_id, column.version == COLUMN.version)
    return exists().where(same)


def _read(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)
