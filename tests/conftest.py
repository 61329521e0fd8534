"""What tests stand on: a real Valkey, a real SQLite file, a real PostgreSQL, the real app."""

from __future__ import annotations

import gc
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from models.settings.settings import Settings
from models.storage import schema
from models.storage.db import metadata
from tests import reused, servers
from tests.build import KEY, SECRET
from tests.checked import CheckedClient
from tests.doors import Rollcall
from tests.hooked import Receiver, receiving
from tests.terminal import Terminal
from webhooks.app import create_app
from worker.process.backend import WORKER, Backend

# A shell has what it runs in the background ignore Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """What is made while tests are collected stays: nothing of it is worth a search for garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Garbage is searched for in what tests make, and not in all the modules again each time."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """A worker that runs in a test's process must not handle the signals of the next test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """Routes and statements are compiled once for each test process, and a version read once."""
    with reused.routes(), reused.statements(), reused.version_of_redis():
        yield


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with servers.valkey() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest migration, to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    schema.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(worker_id: str) -> Iterator[tuple[str, str]]:
    """A PostgreSQL database at the newest migration, one for each test process; its URL, and the
    statements that empty it."""
    with servers.postgres(f"test_{worker_id}", durable=False) as url:
        schema.upgrade(url)
        yield url, _emptying()


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """An empty Valkey."""
    with Redis.from_url(valkey_url) as redis:
        redis.flushall()
    return valkey_url


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """An empty SQLite database."""
    path = tmp_path / "rollcall.db"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(migrated_postgres: tuple[str, str]) -> str:
    """An empty PostgreSQL database."""
    url, emptying = migrated_postgres
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(emptying.encode())
    return url


def _emptying() -> str:
    """One question to the server. Of a test's few rows: TRUNCATE takes ten times as long."""
    tables = list(reversed(metadata.sorted_tables))
    deletes = [str(table.delete()) for table in tables]
    counted = [(table.name, table.autoincrement_column) for table in tables]
    restarts = [
        f"SELECT setval(pg_get_serial_sequence('{name}', '{column.name}'), 1, false)"
        for name, column in counted
        if column is not None
    ]
    return ";".join(["BEGIN", *deletes, *restarts, "COMMIT"])


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database: each test that uses it runs on SQLite and on PostgreSQL."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture(scope="session")
def read_settings(valkey_url: str) -> Settings:
    """Settings read once for each test process, which takes eight milliseconds; no database yet."""
    return Settings(
        livekit_api_key=KEY,
        livekit_api_secret=SECRET,
        database_url="sqlite:///none.db",
        redis_url=valkey_url,
        _env_file=None,
    )


@pytest.fixture
def settings(read_settings: Settings, database_url: str, redis_url: str) -> Settings:
    """Our own URLs are as settings have them already: nothing is to be read anew in them."""
    return read_settings.model_copy(update={"database_url": database_url, "redis_url": redis_url})


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The application as `create_app` makes it, on its own backend."""
    made = create_app(settings, WORKER)  # a busy machine is no outage
    made.test_client_class = CheckedClient
    yield made
    made.extensions["rollcall"].spool_copier.stop()
    made.extensions["rollcall"].backend.close()
    made.extensions["rollcall"].unhurried.close()


@pytest.fixture
def backend(app: Flask) -> Backend:
    """The backend of `app`: what its views use, a worker in the test uses too."""
    found: Backend = app.extensions["rollcall"].backend
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def rollcall(client: FlaskClient, backend: Backend) -> Rollcall:
    """The whole service: its doors, and a worker's hands on the same storage."""
    return Rollcall(client, backend)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of our own webhooks, for whoever has `settings` name it."""
    with receiving() as made:
        yield made


@pytest.fixture
def terminal(app: Flask) -> Terminal:
    """The commands of `flask …` on the test's own storage."""
    return Terminal(app)
