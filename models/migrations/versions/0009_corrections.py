"""Corrections: what operators and teachers say beside the facts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "corrections",
        sa.Column("id", Key, primary_key=True),
        sa.Column("session_id", Key, nullable=False),
        sa.Column("room_name", Key, nullable=False),
        sa.Column("user_id", Key, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("author", Key, nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("starts_at", Instant),
        sa.Column("ends_at", Instant),
        sa.Column("participant_sid", Key),
        sa.Column("same_as", Key),
        sa.Column("always_from", Instant),
        sa.Column("undone_at", Instant),
        sa.Column("undone_by", Key),
    )
    op.create_index("corrections_by_session", "corrections", ["session_id"])
    says = sa.text("always_from IS NOT NULL")
    op.create_index(
        "corrections_always",
        "corrections",
        ["room_name", "always_from"],
        postgresql_where=says,
        sqlite_where=says,
    )


def downgrade() -> None:
    op.drop_table("corrections")
