"""The changes: an outbox of what has to be cleared from the cache."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("xid", sa.BigInteger()),
        sa.Column("cache_keys", Json, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("changes_by_xid", "changes", ["xid"])
    op.create_index("changes_by_time", "changes", ["recorded_at"])


def downgrade() -> None:
    op.drop_table("changes")
