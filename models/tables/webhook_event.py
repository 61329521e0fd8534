"""The webhook_events table: the ledger, one row an event, written once.

A row is stored as it is when its event is applied; that it is not yet, `pending_events` says. So an
event that is received, applied, and replayed in vain leaves its row and seven indexes untouched:
only what fails, and what is mended after that, changes it. (Until migration 0012 a pending event
had the status `pending` here. Old processes store it so during a deployment: see `adopt`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Row,
    Select,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    text,
    update,
)

from models.domain import event as events
from models.domain.event import JOINED, LEFT, Event, Known
from models.domain.facts import Source
from models.domain.json_fields import Unreadable
from models.storage import bulk
from models.storage.db import (
    Instant,
    Json,
    Key,
    RowId,
    among,
    among_bound,
    insert,
    is_sqlite,
    metadata,
)
from models.tables import pending_event, short_payload
from models.tables.pending_event import pending_events

RARE = f"event <> '{JOINED}' AND event <> '{LEFT}'"
"""Nearly all events are of these two kinds: whoever looks for one of them finds it by time."""


def _index(name: str, *columns: str, where: str | None = None) -> Index:
    condition = text(where) if where else None
    return Index(name, *columns, postgresql_where=condition, sqlite_where=condition)


webhook_events = Table(
    "webhook_events",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("event_id", Key, nullable=False),
    Column("event", Text),
    Column("source", Text, nullable=False),
    Column("room_sid", Key),
    Column("room_name", Key),
    Column("participant_sid", Key),
    Column("user_id", Key),
    Column("session_id", Key),
    Column("visit", Key),
    Column("created_at", Instant),
    Column("received_at", Instant, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("replayed_at", Instant),  # of an older version: see pending_events
    Column("payload", Json),  # without what the columns have: see short_payload
    # Each index with what it is for; docs/architecture.md says what each takes.
    # What comes a second time is not stored again; one event is shown.
    UniqueConstraint("event_id", name="webhook_events_event_id"),
    # The ledger is read by (received_at, id): several clocks and commits make it up, so neither of
    # the two alone is an order. `id` is in no index: of one instant there are few events.
    _index("webhook_events_by_time", "received_at"),
    _index("webhook_events_by_room_name", "room_name", "received_at"),
    _index("webhook_events_by_user", "user_id", "received_at", where="user_id IS NOT NULL"),
    _index("webhook_events_by_event", "event", "received_at", where=RARE),
    # Nearly all are applied: those are found by time, and cost nothing here.
    _index("webhook_events_by_status", "status", "received_at", where="status <> 'applied'"),
    # The rooms of a session, and a manual join, are read whole, in whatever order.
    _index("webhook_events_by_room", "room_sid", where="room_sid IS NOT NULL"),
    _index("webhook_events_by_visit", "visit", where="visit IS NOT NULL"),
    # What an older version stored: `adopt`. Empty at all other times.
    _index("webhook_events_pending", "id", where="status = 'pending'"),
)

MAX_ERROR_LENGTH = 1_000
LATEST = 50
ONCE_PENDING = text("webhook_events.status = 'pending'")
FAILED = text("webhook_events.status = 'failed' AND webhook_events.status <> 'applied'")
UNREADABLE = text("webhook_events.status = 'unreadable' AND webhook_events.status <> 'applied'")
IS_RARE = text(f"webhook_events.event <> '{JOINED}' AND webhook_events.event <> '{LEFT}'")
"""In the words of their indexes, so that they are found."""

DONE_WITH = ("applied", "ignored")
"""The statuses of what was tried with success: the row counts the attempt that is still to come."""

LEDGER = webhook_events.outerjoin(pending_events, pending_events.c.id == webhook_events.c.id)
"""The ledger's rows, each with the one that says that it waits, if it does."""

IS_PENDING = pending_events.c.id.is_not(None)
STATUS = case((IS_PENDING, "pending"), else_=webhook_events.c.status)
ATTEMPTS = webhook_events.c.attempts - case(
    (and_(IS_PENDING, webhook_events.c.status.in_(DONE_WITH)), 1), else_=0
)
"""Of a row of LEDGER: an event's status, and how often it was tried."""


class Content(NamedTuple):
    """The columns from which a payload, and so the event, is restored."""

    event_id: str
    event: str | None
    created_at: datetime | None
    source: Source
    room_sid: str | None
    room_name: str | None
    participant_sid: str | None
    user_id: str | None
    visit: str | None
    session_id: str | None
    payload: Any

    def whole_payload(self) -> Any:
        """As it was when it came."""
        return short_payload.restored(self.payload, self._asdict())

    def read(self) -> Event:
        """Raises Unreadable, whatever stands in the row."""
        if self.source in BY_WEBHOOK and self.visit is None:
            # By place: each attribute of a row takes as long as all of them by place.
            known = Known(*self[: len(Known._fields)])  # type: ignore[arg-type]  # checked next
            if short_payload.leaves_to_columns(self.payload, known):
                return events.read_rest(self.payload, known)
        payload = self.whole_payload()
        if not isinstance(payload, dict):
            raise Unreadable("the row has no payload")
        return events.read(payload, self.source)


CONTENT = tuple(webhook_events.c[name] for name in Content._fields)
"""To be selected last: `content` takes them from the end of a row."""


def content(row: Row[Any]) -> Content:
    """What a row that ends with the columns CONTENT tells."""
    return Content(*row[-len(CONTENT) :])


BY_WEBHOOK = frozenset({"livekit", "import", "reconciler"})
"""Sources of events in the form of a webhook, unless they tell of a visit."""

EMPTY: dict[str, Any] = {
    str(column.name): None for column in webhook_events.columns if column.name != "id"
} | {"source": "livekit", "status": "pending", "attempts": 0}
"""A row of which nothing is known: each is written with all its columns, by one statement."""


class Mail(NamedTuple):
    """An event that was taken, still to be read: its payload may be what makes it fail.

    `spoilt`: its row says something else than that it is applied.
    """

    id: int
    received_at: datetime
    spoilt: bool
    content: Content

    def read(self) -> Event:
        """Raises Unreadable, whatever stands in the row: one of them stops nobody else's."""
        return self.content.read()


def pending_row(event: Event, payload: dict[str, Any], *, received_at: datetime) -> dict[str, Any]:
    """The inbox row of an event that is still to be folded."""
    return EMPTY | {
        "event_id": event.event_id,
        "event": event.event,
        "source": event.source,
        "room_sid": event.room_sid,
        "room_name": event.room_name,
        "participant_sid": event.participant_sid,
        "user_id": event.user_id,
        "session_id": event.session_id,
        "visit": event.visit,
        "created_at": event.created_at,
        "received_at": received_at,
        "payload": payload,
    }


def unreadable_row(event_id: str, *, error: str, received_at: datetime) -> dict[str, Any]:
    """The row that says that something came which was signed but can't be read; not what it was."""
    return EMPTY | {
        "event_id": event_id,
        "received_at": received_at,
        "status": "unreadable",
        "error": error[:MAX_ERROR_LENGTH],
    }


def least_delay(conn: Connection) -> timedelta | None:
    """The least time from LiveKit's clock to ours among its latest events; None without any."""
    columns = webhook_events.c
    statement = select(columns.created_at, columns.received_at).where(columns.source == "livekit")
    rows = conn.execute(statement.order_by(columns.id.desc()).limit(LATEST))
    delays = (row.received_at - row.created_at for row in rows if row.created_at is not None)
    return min(delays, default=None)


def last_accepted(conn: Connection) -> datetime | None:
    """When LiveKit's latest readable webhook was received; None without any."""
    columns = webhook_events.c
    statement = select(columns.received_at).where(
        columns.source == "livekit", columns.event.is_not(None)
    )
    newest = (columns.received_at.desc(), columns.id.desc())
    return conn.execute(statement.order_by(*newest).limit(1)).scalar()


def insert_rows(conn: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Put rows into the inbox, in this order; the ids of the events that were not there yet.

    Those that are `pending` wait to be applied, in the same statement (on SQLite: transaction).
    """
    waiting: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for row in rows:
        (waiting if row["status"] == "pending" else others).append(_stored(row))
    fresh = bulk.insert_missing(conn, webhook_events, others, key="event_id")
    return fresh | bulk.insert_missing(
        conn, webhook_events, waiting, key="event_id", noted=pending_events
    )


def renew_rows(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Put rows into the inbox, each in place of the older one of its event, if there is one.

    Only for events of which the latest says all that those before it said.
    """
    latest = {row["event_id"]: row for row in sorted(rows, key=itemgetter("created_at"))}
    if not latest:
        return
    statement = insert(conn, webhook_events)
    new = statement.excluded
    renewed = statement.on_conflict_do_update(
        index_elements=["event_id"],
        set_={name: new[name] for name in EMPTY if name != "event_id"},
        where=webhook_events.c.created_at < new.created_at,
    )
    noted = [webhook_events.c[column.name] for column in pending_events.c]
    written = conn.execute(renewed.returning(*noted), [_stored(row) for row in latest.values()])
    pending_event.renew(conn, [dict(row._mapping) for row in written])


def older_ones_wait(conn: Connection) -> bool:
    """Whether `adopt` has something to do."""
    return (
        conn.execute(select(webhook_events.c.id).where(ONCE_PENDING).limit(1)).first() is not None
    )


def adopt(conn: Connection, *, limit: int) -> int:
    """Have up to `limit` events wait that a process of an older version stored; how many.

    Old processes, which go on during a deployment, find those that they store by their status.
    """
    columns = webhook_events.c
    noted = [columns[column.name] for column in pending_events.c]
    old = select(*noted).where(ONCE_PENDING).order_by(columns.id).limit(limit)
    rows = conn.execute(old.with_for_update(skip_locked=True)).all()
    if rows:
        pending_event.add(conn, [dict(row._mapping) for row in rows])
        changed = {"status": "applied", "attempts": columns.attempts + 1, "replayed_at": None}
        theirs = among(conn, columns.id, [row.id for row in rows])
        conn.execute(update(webhook_events).where(theirs).values(changed))
    return len(rows)


def _stored(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as it is stored: as it is when it is applied, with its payload short."""
    stored = {**row, "payload": short_payload.shortened(row["payload"], row)}
    if row["status"] == "pending":
        stored |= {"status": "applied", "attempts": row["attempts"] + 1}
    return stored


def count_of_visit(conn: Connection, visit: str, *, most: int) -> int:
    """How many events a client sent about this visit; `most` when there are more."""
    signs = select(webhook_events.c.id).where(webhook_events.c.visit == visit).limit(most)
    return conn.execute(select(func.count()).select_from(signs.subquery())).scalar_one()


def record_applied(conn: Connection, event: Event, payload: dict[str, Any]) -> None:
    """Put one event, which this transaction applies, into the ledger. Its payload stays whole: a
    process that goes on while 0012 is taken back may store it after that, for older code to read.
    """
    row = pending_row(event, payload, received_at=event.created_at)
    applied = row | {"status": "applied", "attempts": 1}
    bulk.insert_missing(conn, webhook_events, [applied], key="event_id")


def take(conn: Connection, limit: int) -> tuple[list[Mail], bool] | None:
    """Up to `limit` pending events, oldest first, that nobody else holds, and wait no longer when
    the transaction commits; and whether rooms wait that another drain could take meanwhile.

    None when nothing waits in any room that is free; no mail when what was seen there is gone or
    held meanwhile, or was pruned.
    """
    ids, others_wait = pending_event.in_free_rooms(conn, limit)
    if not ids:
        return None
    on_sqlite = is_sqlite(conn)
    rows = conn.execute(_taken(on_sqlite), {"ids": ids}).all()
    if on_sqlite:
        pending_event.remove(conn, ids)
    return [Mail(row[0], row[1], row[2], content(row)) for row in rows], others_wait


@cache
def _taken(on_sqlite: bool) -> Select[Any]:
    """Built once. On PostgreSQL it takes out of pending_events what it returns."""
    columns, waiting = webhook_events.c, pending_events.c
    spoilt = or_(
        columns.status != "applied", columns.error.is_not(None), columns.replayed_at.is_not(None)
    )
    wanted = select(columns.id, columns.received_at, spoilt.label("spoilt"), *CONTENT)
    if on_sqlite:
        return wanted.where(among_bound(columns.id, "ids", on_sqlite=True)).order_by(columns.id)
    free = select(waiting.id).where(among_bound(waiting.id, "ids", on_sqlite=False))
    taken = (
        delete(pending_events)
        .where(waiting.id.in_(free.with_for_update(skip_locked=True)))
        .returning(waiting.id)
        .cte("taken")
    )
    return wanted.join_from(webhook_events, taken, taken.c.id == columns.id).order_by(columns.id)


def mark_applied(conn: Connection, ids: Sequence[int]) -> None:
    """Have these rows say that they are applied: of the rows that were taken, the spoilt ones."""
    if ids:
        _mark(conn, ids, status="applied", error=None)


def mark_failed(conn: Connection, row_id: int, *, error: str) -> None:
    _mark(conn, [row_id], status="failed", error=error[:MAX_ERROR_LENGTH])


def failed(conn: Connection) -> int:
    """How many events failed, and are not being tried again."""
    return _count(conn, FAILED)


def unreadable(conn: Connection, *, since: datetime | None = None) -> int:
    """How many rows could not be read; only those received since then."""
    recent = () if since is None else (webhook_events.c.received_at >= since,)
    return _count(conn, UNREADABLE, *recent)


def _count(conn: Connection, *conditions: ColumnElement[bool] | TextClause) -> int:
    statement = select(func.count()).select_from(LEDGER).where(~IS_PENDING, *conditions)
    return conn.execute(statement).scalar_one()


def _mark(conn: Connection, ids: Iterable[int], *, status: str, error: str | None) -> None:
    """The rows of events that were taken: those that were done with count this attempt already."""
    counted = case((webhook_events.c.status.in_(DONE_WITH), 0), else_=1)
    attempts = webhook_events.c.attempts + counted
    statement = update(webhook_events).where(among(conn, webhook_events.c.id, ids))
    changed = {"status": status, "error": error, "attempts": attempts, "replayed_at": None}
    conn.execute(statement.values(changed))
