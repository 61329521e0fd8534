"""Alembic's way in: brings the database of `DATABASE_URL` to the newest revision."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from alembic import context
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError

from models.ledger import erasure, retention  # noqa: F401  (their tables)
from models.settings.settings import Settings, load_or_exit
from models.storage import reasons, suitability
from models.storage.db import limit_lock_waits, metadata
from models.storage.engine import make_engine
from models.storage.standby import Standby
from models.tables import cycle, delivery, room, session, webhook_event  # noqa: F401  (their tables)


def run() -> None:
    engine = _engine()
    _make_directory(engine.url)
    try:
        engine.connect().close()
    except OperationalError as error:
        sys.exit(f"DATABASE_URL: no connection to the database: {error.orig}")
    try:
        suitability.check(engine)
        _migrate(engine)
    except suitability.Unsuitable as error:
        sys.exit(f"DATABASE_URL: {error}")
    except DBAPIError as error:
        if (why := suitability.refusal(engine, error)) is None:
            raise
        sys.exit(f"DATABASE_URL: the database does not take the migrations: {why}")
    if "database_url" not in context.config.attributes:
        _check_standby(engine, load_or_exit())
    engine.dispose()


def _check_standby(primary: Engine, settings: Settings) -> None:
    """One that is away holds up no release: the primary answers instead."""
    if settings.read_database_url is None:
        return
    engine = make_engine(
        settings.read_database_url, prepared_statements=settings.prepared_statements, name="standby"
    )
    try:
        suitability.check_standby(Standby(engine, primary))
    except suitability.Unsuitable as error:
        sys.exit(f"READ_DATABASE_URL: {error}")
    except DBAPIError as error:
        why = f"the standby does not answer ({reasons.of(error)}); the primary answers instead"
        sys.stderr.write(f"READ_DATABASE_URL: {why}\n")
    engine.dispose()


def _migrate(engine: Engine) -> None:
    """Each migration commits by itself: one of them works in batches, while events come in."""
    with engine.connect() as conn:
        batch = conn.dialect.name == "sqlite"
        conn.execution_options(
            **({"writes": True} if batch else {"isolation_level": "READ COMMITTED"})
        )
        event.listen(conn, "begin", limit_lock_waits)
        context.configure(
            connection=conn,
            target_metadata=metadata,
            render_as_batch=batch,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


def _engine() -> Engine:
    """For a URL that is given, else for the environment."""
    if url := context.config.attributes.get("database_url"):
        return make_engine(url)
    settings = load_or_exit()
    return make_engine(settings.database_url, prepared_statements=settings.prepared_statements)


def _make_directory(url: URL) -> None:
    """Here alone, where a database is made: elsewhere a mistyped path is one that does not answer.

    When it can't be made, SQLite says that it can't open the file.
    """
    if url.get_backend_name() == "sqlite" and url.database:
        with suppress(OSError):
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)


run()
