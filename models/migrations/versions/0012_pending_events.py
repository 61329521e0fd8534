"""What waits to be applied has a table of its own; the ledger's rows and indexes are half as large.

It works while events come in, in small transactions, and on PostgreSQL holds no lock that a
receiver waits for. (SQLite has one writer: events are spooled while an index is built.)
Stopped half way, it is run again, and goes on with what is left. Pending rows are left to the new
code, which moves them (`webhook_event.adopt`): until it runs, the old code applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from models.storage import db, postgres
from models.tables import short_payload

revision = "0012"
down_revision = "0011"

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Instant = db.Instant()
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

BATCH = 1_000
"""Rows a transaction: some 30 ms."""

PATIENCE_SECONDS = 6 * 3600.0
"""To build an index."""

Index = tuple[str, tuple[str, ...], str | None]

RARE = "event <> 'participant_joined' AND event <> 'participant_left'"
NOT_APPLIED = "status <> 'applied'"
SMALL: tuple[Index, ...] = (
    ("webhook_events_by_time", ("received_at",), None),
    ("webhook_events_by_event", ("event", "received_at"), RARE),
    ("webhook_events_by_room_name", ("room_name", "received_at"), None),
    ("webhook_events_by_room", ("room_sid",), "room_sid IS NOT NULL"),
    ("webhook_events_by_visit", ("visit",), "visit IS NOT NULL"),
    ("webhook_events_by_user", ("user_id", "received_at"), "user_id IS NOT NULL"),
    ("webhook_events_by_status", ("status", "received_at"), NOT_APPLIED),
)
LARGE: tuple[Index, ...] = (
    ("webhook_events_by_time", ("received_at", "id"), None),
    ("webhook_events_by_event", ("event", "received_at", "id"), None),
    ("webhook_events_by_room_name", ("room_name", "received_at", "id"), None),
    ("webhook_events_by_room", ("room_sid", "received_at", "id"), "room_sid IS NOT NULL"),
    ("webhook_events_by_visit", ("visit", "received_at", "id"), "visit IS NOT NULL"),
    ("webhook_events_by_user", ("user_id", "received_at", "id"), "user_id IS NOT NULL"),
    ("webhook_events_by_status", ("status", "received_at", "id"), NOT_APPLIED),
)

COLUMNS: tuple[sa.ColumnClause[Any], ...] = (
    sa.column("id", RowId),
    *(
        sa.column(name, sa.Text)
        for name in (
            *("event", "event_id", "status", "room_sid", "room_name", "participant_sid"),
            *("user_id", "visit", "session_id"),
        )
    ),
    sa.column("created_at", Instant),
    sa.column("payload", Json),
)
EVENTS = sa.table("webhook_events", *COLUMNS)

Change = Callable[[sa.Row[Any]], Any]


def upgrade() -> None:
    op.create_table(
        "pending_events",
        sa.Column("id", RowId, primary_key=True, autoincrement=False),
        sa.Column("room_name", Key),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True)),
        if_not_exists=True,
    )
    with _outside_a_transaction() as engine:
        _replace(SMALL, engine)
        _rewrite(engine, _short)


def downgrade() -> None:
    """New processes may go on meanwhile; what they store after it goes into the spool.

    Of what they stored behind its back, all short payloads are looked for once nobody writes.
    """
    with _outside_a_transaction() as engine:
        _replace(LARGE, engine)
        _rewrite(engine, _whole)
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":  # in the order in which a drain takes both
        op.execute("LOCK TABLE pending_events IN ACCESS EXCLUSIVE MODE")
        op.execute("LOCK TABLE webhook_events IN SHARE ROW EXCLUSIVE MODE")
    last: int | None = 0
    while last is not None:
        last = _rewrite_some(bind, _whole, after=last, only=_is_short(bind))
    op.execute(
        "UPDATE webhook_events SET status = 'pending',"
        " attempts = attempts - CASE WHEN status IN ('applied', 'ignored') THEN 1 ELSE 0 END,"
        " replayed_at = (SELECT waiting.replayed_at FROM pending_events AS waiting"
        " WHERE waiting.id = webhook_events.id)"
        " WHERE id IN (SELECT id FROM pending_events)"
    )
    op.drop_table("pending_events")


@contextmanager
def _outside_a_transaction() -> Iterator[sa.Engine]:
    with op.get_context().autocommit_block():
        bind = op.get_bind()
        if bind.dialect.name == "sqlite":
            yield bind.engine
            return
        with postgres.longer_timeout(bind.connection.driver_connection, PATIENCE_SECONDS):
            yield bind.engine


def _replace(indexes: Sequence[Index], engine: sa.Engine) -> None:
    for name, columns, condition in indexes:
        where = f" WHERE {condition}" if condition else ""
        definition = f"ON webhook_events ({', '.join(columns)}){where}"
        if engine.dialect.name == "sqlite":
            with db.writing(engine) as conn:
                conn.execute(sa.text(f"DROP INDEX IF EXISTS {name}"))
                conn.execute(sa.text(f"CREATE INDEX {name} {definition}"))
        else:
            _replace_beside(name, columns, definition)


def _replace_beside(name: str, columns: Sequence[str], definition: str) -> None:
    """Build the new index beside the old one, which serves until then. A run that was stopped may
    have left the new one invalid, or without the old one's name."""
    present = {
        each["name"]: each for each in sa.inspect(op.get_bind()).get_indexes("webhook_events")
    }
    if name in present and present[name]["column_names"] == list(columns):
        return
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}_0012")
    op.execute(f"CREATE INDEX CONCURRENTLY {name}_0012 {definition}")
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    op.execute(f"ALTER INDEX {name}_0012 RENAME TO {name}")


def _rewrite(engine: sa.Engine, change: Change) -> None:
    """All payloads, a batch a transaction. Between two batches it leaves the database to others for
    as long as it took itself."""
    last: int | None = 0
    while last is not None:
        started = perf_counter()
        with db.writing(engine) as conn:
            db.set_locally(conn, {"synchronous_commit": "off"})
            last = _rewrite_some(conn, change, after=last)
        sleep(perf_counter() - started)


def _rewrite_some(
    conn: sa.Connection,
    change: Change,
    *,
    after: int,
    only: sa.ColumnElement[bool] | None = None,
) -> int | None:
    """The next rows; the last one's id, or None when there are none.

    They are held from before they are read: an erasure rewrites payloads too. Pending rows are the
    old code's, which applies whole payloads alone.
    """
    is_next = (EVENTS.c.id > after) & (EVENTS.c.status != "pending")
    if only is not None:
        is_next &= only
    following = sa.select(EVENTS).where(is_next).order_by(EVENTS.c.id).limit(BATCH)
    rows = conn.execute(following.with_for_update()).all()
    changed = [
        {"of_row": row.id, "changed": payload}
        for row in rows
        if (payload := change(row)) != row.payload
    ]
    if changed:
        _write(conn, changed)
    return rows[-1].id if rows else None


def _is_short(conn: sa.Connection) -> sa.ColumnElement[bool]:
    """A whole payload has the word `event`."""
    payload = EVENTS.c.payload
    if db.is_sqlite(conn):
        return payload.is_not(None) & sa.func.json_extract(payload, "$.event").is_(None)
    return payload.is_not(None) & ~sa.func.jsonb_exists(payload, "event")


def _write(conn: sa.Connection, changed: list[dict[str, Any]]) -> None:
    if db.is_sqlite(conn):
        theirs = sa.update(EVENTS).where(EVENTS.c.id == sa.bindparam("of_row", type_=RowId))
        conn.execute(theirs.values(payload=sa.bindparam("changed", type_=Json)), changed)
        return
    columns = (sa.column("of_row", RowId), sa.column("changed", Json))
    sent = sa.bindparam("rows", changed, type_=JSONB)
    rows = sa.func.jsonb_to_recordset(sent).table_valued(*columns).render_derived(with_types=True)
    theirs = sa.update(EVENTS).where(EVENTS.c.id == rows.c.of_row)
    conn.execute(theirs.values(payload=rows.c.changed))


def _short(row: sa.Row[Any]) -> Any:
    return short_payload.shortened(row.payload, row._mapping)


def _whole(row: sa.Row[Any]) -> Any:
    return short_payload.restored(row.payload, row._mapping)
