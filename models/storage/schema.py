"""The schema's version: which migration the database is at, and how it comes to the newest.

Alembic is loaded by who migrates alone: to look at the version takes no more than its table.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

MIGRATIONS = Path(__file__).parents[1] / "migrations"
VERSION = table("alembic_version", column("version_num"))


def upgrade(database_url: str) -> None:
    """Bring the database to the newest migration; nothing happens when it is there."""
    from alembic import command  # noqa: PLC0415  (4 MiB)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")


def is_current(conn: Connection) -> bool:
    """Whether every migration was applied."""
    return _revision(conn) == newest()


def is_ahead(conn: Connection) -> bool:
    """Whether newer code migrated it: this code does not know its migration."""
    at = _revision(conn)
    return at is not None and at not in _revisions()


@cache
def newest() -> str:
    """The revision that this code was written for."""
    return max(_revisions())


@cache
def _revisions() -> frozenset[str]:
    """Each migration's file begins with its revision, and each revision follows the one before."""
    files = (MIGRATIONS / "versions").glob("[0-9]*.py")
    return frozenset(file.name.partition("_")[0] for file in files)


def _revision(conn: Connection) -> str | None:
    """None before the first migration."""
    if not inspect(conn).has_table(VERSION.name):
        return None
    revision: str | None = conn.execute(select(VERSION.c.version_num)).scalar_one_or_none()
    return revision
