"""Membership is derived: no room and no visit keeps its session; sessions have further rooms.

A cycle keeps its room's name, and what a client said of the session.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.drop_index("rooms_by_session", "rooms")
    op.drop_column("rooms", "session_id")
    op.drop_column("rooms", "superseded_at")
    op.create_index("rooms_by_named_session", "rooms", ["named_session"])
    _upgrade_cycles()
    op.add_column("sessions", sa.Column("rooms", Json, nullable=False, server_default="[]"))
    with op.batch_alter_table("sessions") as batch:  # the default was for the rows there are
        batch.alter_column("rooms", existing_type=Json, server_default=None)
    op.create_table(
        "session_rooms",
        sa.Column("name", Key, primary_key=True),
        sa.Column("session_id", Key, primary_key=True),
    )
    op.create_index("session_rooms_by_session", "session_rooms", ["session_id"])


def downgrade() -> None:
    """The columns are empty; `flask sessions rebuild --all` of the older version fills them."""
    op.drop_table("session_rooms")
    op.drop_column("sessions", "rooms")
    for name in ("cycles_by_seen", "cycles_by_named_session", "cycles_by_left"):
        op.drop_index(name, "cycles")
    op.drop_column("cycles", "academy_id")
    op.drop_column("cycles", "session_type")
    op.add_column("cycles", sa.Column("session_id", Key))
    op.create_index("cycles_by_session", "cycles", ["session_id", "user_id"])
    op.execute("UPDATE cycles SET room_name = NULL WHERE room_sid IS NOT NULL")
    op.drop_index("rooms_by_named_session", "rooms")
    op.add_column("rooms", sa.Column("superseded_at", Instant))
    op.add_column("rooms", sa.Column("session_id", Key))
    op.create_index("rooms_by_session", "rooms", ["session_id"])


def _upgrade_cycles() -> None:
    op.drop_index("cycles_by_session", "cycles")
    op.drop_column("cycles", "session_id")
    op.add_column("cycles", sa.Column("session_type", sa.Text()))
    op.add_column("cycles", sa.Column("academy_id", sa.Text()))
    op.execute(
        "UPDATE cycles SET room_name = (SELECT name FROM rooms WHERE sid = cycles.room_sid)"
        " WHERE room_sid IS NOT NULL"
    )
    op.create_index("cycles_by_left", "cycles", ["room_name", "left_at"])
    for name, columns in (
        ("cycles_by_named_session", ["named_session"]),
        ("cycles_by_seen", ["room_name", "last_seen_at"]),
    ):
        says = sa.text(f"{columns[-1]} IS NOT NULL")
        op.create_index(name, "cycles", columns, postgresql_where=says, sqlite_where=says)
