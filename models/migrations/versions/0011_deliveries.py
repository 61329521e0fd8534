"""What is sent to receivers of sessions that became final: the versions, and their deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Instant = sa.DateTime(timezone=True)

PARTIAL = {
    "sessions_by_end": ("sessions", ["ends_at"]),
    "final_sessions_by_look": ("final_sessions", ["look_at"]),
    "deliveries_by_due": ("deliveries", ["receiver", "next_attempt_at"]),
}


def upgrade() -> None:
    op.create_table(
        "final_sessions",
        sa.Column("session_id", Key, primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text()),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("looked_at", Instant, nullable=False),
        sa.Column("final_at", Instant),
        sa.Column("look_at", Instant),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("delivery_id", Key, nullable=False),
        sa.Column("session_id", Key, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("receiver", Key, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", Key, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("next_attempt_at", Instant),
        sa.Column("done_at", Instant),
    )
    op.create_index("deliveries_by_delivery_id", "deliveries", ["delivery_id"], unique=True)
    op.create_index(
        "deliveries_by_session", "deliveries", ["session_id", "version", "receiver"], unique=True
    )
    op.create_index("deliveries_by_status", "deliveries", ["status", "id"])
    op.create_index("deliveries_by_time", "deliveries", ["made_at"])
    for name, (table, columns) in PARTIAL.items():
        says = sa.text(f"{columns[-1]} IS NOT NULL")
        op.create_index(name, table, columns, postgresql_where=says, sqlite_where=says)


def downgrade() -> None:
    op.drop_table("deliveries")
    op.drop_table("final_sessions")
    op.drop_index("sessions_by_end", "sessions")
