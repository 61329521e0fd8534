"""Valkey and Redis, with a user of few rights, with full memory, behind Sentinel."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from tests.faults import Valkey, free_port, until
from tests.processes import listens
from tests.sentinels import sentinels
from tests.test_redis_users import documented


def nothing() -> None:
    """Happens to most of them after the database's outage."""


@dataclass(frozen=True, slots=True)
class Store:
    """Its URL, and what happens to it once the database is back."""

    url: str
    afterwards: Callable[[], None] = nothing


Make = Callable[[Path], AbstractContextManager[Store]]


@contextmanager
def valkey(directory: Path) -> Iterator[Store]:
    made = Valkey(directory / "valkey")
    yield Store(made.url)
    made.stop()


@contextmanager
def redis_7(directory: Path) -> Iterator[Store]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed: apt install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--dir", str(directory), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until(lambda: listens(port))
        yield Store(f"redis://127.0.0.1:{port}/0")
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def user_of_few_rights(directory: Path) -> Iterator[Store]:
    with valkey(directory) as store:
        with Redis.from_url(store.url) as admin:
            admin.execute_command("ACL", "SETUSER", "rollcall", *documented())
        yield Store(re.sub(r"//.*@", "//rollcall:secret@", store.url))


@contextmanager
def full_memory(directory: Path) -> Iterator[Store]:
    made = Valkey(directory / "valkey")
    made.fill()
    yield Store(made.url)
    made.stop()


@contextmanager
def failover(directory: Path) -> Iterator[Store]:
    with sentinels(directory) as made:

        def fail_over() -> None:
            made.primary.kill()
            until(lambda: made.leader() == made.replica.port)

        yield Store(made.url, fail_over)
