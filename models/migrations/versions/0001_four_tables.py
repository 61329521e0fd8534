"""Four tables: sessions, rooms, cycles, webhook_events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Instant = sa.DateTime(timezone=True)
Json = sa.JSON().with_variant(JSONB(), "postgresql")
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

PENDING = sa.text("status = 'pending'")


def upgrade() -> None:
    _sessions()
    _rooms()
    _cycles()
    _webhook_events()


def downgrade() -> None:
    for table in ("webhook_events", "cycles", "rooms", "sessions"):
        op.drop_table(table)


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", Key, primary_key=True),
        sa.Column("room_name", Key, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("session_type", sa.Text()),
        sa.Column("academy_id", sa.Text()),
        sa.Column("scheduled_at", Instant),
        sa.Column("duration_minutes", sa.Integer(), nullable=False),
        sa.Column("late_after_minutes", sa.Integer(), nullable=False),
        sa.Column("minimum_percentage", sa.Float()),
        sa.Column("expected", Json, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
    op.create_index("sessions_by_room_name", "sessions", ["room_name", "scheduled_at"])


def _rooms() -> None:
    op.create_table(
        "rooms",
        sa.Column("sid", Key, primary_key=True),
        sa.Column("name", Key, nullable=False),
        sa.Column("named_session", Key),
        sa.Column("named_rank", Key, nullable=False),
        sa.Column("session_id", Key),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("started_at", Instant),
        sa.Column("finished_at", Instant),
        sa.Column("superseded_at", Instant),
        sa.Column("last_event_at", Instant, nullable=False),
    )
    op.create_index("rooms_by_name", "rooms", ["name", "created_at", "sid"])
    op.create_index("rooms_by_session", "rooms", ["session_id"])


def _cycles() -> None:
    op.create_table(
        "cycles",
        sa.Column("cycle_id", Key, primary_key=True),
        sa.Column("room_sid", Key),
        sa.Column("session_id", Key),
        sa.Column("named_session", Key),
        sa.Column("room_name", Key),
        sa.Column("user_id", Key, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("name_rank", Key, nullable=False),
        sa.Column("kind", sa.Text()),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("joined_at", Instant),
        sa.Column("joined_rank", Key, nullable=False),
        sa.Column("left_at", Instant),
        sa.Column("left_rank", Key, nullable=False),
        sa.Column("aborted_at", Instant),
        sa.Column("client_joined_at", Instant),
        sa.Column("client_left_at", Instant),
        sa.Column("last_seen_at", Instant),
        sa.Column("disconnect_reason", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("claimed_sid", Key),
        sa.Column("claimed_rank", Key, nullable=False),
    )
    op.create_index("cycles_by_room", "cycles", ["room_sid", "user_id"])
    op.create_index("cycles_by_session", "cycles", ["session_id", "user_id"])
    op.create_index("cycles_by_room_name", "cycles", ["room_name", "joined_at"])
    op.create_index("cycles_by_user", "cycles", ["user_id"])


def _webhook_events() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("id", RowId, primary_key=True, autoincrement=True),
        sa.Column("event_id", Key, nullable=False),
        sa.Column("event", sa.Text()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("room_sid", Key),
        sa.Column("room_name", Key),
        sa.Column("participant_sid", Key),
        sa.Column("user_id", Key),
        sa.Column("session_id", Key),
        sa.Column("created_at", Instant),
        sa.Column("received_at", Instant, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("payload", Json),
        sa.UniqueConstraint("event_id", name="webhook_events_event_id"),
    )
    op.create_index(
        "webhook_events_pending",
        "webhook_events",
        ["id"],
        postgresql_where=PENDING,
        sqlite_where=PENDING,
    )
