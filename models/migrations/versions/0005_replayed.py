"""When a replay put an event back that waits again. Before, a sentence in its error said so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

PUT_BACK = "put back to be applied again"


def upgrade() -> None:
    op.add_column("webhook_events", sa.Column("replayed_at", sa.DateTime(timezone=True)))
    # What waits with an error was put back. When is not known: not before it was received.
    op.execute(
        "UPDATE webhook_events SET replayed_at = received_at"
        " WHERE status = 'pending' AND error IS NOT NULL"
    )
    op.execute(f"UPDATE webhook_events SET error = NULL WHERE error = '{PUT_BACK}'")  # noqa: S608


def downgrade() -> None:
    op.execute(
        f"UPDATE webhook_events SET error = coalesce(error, '{PUT_BACK}')"  # noqa: S608
        " WHERE status = 'pending' AND replayed_at IS NOT NULL"
    )
    op.drop_column("webhook_events", "replayed_at")
