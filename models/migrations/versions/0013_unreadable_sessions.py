"""Why a session could not be read when it was last looked at, to tell receivers what is final."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

INDEX = "final_sessions_by_error"


def upgrade() -> None:
    op.add_column("final_sessions", sa.Column("error", sa.Text()))
    says = sa.text("error IS NOT NULL")
    columns = ["session_id", "error"]
    op.create_index(INDEX, "final_sessions", columns, postgresql_where=says, sqlite_where=says)


def downgrade() -> None:
    op.drop_index(INDEX, "final_sessions")
    op.drop_column("final_sessions", "error")
