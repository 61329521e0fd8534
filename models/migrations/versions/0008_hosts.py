"""Sessions have a title, a course, hosts and labels, and their end, to be listed by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"

Instant = sa.DateTime(timezone=True)
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
    op.add_column("sessions", sa.Column("ends_at", Instant))
    _fill_ends()
    for name in ("academy_id", "course_id"):
        index = f"sessions_by_{name.removesuffix('_id')}"
        says = sa.text(f"{name} IS NOT NULL")
        op.create_index(index, "sessions", [name], postgresql_where=says, sqlite_where=says)


def _fill_ends() -> None:
    """In Python: the two databases have no word in common for so many minutes."""
    bind, of_id = op.get_bind(), sa.column("id", sa.Text)
    minutes, start = sa.column("duration_minutes", sa.Integer), sa.column("scheduled_at", Instant)
    end = sa.column("ends_at", Instant)
    sessions = sa.table("sessions", of_id, minutes, start, end)
    scheduled = bind.execute(sa.select(of_id, start, minutes).where(start.is_not(None))).all()
    ends = [
        {"of_id": row.id, "end": _ends_at(row.scheduled_at, row.duration_minutes)}
        for row in scheduled
    ]
    if ends:
        update = sa.update(sessions).where(of_id == sa.bindparam("of_id"))
        bind.execute(update.values(ends_at=sa.bindparam("end")), ends)


def _ends_at(start: datetime, minutes: int) -> datetime:
    return (start if start.tzinfo else start.replace(tzinfo=UTC)) + timedelta(minutes=minutes)


def downgrade() -> None:
    for name in ("sessions_by_academy", "sessions_by_course"):
        op.drop_index(name, "sessions")
    for name in ("ends_at", *LISTS, "course_id", "title"):
        op.drop_column("sessions", name)
