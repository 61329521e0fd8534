"""Poolers: PgBouncer as Debian has it, in session and in transaction mode, and what it can't do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import make_url

from models.settings.settings import Settings
from models.storage import suitability
from models.storage.engine import make_engine
from tests.doors import Rollcall, ago, on_postgresql, serving
from tests.faults import free_port, until
from tests.processes import listens
from tests.test_not_taken import execute, named, spooled

CONFIGURATION = """
[databases]
* = host={socket} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
auth_file =
pool_mode = {mode}
default_pool_size = 10
"""


@contextmanager
def pgbouncer(url: str, mode: str, *, more: str = "") -> Iterator[str]:
    """The same database through a PgBouncer with the least configuration and `more`; its URL."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed: apt install pgbouncer")
    behind, port = make_url(url), free_port()
    with TemporaryDirectory(prefix="pgbouncer-") as directory:
        Path(directory).chmod(0o755)
        path = Path(directory) / "pgbouncer.ini"
        socket = behind.query["host"]
        path.write_text(CONFIGURATION.format(socket=socket, port=port, mode=mode) + more)
        user = ["-u", Path(str(socket)).owner()] if os.geteuid() == 0 else []
        process = subprocess.Popen([program, "-q", *user, str(path)], stderr=subprocess.DEVNULL)
        try:
            until(lambda: listens(port), seconds=20)
            yield f"postgresql://postgres@127.0.0.1:{port}/{behind.database}"
        finally:
            process.terminate()
            process.wait(10)


def works(rollcall: Rollcall) -> None:
    """A class whose events are stored, applied and shown."""
    for number in range(20):
        assert rollcall.send(named(number, at=ago(1))) == [204]
    assert spooled(rollcall) == 0
    assert rollcall.drain() == 20
    assert rollcall.seen("quran-98")["is_currently_in_meeting"] is True
    assert rollcall.put("99", room_name="another").status_code == 201


@on_postgresql
@pytest.mark.parametrize(("mode", "prepares"), [("session", True), ("transaction", False)])
def test_it_works_through_a_pooler(
    settings: Settings, postgres_url: str, mode: str, prepares: bool
) -> None:
    with pgbouncer(postgres_url, mode) as url:
        through = {"database_url": url, "prepared_statements": prepares}
        engine = make_engine(url, prepared_statements=prepares)
        suitability.check(engine)
        engine.dispose()
        with serving(settings.model_copy(update=through)) as rollcall:
            works(rollcall)


def test_a_pooler_that_loses_prepared_statements_is_refused(postgres_url: str) -> None:
    with pgbouncer(postgres_url, "transaction") as url:
        engine = make_engine(url)
        with pytest.raises(suitability.Unsuitable, match="PREPARED_STATEMENTS=false"):
            suitability.check(engine)
        engine.dispose()


def test_a_pooler_with_one_connection_to_give_holds_up_no_release(postgres_url: str) -> None:
    """It answers the second client when the first is done, which waits for it."""
    with pgbouncer(postgres_url, "transaction", more="default_pool_size = 1\n") as url:
        engine = make_engine(url, timeout=3600)
        suitability.check(engine)
        engine.dispose()


@on_postgresql
@pytest.mark.parametrize(
    ("setting", "value"),
    [("datestyle", "SQL, DMY"), ("timezone", "Asia/Riyadh"), ("lock_timeout", "1ms")],
)
def test_what_the_server_sets_for_sessions_changes_nothing(
    settings: Settings, postgres_url: str, setting: str, value: str
) -> None:
    name = make_url(postgres_url).database
    execute(postgres_url, f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    try:
        with serving(settings) as rollcall:
            works(rollcall)
    finally:
        execute(postgres_url, f'ALTER DATABASE "{name}" RESET {setting}')


@on_postgresql
def test_with_two_hosts_the_one_that_takes_writes_is_used(
    settings: Settings, postgres_url: str
) -> None:
    with pgbouncer(postgres_url, "session") as url:
        parsed = make_url(url)
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{parsed.port}"
        several = f"postgresql://postgres@{hosts}/{parsed.database}?target_session_attrs=read-write"
        with serving(settings.model_copy(update={"database_url": several})) as rollcall:
            works(rollcall)
