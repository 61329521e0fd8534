"""A deployment whose every part can be killed, hung, stopped and wiped: `storm` does it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from redis import Redis
from redis.exceptions import RedisError

from models.settings.settings import Settings
from tests import faults
from tests.build import KEY, SECRET
from tests.faults import until
from tests.processes import answers, environment
from worker.inbox import spool

WORKERS = 2
SPELLS = {"hang": "hung", "read_only": "read_only", "fill": "full"}
"""What lasts for as long as a context does: that one's name, by the fault's."""

WIPE = """
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('FLUSHALL')
return 1
"""
"""The spool holds what was acknowledged while the database was down: it alone must not be lost."""


class Process:
    """One line of the Procfile; its log is kept."""

    def __init__(self, name: str, module: str, env: dict[str, str], log: Path) -> None:
        self.name, self._module, self._env, self._log = name, module, env, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                env=self._env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """kill -9, its children too: what a machine that runs out of memory does."""
        for one in self.family():
            one.kill()
        self._wait()

    def kill_a_child(self) -> None:
        """kill -9 of one child alone; the rest has to notice and end, to be started again."""
        *children, parent = self.family()
        (children[0] if children else parent).kill()
        self._wait()

    def stop(self) -> None:
        """SIGTERM, as in a deployment of a new version."""
        assert self._process is not None
        self._process.terminate()
        self._wait()

    @contextmanager
    def hung(self) -> Iterator[None]:
        with faults.stopped(self.family()):
            yield

    def family(self) -> list[psutil.Process]:
        """Its children and itself, for as many as still live."""
        try:
            parent = psutil.Process(self.pid)
            return [*parent.children(recursive=True), parent]
        except psutil.NoSuchProcess:
            return []

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(30)


class Deployment:
    """PostgreSQL, Valkey and the Procfile's processes, on one directory."""

    def __init__(self, directory: Path) -> None:
        self.postgres = faults.Postgres()
        self.valkey = faults.Valkey(directory / "valkey", durable=True)
        self.port = faults.free_port()
        self.settings = Settings(
            livekit_api_key=KEY,
            livekit_api_secret=SECRET,
            database_url=self.postgres.url,
            redis_url=self.valkey.url,
            _env_file=None,
        )
        self._directory = directory
        self.processes: dict[str, Process] = {}

    @contextmanager
    def running(self, run: str) -> Iterator[None]:
        """Empty, and up; its processes' logs are in a directory of that name."""
        logs = self._directory / run
        logs.mkdir()
        env = environment(self.settings, logs, PORT=str(self.port), LOG_LEVEL="info")
        workers = {f"worker-{number}": "worker" for number in range(WORKERS)}
        modules = {"web": "webhooks", "scheduler": "worker.schedule", **workers}
        self.processes = {
            name: Process(name, module, env, logs / f"{name}.log")
            for name, module in modules.items()
        }
        self.postgres.empty()
        self.valkey.empty()
        with ExitStack() as until_over:
            for process in self.processes.values():
                process.start()
                until_over.callback(process.kill)
            for name in self.processes:
                self.wait_up(name)
            yield

    def close(self) -> None:
        self.postgres.remove()
        self.valkey.stop()

    def suffer(self, part: str, what: str, *, pause: Callable[[], object]) -> None:
        """Do that to the part, let it be so for a pause, and return when it works again."""
        victim: Process | faults.Postgres | faults.Valkey = self.processes.get(part) or (
            self.postgres if part == "postgres" else self.valkey
        )
        if what == "wipe":
            self.wipe()
        elif what in SPELLS:
            with getattr(victim, SPELLS[what])():
                pause()
        else:
            getattr(victim, what)()
            pause()
            victim.start()
        if part in self.processes:
            self.wait_up(part)

    def wait_up(self, name: str) -> None:
        """Until that process is at its work: it answers, or waits for what Valkey has for it."""
        until(lambda: answers(self.port) if name == "web" else self._is_connected(name))

    def wipe(self) -> None:
        """FLUSHALL, unless something is spooled."""
        with suppress(RedisError), Redis.from_url(self.valkey.url, socket_timeout=2) as redis:
            redis.eval(WIPE, 1, spool.SPOOL)

    def _is_connected(self, name: str) -> bool:
        """RQ's registries would not do: a wiped Redis forgets who is at work."""
        try:
            ours = psutil.Process(self.processes[name].pid).net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            return False
        there = (one.raddr.port for one in ours if one.raddr and one.status == "ESTABLISHED")
        return self.valkey.port in there
