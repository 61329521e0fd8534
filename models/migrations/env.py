"""Alembic's way in: brings the database of `DATABASE_URL` to the newest revision."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from alembic import context
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from models.ledger import erasure, retention  # noqa: F401  (their tables)
from models.settings.settings import load_or_exit
from models.storage.db import metadata, writing
from models.storage.engine import make_engine
from models.tables import cycle, room, session, webhook_event  # noqa: F401  (their tables)


def run() -> None:
    engine = make_engine(
        context.config.attributes.get("database_url") or load_or_exit().database_url
    )
    _make_directory(engine.url)
    try:
        engine.connect().close()
    except OperationalError as error:
        sys.exit(f"DATABASE_URL: no connection to the database: {error.orig}")
    with writing(engine) as conn:
        batch = conn.dialect.name == "sqlite"
        context.configure(connection=conn, target_metadata=metadata, render_as_batch=batch)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _make_directory(url: URL) -> None:
    """Here alone, where a database is made: elsewhere a mistyped path is one that does not answer.

    When it can't be made, SQLite says that it can't open the file.
    """
    if url.get_backend_name() == "sqlite" and url.database:
        with suppress(OSError):
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)


run()
