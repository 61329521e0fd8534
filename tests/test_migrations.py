"""Migrations: what they make is what the code expects, and they can be taken back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, Row, inspect, make_url, select, text
from sqlalchemy.schema import CreateSchema

from models.domain import event as events
from models.ledger import replay
from models.storage import db, schema
from models.storage.db import metadata
from models.storage.engine import make_engine
from models.tables import short_payload, webhook_event
from models.tables.webhook_event import webhook_events
from tests import build, servers
from tests.build import KEY, SECRET, left, webhook
from tests.doors import aside, wait_for
from tests.faults import free_port

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that no migration has seen."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/not/there/yet.db"
    else:
        name = f"fresh_{request.getfixturevalue('worker_id')}"
        with servers.postgres(name, durable=False) as url:
            yield url


@pytest.fixture
def engine(fresh_url: str) -> Iterator[Engine]:
    made = make_engine(fresh_url)
    yield made
    made.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_the_newest_migration_is_what_the_code_expects(fresh_url: str, engine: Engine) -> None:
    schema.upgrade(fresh_url)
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
        assert schema.is_current(conn)


def test_the_newest_migration_is_the_one_that_alembic_would_bring_it_to() -> None:
    assert schema.newest() == ScriptDirectory(str(schema.MIGRATIONS)).get_current_head()


def test_columns_and_indexes_are_the_codes_to_the_letter(fresh_url: str, engine: Engine) -> None:
    """Alembic compares neither collations nor what an index leaves out."""
    schema.upgrade(fresh_url)
    migrated = described(engine)
    with engine.begin() as conn:
        metadata.drop_all(conn)
        metadata.create_all(conn)
    assert migrated == described(engine)


def test_migrations_can_be_taken_back_and_made_again(fresh_url: str, engine: Engine) -> None:
    schema.upgrade(fresh_url)
    assert tables(engine) == set(metadata.tables)
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["database_url"] = fresh_url
    command.downgrade(config, "base")
    assert tables(engine) == set()
    with engine.connect() as conn:
        assert not schema.is_current(conn)
    schema.upgrade(fresh_url)
    schema.upgrade(fresh_url)
    assert tables(engine) == set(metadata.tables)


def test_events_that_a_replay_put_back_keep_their_place_apart(
    fresh_url: str, engine: Engine
) -> None:
    """An older version said so in the error, of which only real ones are kept."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["database_url"] = fresh_url
    command.upgrade(config, "0003")
    for name, status, error in (
        ("new", "pending", None),
        ("again", "pending", "put back to be applied again"),
        ("failed-before", "pending", "ValueError: no"),
        ("failed", "failed", "ValueError: no"),
    ):
        with db.writing(engine) as conn:
            conn.execute(
                text(
                    "INSERT INTO webhook_events"
                    " (event_id, source, received_at, status, attempts, error)"
                    " VALUES (:name, 'livekit', '2026-11-23 14:00:00', :status, 1, :error)"
                ),
                {"name": name, "status": status, "error": error},
            )
    schema.upgrade(fresh_url)
    with db.reading(engine) as conn:
        rows = conn.execute(text("SELECT event_id, error, replayed_at FROM webhook_events")).all()
    assert {row.event_id: (row.error, row.replayed_at is not None) for row in rows} == {
        "new": (None, False),
        "again": (None, True),
        "failed-before": ("ValueError: no", True),
        "failed": ("ValueError: no", False),
    }


def test_whom_sessions_expect_or_have_as_hosts_can_be_looked_up_at_once(
    fresh_url: str, engine: Engine
) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["database_url"] = fresh_url
    command.upgrade(config, "0008")
    with db.writing(engine) as conn:
        conn.execute(
            text(
                "INSERT INTO sessions (id, room_name, made_by, duration_minutes,"
                " late_after_minutes, expected, created_at, rooms, hosts, labels)"
                """ VALUES ('98', 'a', 'registered', 60, 10,"""
                """ '[{"user_id": "5", "name": null}, {"user_id": "t", "name": null}]',"""
                """ '2026-11-23 14:00:00', '[]', '["t"]', '[]')"""
            )
        )
    schema.upgrade(fresh_url)
    with db.reading(engine) as conn:
        rows = conn.execute(text("SELECT user_id, session_id FROM session_people")).all()
    assert sorted(map(tuple, rows)) == [("5", "98"), ("t", "98")]


OLD_EVENT = """
INSERT INTO webhook_events (event_id, event, source, room_sid, room_name, participant_sid, user_id,
                            created_at, received_at, status, attempts, replayed_at, payload)
VALUES (:event_id, 'participant_left', 'livekit', 'RM_1', 'quran-98', 'PA_1', '5',
        '2026-11-23 14:30:00', '2026-11-23 14:30:01', :status, :attempts,
        :replayed_at, :payload)
"""
"""As the older version stores it."""


def an_older_database(fresh_url: str, engine: Engine, *, applied: int = 3) -> Config:
    """At the migration before the last one, with so many applied events, a failed one and two that
    wait, of which a replay put one back."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["database_url"] = fresh_url
    command.upgrade(config, "0011")
    states: list[tuple[str, str, int, str | None]]
    states = [(f"EV_{n}", "applied", 1, None) for n in range(applied)]
    states += [("EV_failed", "failed", 2, None), ("EV_new", "pending", 0, None)]
    states += [("EV_again", "pending", 2, "2026-11-23 15:00:00")]
    with db.writing(engine) as conn:
        for event_id, status, attempts, replayed_at in states:
            values = {"event_id": event_id, "status": status, "attempts": attempts}
            payload = json.dumps(old_payload(event_id))
            conn.execute(text(OLD_EVENT), values | {"replayed_at": replayed_at, "payload": payload})
    return config


def old_payload(event_id: str) -> dict[str, Any]:
    return events.redact(webhook(left(event_id=event_id, name="Aisha")))


def whole_payload(row: Row[Any]) -> Any:
    return short_payload.restored(row.payload, row._mapping)


def stored(engine: Engine) -> dict[str, Any]:
    """The payloads as they stand in the table, by event."""
    with db.reading(engine) as conn:
        rows = conn.execute(text("SELECT event_id, payload FROM webhook_events")).all()
    return {
        row.event_id: json.loads(row.payload) if isinstance(row.payload, str) else row.payload
        for row in rows
    }


def test_payloads_are_made_short_and_pending_ones_are_left_to_the_older_version(
    fresh_url: str, engine: Engine
) -> None:
    an_older_database(fresh_url, engine)
    schema.upgrade(fresh_url)
    found = stored(engine)
    waiting = {"EV_new", "EV_again"}
    assert {name for name, payload in found.items() if "event" in payload} == waiting
    assert all(found[name] == old_payload(name) for name in waiting)
    with db.reading(engine) as conn:
        rows = conn.execute(select(webhook_events)).all()
    assert {row.event_id: whole_payload(row) for row in rows} == {
        name: old_payload(name) for name in found
    }


def test_what_it_made_short_is_whole_again_when_it_is_taken_back(
    fresh_url: str, engine: Engine
) -> None:
    config = an_older_database(fresh_url, engine)
    with db.reading(engine) as conn:
        before = conn.execute(text("SELECT * FROM webhook_events ORDER BY id")).all()
    command.upgrade(config, "0012")
    with db.writing(engine) as conn:
        assert webhook_event.adopt(conn, limit=10) == 2
        replay.put_back(conn, [1, 4], now=build.at("16:00"))
    command.downgrade(config, "0011")
    with db.reading(engine) as conn:
        after = conn.execute(text("SELECT * FROM webhook_events ORDER BY id")).all()
    assert stored(engine) == {row.event_id: old_payload(row.event_id) for row in before}
    states = {row.event_id: (row.status, row.attempts) for row in after}
    assert states == {
        "EV_0": ("pending", 0),
        "EV_1": ("applied", 1),
        "EV_2": ("applied", 1),
        "EV_failed": ("pending", 2),
        "EV_new": ("pending", 0),
        "EV_again": ("pending", 2),
    }
    waiting = {"EV_0", "EV_failed", "EV_again"}
    assert {row.event_id for row in after if row.replayed_at is not None} == waiting


def test_a_migration_that_was_stopped_half_way_goes_on(fresh_url: str, engine: Engine) -> None:
    """As it is left by a kill: a table, some indexes, an index that is not named yet, payloads."""
    config = an_older_database(fresh_url, engine, applied=7)
    command.upgrade(config, "0012")
    expected, payloads = described(engine), stored(engine)
    postgresql = engine.dialect.name == "postgresql"
    with db.writing(engine) as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '0011'"))
        conn.execute(text("DROP INDEX webhook_events_by_time"))
        conn.execute(text("DROP INDEX webhook_events_by_room"))
        conn.execute(text("CREATE INDEX webhook_events_by_room ON webhook_events (room_sid, id)"))
        if postgresql:
            conn.execute(
                text("CREATE INDEX webhook_events_by_time_0012 ON webhook_events (event_id)")
            )
        whole = text("UPDATE webhook_events SET payload = :payload WHERE event_id = 'EV_6'")
        conn.execute(whole, {"payload": json.dumps(old_payload("EV_6"))})
    command.upgrade(config, "0012")
    assert (described(engine), stored(engine)) == (expected, payloads)


@pytest.mark.parametrize("fresh_url", ["postgresql"], indirect=True)
def test_events_come_in_and_a_person_is_erased_while_it_runs(
    fresh_url: str, engine: Engine
) -> None:
    """It waits for the rows that an erasure of the older version holds, and keeps its word."""
    config = an_older_database(fresh_url, engine)
    erased = old_payload("EV_1")
    del erased["participant"]["name"]
    erased["participant"]["identity"] = "erased-1"
    rewritten = text(
        "UPDATE webhook_events SET user_id = 'erased-1', payload = :payload WHERE event_id = 'EV_1'"
    )
    with aside(lambda: command.upgrade(config, "0012")) as migrated:
        with db.writing(engine) as conn:
            conn.execute(rewritten, {"payload": json.dumps(erased)})
            wait_for(lambda: migrated.done() or waits_for_a_lock(engine))
            values = {"event_id": "EV_late", "status": "pending", "attempts": 0}
            payload = json.dumps(old_payload("EV_late"))
            late = values | {"replayed_at": None, "payload": payload}
            with db.writing(engine) as other:
                other.execute(text(OLD_EVENT), late)
        migrated.result(60)
    with db.reading(engine) as conn:
        rows = conn.execute(select(webhook_events)).all()
    payloads = {row.event_id: whole_payload(row) for row in rows}
    assert payloads["EV_1"] == erased
    assert payloads["EV_late"] == old_payload("EV_late")


def waits_for_a_lock(engine: Engine) -> bool:
    with db.reading(engine) as conn:
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(conn.execute(waiting).scalar_one())


def test_the_release_command_migrates_the_database_of_the_environment(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/released.db"
    assert released(DATABASE_URL=url).returncode == 0
    engine = make_engine(url)
    assert tables(engine) == set(metadata.tables)
    engine.dispose()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "x"}, "PORT: "),
        ({"DATABASE_URL": "sqlite:////proc/x/y.db"}, "DATABASE_URL: no connection"),
        (
            {"DATABASE_URL": f"postgresql://127.0.0.1:{free_port()}/x"},
            "DATABASE_URL: no connection",
        ),
    ],
)
def test_a_release_that_cannot_be_says_why_in_a_sentence(
    variables: dict[str, str], sentence: str
) -> None:
    result = released(**variables)
    assert result.returncode == 1
    assert result.stderr.startswith(sentence)
    assert "Traceback" not in result.stderr


def released(**variables: str) -> subprocess.CompletedProcess[str]:
    """The Procfile's release with these variables."""
    [release] = [
        line.removeprefix("release: ")
        for line in (ROOT / "Procfile").read_text().splitlines()
        if line.startswith("release: ")
    ]
    pair = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
    path = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    return subprocess.run(
        release.split(),
        cwd=ROOT,
        env=pair | path | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def described(engine: Engine) -> dict[str, list[str]]:
    """Every column, index and key of the database, as its own catalogue words them."""
    seen, found = inspect(engine), {}
    for table in sorted(tables(engine)):
        columns = sorted(f"{_plain(it)} {_collation(it['type'])}" for it in seen.get_columns(table))
        indexes = sorted(str(_plain(it)) for it in seen.get_indexes(table))
        unique = sorted(str(_plain(it)) for it in seen.get_unique_constraints(table))
        found[table] = [*columns, *indexes, *unique, str(_plain(seen.get_pk_constraint(table)))]
    return found


def _plain(told: Any) -> Any:
    if isinstance(told, dict):
        return {str(name): _plain(value) for name, value in sorted(told.items())}
    return str(told)


def _collation(column_type: object) -> object:
    return getattr(column_type, "collation", None)


@pytest.mark.parametrize("fresh_url", ["postgresql"], indirect=True)
def test_on_postgresql_the_tables_may_lie_in_a_schema_of_their_own(
    fresh_url: str, engine: Engine
) -> None:
    with db.writing(engine) as conn:
        conn.execute(CreateSchema("own"))
    own = make_url(fresh_url).update_query_dict({"options": "-csearch_path=own"})
    schema.upgrade(own.render_as_string(hide_password=False))
    assert set(inspect(engine).get_table_names(schema="own")) >= set(metadata.tables)
    assert tables(engine) == set()


@pytest.mark.parametrize("fresh_url", ["postgresql"], indirect=True)
def test_a_release_without_privileges_says_what_to_grant(fresh_url: str, engine: Engine) -> None:
    role = f"nobody_{uuid4().hex}"
    with engine.connect() as conn:
        conn.execute(text(f"CREATE ROLE {role} LOGIN"))
        conn.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    try:
        url = make_url(fresh_url).set(username=role).render_as_string(hide_password=False)
        result = released(DATABASE_URL=url)
    finally:
        with engine.connect() as conn:
            conn.execute(text(f"DROP ROLE {role}"))
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        (
            "DATABASE_URL: the database does not take the migrations: permission denied for schema"
            " public (SQLSTATE 42501). Have an administrator run:"
            f" GRANT CREATE ON SCHEMA public TO {role};"
        )
    ]


@pytest.mark.parametrize("fresh_url", ["postgresql"], indirect=True)
def test_a_release_on_a_read_only_database_says_so(fresh_url: str) -> None:
    options = {"options": "-cdefault_transaction_read_only=on"}
    url = make_url(fresh_url).update_query_dict(options).render_as_string(hide_password=False)
    result = released(DATABASE_URL=url)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "read-only transaction (SQLSTATE 25006)" in result.stderr


@pytest.mark.parametrize("fresh_url", ["postgresql"], indirect=True)
def test_a_release_refuses_an_encoding_that_lacks_letters(fresh_url: str, engine: Engine) -> None:
    name = f"latin1_{uuid4().hex}"
    with engine.connect() as conn:
        made = f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        conn.execute(text(made))
    try:
        url = make_url(fresh_url).set(database=name).render_as_string(hide_password=False)
        result = released(DATABASE_URL=url)
    finally:
        with engine.connect() as conn:
            conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "the database's encoding is LATIN1" in result.stderr
    assert "ENCODING 'UTF8'" in result.stderr
