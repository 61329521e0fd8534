"""Sessions have a title, a course, hosts and labels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"

Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
LISTS = ("hosts", "labels")


def upgrade() -> None:
    op.add_column("sessions", sa.Column("title", sa.Text()))
    op.add_column("sessions", sa.Column("course_id", sa.Text()))
    for name in LISTS:
        op.add_column("sessions", sa.Column(name, Json, nullable=False, server_default="[]"))
    with op.batch_alter_table("sessions") as batch:  # the default was for the rows there are
        for name in LISTS:
            batch.alter_column(name, existing_type=Json, server_default=None)


def downgrade() -> None:
    for name in (*LISTS, "course_id", "title"):
        op.drop_column("sessions", name)
