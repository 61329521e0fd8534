"""Alembic's way in: brings the database of `DATABASE_URL` to the newest revision."""

from __future__ import annotations

from alembic import context

from models import (  # noqa: F401  (their tables)
    cycle,
    erasure,
    retention,
    room,
    session,
    webhook_event,
)
from models.db import metadata, writing
from models.engine import make_engine
from models.settings import load


def run() -> None:
    url = context.config.attributes.get("database_url") or load().database_url
    engine = make_engine(url)
    with writing(engine) as conn:
        batch = conn.dialect.name == "sqlite"
        context.configure(connection=conn, target_metadata=metadata, render_as_batch=batch)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
