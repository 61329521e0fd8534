"""The revisions: by which the cache checks that its facts are current. `changes` goes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "revisions",
        sa.Column("key", Key, primary_key=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("revisions_by_time", "revisions", ["raised_at"])
    op.drop_table("changes")


def downgrade() -> None:
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
    op.drop_table("revisions")
