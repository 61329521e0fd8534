"""Whom a session expects or has as a host can be looked up by person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

SESSIONS_AT_ONCE = 500


def upgrade() -> None:
    people = op.create_table(
        "session_people",
        sa.Column("user_id", Key, primary_key=True),
        sa.Column("session_id", Key, primary_key=True),
    )
    op.create_index("session_people_by_session", "session_people", ["session_id"])
    _fill(people)


def downgrade() -> None:
    op.drop_table("session_people")


def _fill(people: sa.Table) -> None:
    """A page at a time: a session may expect thousands."""
    lists = (sa.column("expected", Json), sa.column("hosts", Json))
    sessions = sa.table("sessions", sa.column("id", Key), *lists)
    bind, last = op.get_bind(), ""
    while True:
        page = sa.select(sessions).where(sessions.c.id > last).order_by(sessions.c.id)
        found = bind.execute(page.limit(SESSIONS_AT_ONCE)).all()
        if rows := [row for each in found for row in _rows(each)]:
            bind.execute(sa.insert(people), rows)
        if len(found) < SESSIONS_AT_ONCE:
            return
        last = found[-1].id


def _rows(session: Any) -> Iterator[dict[str, str]]:
    awaited = {person["user_id"] for person in session.expected} | set(session.hosts)
    yield from ({"user_id": user_id, "session_id": session.id} for user_id in sorted(awaited))
