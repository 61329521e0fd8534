"""What the database does not take is spooled, whatever its error is called. A bad row is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from sqlalchemy import event as hooks
from sqlalchemy import make_url

from models.settings.settings import Settings
from models.storage import db
from models.storage.engine import make_engine
from tests.build import joined, signed, webhook
from tests.doors import Rollcall, disconnect, drain, on_postgresql, on_sqlite, problem, serving
from webhooks.door.context import EXTENSION
from worker.inbox import spool
from worker.jobs import draining


@pytest.fixture(autouse=True)
def workers_alone(app: Flask) -> None:
    """No thread of the web process copies the spool while a test looks at it."""
    app.extensions[EXTENSION].spool_copier.stop()


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def named(number: int, **changes: Any) -> Any:
    """A join whose event and participant have this number."""
    return joined(**changes)._replace(event_id=f"EV_{number}", participant_sid=f"PA_{number}")


@contextmanager
def refusing(url: str, state: str) -> Iterator[None]:
    """Every INSERT of an event fails with this SQLSTATE, on the server itself."""
    execute(
        url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON webhook_events EXECUTE FUNCTION refuse()",
    )
    try:
        yield
    finally:
        execute(url, "DROP TRIGGER refuse ON webhook_events", "DROP FUNCTION refuse()")


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """As a primary that was demoted: whoever connects can read and nothing else."""
    name = make_url(url).database
    execute(url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    disconnect(url)
    try:
        yield
    finally:
        execute(
            url,
            "SET default_transaction_read_only = off",
            f'ALTER DATABASE "{name}" RESET default_transaction_read_only',
        )
        disconnect(url)


def spooled(rollcall: Rollcall) -> int:
    return spool.length(rollcall.backend.redis)


STATES = {
    "25006": "read-only",
    "26000": "a prepared statement is gone",
    "42P05": "a prepared statement of that name is there",
    "08P01": "a pooler speaks another protocol",
    "0A000": "a plan that a migration made impossible",
    "42501": "no privilege",
    "42P01": "not migrated",
    "53100": "disk full",
    "57P01": "an administrator's shutdown",
    "XX000": "internal",
    "42601": "a mistake of ours",
}


@on_postgresql
@pytest.mark.parametrize("state", STATES, ids=STATES.values())
def test_what_the_database_does_not_take_is_spooled(
    rollcall: Rollcall, postgres_url: str, state: str
) -> None:
    with refusing(postgres_url, state):
        assert rollcall.send(named(1), named(2)) == [204, 204]
        assert spooled(rollcall) == 2
    rollcall.backend.engine.dispose()
    assert rollcall.drain() == 2
    assert spooled(rollcall) == 0
    assert [row["status"] for row in rollcall.ledger()] == ["applied", "applied"]


@on_postgresql
def test_a_read_only_database_takes_nothing_and_nothing_is_lost(
    rollcall: Rollcall, postgres_url: str
) -> None:
    with read_only(postgres_url):
        assert rollcall.send(*(named(number) for number in range(20))) == [204] * 20
        assert spooled(rollcall) == 20
        assert problem(rollcall.put()) == (503, "database-down")
    rollcall.backend.engine.dispose()
    assert rollcall.drain() == 20


@on_postgresql
def test_a_worker_on_a_read_only_database_fails_no_event(
    rollcall: Rollcall, postgres_url: str
) -> None:
    rollcall.send(named(1))
    with read_only(postgres_url):
        rollcall.backend.engine.dispose()
        with pytest.raises(draining.NOBODYS_FAULT):
            drain(rollcall.backend)
    rollcall.backend.engine.dispose()
    assert rollcall.drain() == 1


@on_postgresql
def test_prepared_statements_that_a_pooler_lost_cost_one_detour(rollcall: Rollcall) -> None:
    for number in range(10):  # from the sixth time on the driver prepares it
        rollcall.send(named(number))
    with db.reading(rollcall.backend.engine) as conn:
        driver: psycopg.Connection[Any] = conn.connection.driver_connection  # type: ignore[assignment]
        driver.pgconn.exec_(b"DEALLOCATE ALL")  # behind the driver's back, as a pooler does
    assert rollcall.send(*(named(number) for number in range(10, 20))) == [204] * 10
    assert spooled(rollcall) == 1
    rollcall.drain()
    assert len(rollcall.ledger()) == 20


@on_postgresql
def test_what_is_inserted_but_not_committed_is_not_acknowledged_as_stored(
    rollcall: Rollcall,
) -> None:
    engine = rollcall.backend.engine

    def begin(driver: Any, *_: Any) -> None:
        driver.execute("BEGIN")  # as Pgpool-II does in raw mode

    hooks.listen(engine, "checkout", begin)
    try:
        assert rollcall.send(named(1)) == [204]
    finally:
        hooks.remove(engine, "checkout", begin)
    assert rollcall.ledger() == []
    assert spooled(rollcall) == 1
    assert rollcall.drain() == 1


@on_postgresql
def test_an_event_that_the_database_refuses_by_itself_is_unreadable(
    rollcall: Rollcall, postgres_url: str
) -> None:
    execute(
        postgres_url,
        "ALTER TABLE webhook_events ADD CONSTRAINT good CHECK (event_id <> 'EV_1')",
    )
    try:
        assert problem(rollcall.post(*signed(webhook(named(1))))) == (400, "unreadable")
    finally:
        execute(postgres_url, "ALTER TABLE webhook_events DROP CONSTRAINT good")
    [row] = rollcall.ledger()
    assert row["status"] == "unreadable"
    assert "SQLSTATE 23514" in row["error"]
    assert "EV_1" not in row["error"]
    assert spooled(rollcall) == 0


@on_postgresql
def test_a_row_that_cannot_leave_the_spool_holds_up_nobody(
    rollcall: Rollcall, postgres_url: str
) -> None:
    with refusing(postgres_url, "53100"):
        rollcall.send(named(1), named(2), named(3))
    rollcall.backend.engine.dispose()
    execute(
        postgres_url,
        "ALTER TABLE webhook_events ADD CONSTRAINT good CHECK (event_id <> 'EV_2')",
    )
    try:
        assert spool.copy(rollcall.backend) == 2
        assert spool.copy(rollcall.backend) == 0
    finally:
        execute(postgres_url, "ALTER TABLE webhook_events DROP CONSTRAINT good")
    assert spooled(rollcall) == 1
    assert spool.copy(rollcall.backend) == 1
    assert {row["event_id"] for row in rollcall.ledger()} == {"EV_1", "EV_2", "EV_3"}


@pytest.fixture
def latin1(settings: Settings, postgres_url: str) -> Iterator[Settings]:
    """A database that has no Arabic letters."""
    name = f"latin1_{uuid4().hex}"
    execute(
        postgres_url,
        f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    )
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    engine = make_engine(url)
    with db.writing(engine) as conn:
        db.metadata.create_all(conn)
    engine.dispose()
    yield settings.model_copy(update={"database_url": url})
    execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@on_postgresql
def test_a_name_that_the_encoding_lacks_is_spooled_and_no_other(latin1: Settings) -> None:
    with serving(latin1) as rollcall:
        names = (named(1, name="Zoë"), named(2, name="هدى"), named(3, name="Tomás"))
        assert rollcall.send(*names) == [204] * 3
        assert [row["event_id"] for row in rollcall.ledger()] == ["EV_1", "EV_3"]
        assert spooled(rollcall) == 1
        assert spool.copy(rollcall.backend) == 0
        assert spooled(rollcall) == 1


@on_sqlite
def test_a_damaged_file_is_an_outage_too(settings: Settings) -> None:
    path = settings.database_url.removeprefix("sqlite:///")
    with serving(settings) as rollcall:
        rollcall.send(named(1))
        rollcall.backend.engine.dispose()
        with open(path, "r+b") as file:
            file.write(b"no database, for sure")
        assert rollcall.send(named(2)) == [204]
        assert spooled(rollcall) == 1
