"""The ledger for operators: an index for each filter, the prune's watermark, erased people.

`visit` comes out of the payload: a client's event is found by the visit that it is about, as a
webhook is by its participant's sid.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Instant = sa.DateTime(timezone=True)

INDEXES: tuple[tuple[str, str | None, str | None], ...] = (
    ("webhook_events_by_time", None, None),
    ("webhook_events_by_event", "event", None),
    ("webhook_events_by_room_name", "room_name", None),
    ("webhook_events_by_room", "room_sid", "room_sid IS NOT NULL"),
    ("webhook_events_by_visit", "visit", "visit IS NOT NULL"),
    ("webhook_events_by_user", "user_id", "user_id IS NOT NULL"),
    ("webhook_events_by_status", "status", "status <> 'applied'"),
)


def upgrade() -> None:
    op.add_column("webhook_events", sa.Column("visit", Key))
    _fill_visits()
    for name, column, condition in INDEXES:
        columns = [*([column] if column else []), "received_at", "id"]
        where = sa.text(condition) if condition else None
        op.create_index(name, "webhook_events", columns, postgresql_where=where, sqlite_where=where)
    op.create_table(
        "retention",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("pruned_before", Instant, nullable=False),
    )
    op.create_table(
        "erasures",
        sa.Column("cycle_id", Key, primary_key=True),
        sa.Column("pseudonym", Key, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("erasures")
    op.drop_table("retention")
    for name, _, _ in INDEXES:
        op.drop_index(name, "webhook_events")
    op.drop_column("webhook_events", "visit")


def _fill_visits() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    visit = "json_extract(payload, '$.visit')" if sqlite else "payload ->> 'visit'"
    op.execute(f"UPDATE webhook_events SET visit = {visit} WHERE source = 'client'")  # noqa: S608
