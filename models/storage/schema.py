"""The schema's version: which migration the database is at, and how it comes to the newest."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def upgrade(database_url: str) -> None:
    """Bring the database to the newest migration; nothing happens when it is there."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")


def is_current(conn: Connection) -> bool:
    """Whether every migration was applied."""
    return MigrationContext.configure(conn).get_current_revision() == newest()


def is_ahead(conn: Connection) -> bool:
    """Whether newer code migrated it: this code does not know its migration."""
    at = MigrationContext.configure(conn).get_current_revision()
    return at is not None and at not in _revisions()


@cache
def newest() -> str | None:
    """The revision that this code was written for."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


@cache
def _revisions() -> frozenset[str]:
    return frozenset(one.revision for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
