"""A room keeps every start and why it ended; whether somebody is hidden may not be known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("rooms", sa.Column("starts", Json, nullable=False, server_default="[]"))
    op.add_column("rooms", sa.Column("end_reason", Key))
    op.add_column("rooms", sa.Column("end_rank", Key, nullable=False, server_default=""))
    with op.batch_alter_table("rooms") as batch:  # the defaults were for the rows there are
        batch.alter_column("starts", existing_type=Json, server_default=None)
        batch.alter_column("end_rank", existing_type=Key, server_default=None)
    with op.batch_alter_table("cycles") as batch:
        batch.alter_column("hidden", existing_type=sa.Boolean(), nullable=True)


def downgrade() -> None:
    op.execute("UPDATE cycles SET hidden = false WHERE hidden IS NULL")
    with op.batch_alter_table("cycles") as batch:
        batch.alter_column("hidden", existing_type=sa.Boolean(), nullable=False)
    for name in ("end_rank", "end_reason", "starts"):
        op.drop_column("rooms", name)
