"""PostgreSQL of the wheel and of Debian, direct and through PgBouncer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import psycopg
import pytest

from models.storage import schema
from tests import faults
from tests.faults import until
from tests.test_poolers import pgbouncer

DEBIANS = Path("/usr/lib/postgresql/15/bin")
RETRY = "server_login_retry = 1\n"  # else an outage lasts 15 s longer


class Database(Protocol):
    """What an outage does to it."""

    url: str

    def stop(self) -> None: ...

    def start(self) -> None: ...


class Debians:
    """Debian's PostgreSQL 15, migrated, in a directory of its own; root has `postgres` run it."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(directory, "postgres")
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
        self._socket = directory
        self.start()
        self.url = f"postgresql://postgres@/postgres?host={directory}"
        schema.upgrade(self.url)

    def stop(self) -> None:
        self._run("pg_ctl", "--mode=fast", "--wait", "stop")

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self._socket}"
        log = f"--log={self._data}/log"
        self._run("pg_ctl", "--wait", f"--options={options}", log, "start")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(DEBIANS / program), f"--pgdata={self._data}", *arguments]
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, cwd="/")
        assert done.returncode == 0, command


@contextmanager
def debians() -> Iterator[Database]:
    if not (DEBIANS / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed: apt install postgresql-15")
    with TemporaryDirectory(prefix="postgresql-15-") as directory:
        made = Debians(Path(directory))
        yield made
        made.stop()


@contextmanager
def wheels() -> Iterator[Database]:
    made = faults.Postgres()
    yield made
    made.remove()


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a database: by which pool mode, if any, and with prepared statements or not."""

    mode: str | None
    prepares: bool

    @contextmanager
    def to(self, database: Database) -> Iterator[str]:
        if self.mode is None:
            yield database.url
            return
        more = RETRY
        if self.mode == "transaction" and self.prepares:
            if _version() < (1, 21):
                pytest.skip("PgBouncer is older than 1.21")
            more += "max_prepared_statements = 200\n"
        with pgbouncer(database.url, self.mode, more=more) as url:
            yield url


def _version() -> tuple[int, ...]:
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed: apt install pgbouncer")
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def brought_back(database: Database) -> None:
    """Start it, and wait until it answers."""
    database.start()
    until(lambda: _answers(database.url))


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.Error:
        return False
    return True
