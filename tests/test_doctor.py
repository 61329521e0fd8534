"""The doctor: says what is wrong, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text, update

from models.settings.settings import Settings
from models.storage import db
from models.tables import webhook_event
from models.tables.webhook_event import webhook_events
from tests import build
from tests.doors import ago, on_sqlite
from tests.faults import free_port
from webhooks.app import create_app
from webhooks.cli.doctor import doctor
from webhooks.door.context import SPOOL_COPIER
from worker.inbox import spool
from worker.jobs import draining
from worker.process.backend import Backend

ROOT = Path(__file__).parents[1]


def examined(app: Flask) -> Result:
    return app.test_cli_runner().invoke(doctor)


def line(result: Result, what: str) -> str:
    """The line on that; the next one says what to do."""
    lines = result.output.splitlines()
    at = next(number for number, said in enumerate(lines) if said[5:].startswith(what))
    return " ".join(lines[at : at + 2])


def post(client: FlaskClient, *, sent_at: datetime) -> None:
    event = build.joined(at=sent_at, sid="PA_1")
    body, token = build.signed(build.webhook(event))
    client.post("/webhooks/livekit", data=body, headers={"Authorization": token})


def test_without_workers_it_says_so_and_exits_1(app: Flask) -> None:
    result = examined(app)
    assert result.exit_code == 1
    assert line(result, "database").startswith("ok")
    assert line(result, "migrations").startswith("ok")
    assert line(result, "redis").startswith("ok")
    assert line(result, "workers").startswith("NOT")
    assert "start the Procfile's `worker`" in line(result, "workers")


@on_sqlite
@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_console_has_a_word_for_all_that_is_looked_at(
    client: FlaskClient, language: str
) -> None:
    path = ROOT / "webhooks" / "pages" / "languages" / f"{language}.json"
    named = orjson.loads(path.read_bytes())["ops"]["checks"]
    assert client.get("/readyz").json["checks"].keys() == named.keys()  # type: ignore[index]


def test_a_database_that_newer_code_migrated_is_not_to_be_upgraded(
    app: Flask, client: FlaskClient, backend: Backend
) -> None:
    with db.writing(backend.engine) as conn:
        before = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        seen = line(examined(app), "migrations")
        assert client.get("/readyz").status_code == 503
    finally:  # PostgreSQL's is every test's
        with db.writing(backend.engine) as conn:
            conn.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": before})
    assert seen.startswith("NOT")
    assert "newer than this code" in seen
    assert "upgrade head" not in seen


def test_clocks_that_are_apart_are_found_by_the_webhooks(app: Flask, client: FlaskClient) -> None:
    post(client, sent_at=datetime.now(UTC) + timedelta(seconds=45))
    assert line(examined(app), "clock").startswith("NOT")


def test_late_events_say_nothing_about_the_clock(app: Flask, client: FlaskClient) -> None:
    post(client, sent_at=datetime.now(UTC) - timedelta(seconds=28))
    post(client, sent_at=datetime.now(UTC))
    assert line(examined(app), "clock").startswith("ok")


def test_events_that_wait_too_long_or_failed_are_told(
    app: Flask, client: FlaskClient, backend: Backend
) -> None:
    post(client, sent_at=datetime.now(UTC))
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    with db.writing(backend.engine) as conn:
        conn.execute(update(webhook_events).values(received_at=long_ago))
    assert line(examined(app), "pending").startswith("NOT")
    assert line(examined(app), "pending").endswith("are workers and the scheduler running?")
    assert client.get("/readyz").json["pending_age_seconds"] >= 300  # type: ignore[index]
    draining.drain_batch(backend)
    assert line(examined(app), "pending").startswith("ok")
    with db.writing(backend.engine) as conn:
        conn.execute(update(webhook_events).values(status="failed"))
    assert "flask events replay" in line(examined(app), "failed")


@pytest.mark.parametrize(
    ("minutes", "waits"),
    [(3 * 24 * 60, "the oldest for 2592"), (-60, "the oldest for 0 s")],
    ids=["days", "ahead of our clock"],
)
def test_the_age_of_what_waits_is_all_of_it_and_never_negative(
    app: Flask, client: FlaskClient, backend: Backend, minutes: int, waits: str
) -> None:
    post(client, sent_at=datetime.now(UTC))
    with db.writing(backend.engine) as conn:
        conn.execute(update(webhook_events).values(received_at=ago(minutes)))
    assert waits in line(examined(app), "pending")
    assert client.get("/readyz").json["pending_age_seconds"] >= 0  # type: ignore[index]
    assert "\nrollcall_oldest_pending_seconds -" not in client.get("/metrics").text


def test_an_unreadable_webhook_is_told_for_a_day_and_is_no_failed_event(
    app: Flask, client: FlaskClient, backend: Backend
) -> None:
    body, token = build.signed({"event": "participant_joined"})
    client.post("/webhooks/livekit", data=body, headers={"Authorization": token})
    assert line(examined(app), "failed").startswith("ok")
    seen = line(examined(app), "unreadable")
    assert seen.startswith("NOT")
    assert "1 in the last day" in seen
    assert "flask events list --status unreadable" in seen
    assert "\nrollcall_events_failed 0.0" in client.get("/metrics").text
    assert "\nrollcall_events_unreadable 1.0" in client.get("/metrics").text
    with db.writing(backend.engine) as conn:
        conn.execute(update(webhook_events).values(received_at=ago(days=2)))
    assert line(examined(app), "unreadable").startswith("ok")
    assert "1 in all" in line(examined(app), "unreadable")


@pytest.mark.parametrize("scheme", ["postgresql", "redis"])
def test_what_does_not_answer_is_named(settings: Settings, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}/0"
    gone = {"database_url": url} if scheme == "postgresql" else {"redis_url": url}
    app = create_app(settings.model_copy(update=gone))
    what = "database" if scheme == "postgresql" else "redis"
    told = examined(app)
    assert "does not answer" in line(told, what)
    if what == "database":
        assert "does it have this database and user?" in line(told, what)
    assert app.test_client().get("/readyz").status_code == (503 if what == "database" else 200)


@on_sqlite
def test_of_a_mistyped_path_it_makes_nothing(settings: Settings, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mistyped/rollcall.db"
    app = create_app(settings.model_copy(update={"database_url": url}))
    assert "check DATABASE_URL" in line(examined(app), "database")
    assert not (tmp_path / "mistyped").exists()


@on_sqlite
def test_a_spool_is_a_finding_while_the_database_is_up(app: Flask, backend: Backend) -> None:
    assert line(examined(app), "spool").startswith("ok")
    event = build.joined(at=ago(), sid="PA_1")
    row = webhook_event.pending_row(event, build.webhook(event), received_at=ago())
    spool.add(backend.redis, row)
    seen = line(examined(app), "spool")
    assert seen.startswith("NOT")
    assert "1 events in Redis that are not in the database" in seen
    assert "spool.waiting" in seen


@on_sqlite
def test_a_spool_is_no_finding_while_the_database_is_down(settings: Settings) -> None:
    gone = {"database_url": f"postgresql://127.0.0.1:{free_port()}/0"}
    app = create_app(settings.model_copy(update=gone))
    post(app.test_client(), sent_at=datetime.now(UTC))
    app.extensions[SPOOL_COPIER].stop()
    told = examined(app)
    assert line(told, "spool").startswith("ok   spool       keeps 1 events until")
    assert line(told, "database").startswith("NOT")
