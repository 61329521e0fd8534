"""The doctor: says what is wrong, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from rq import SimpleWorker
from rq.utils import utcformat
from sqlalchemy import make_url, text, update

from models.ledger import replay as replays
from models.settings.settings import Settings
from models.storage import db
from models.tables import webhook_event
from models.tables.pending_event import pending_events
from models.tables.webhook_event import webhook_events
from tests import build, doors
from tests.doors import (
    ago,
    bearer,
    drain,
    ledger,
    on_postgresql,
    on_sqlite,
    ops_token,
    wait_for,
)
from tests.faults import Valkey, free_port
from tests.test_not_taken import read_only, refusing
from webhooks.app import create_app
from webhooks.cli.doctor import doctor
from webhooks.door.context import EXTENSION
from webhooks.stack import valkey
from worker.inbox import bell, spool
from worker.inbox import rejections as rejected
from worker.inbox.rejections import Rejections
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


def test_events_that_failed_again_after_a_replay_are_told_apart(
    app: Flask, client: FlaskClient, backend: Backend
) -> None:
    post(client, sent_at=datetime.now(UTC))
    post(client, sent_at=datetime.now(UTC) - timedelta(seconds=1))
    with db.writing(backend.engine) as conn:
        conn.execute(update(webhook_events).values(payload={}))
    drain(backend)
    assert {row["status"] for row in ledger(backend)} == {"failed"}
    assert "again" not in line(examined(app), "failed")
    with db.writing(backend.engine) as conn:
        replays.put_back(conn, [1], now=datetime.now(UTC))
    drain(backend)
    assert "1 of them again after a replay" in line(examined(app), "failed")
    assert "\nrollcall_events_failed_again 1.0" in client.get("/metrics").text


@on_sqlite
@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_console_has_a_word_for_all_that_is_looked_at(
    client: FlaskClient, language: str
) -> None:
    path = ROOT / "webhooks" / "pages" / "languages" / f"{language}.json"
    named = orjson.loads(path.read_bytes())["ops"]["checks"]
    health = client.get("/api/health", headers=bearer(ops_token())).get_json()
    assert [check["what"] for check in health["checks"]] == list(named)


def test_a_database_that_newer_code_migrated_is_not_to_be_upgraded(
    app: Flask, client: FlaskClient, backend: Backend
) -> None:
    with db.writing(backend.engine) as conn:
        before = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        seen = line(examined(app), "migrations")
        assert client.get("/readyz").json["keeps_in"] == "spool"  # type: ignore[index]
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
        conn.execute(update(pending_events).values(received_at=long_ago))
    assert line(examined(app), "pending").startswith("NOT")
    assert line(examined(app), "pending").endswith("are workers and the scheduler running?")
    assert client.get("/readyz").json["pending_age_seconds"] >= 300  # type: ignore[index]
    drain(backend)
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
        conn.execute(update(pending_events).values(received_at=ago(minutes)))
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
    ready = app.test_client().get("/readyz")
    assert ready.status_code == 200
    assert ready.json is not None
    assert ready.json["keeps_in"] == ("spool" if what == "database" else "database")


@on_sqlite
def test_with_neither_to_keep_events_in_it_is_not_ready(settings: Settings) -> None:
    gone = {
        "database_url": f"postgresql://127.0.0.1:{free_port()}/0",
        "redis_url": f"redis://127.0.0.1:{free_port()}/0",
    }
    ready = create_app(settings.model_copy(update=gone)).test_client().get("/readyz")
    assert ready.status_code == 503
    assert ready.json is not None
    assert ready.json["keeps_in"] is None


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
    app.extensions[EXTENSION].spool_copier.stop()
    told = examined(app)
    assert line(told, "spool").startswith("ok   spool       keeps 1 events until")
    assert line(told, "database").startswith("NOT")


# --- Redis ----------------------------------------------------------------------------------------


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    made = Valkey(tmp_path / "own-valkey")
    yield made
    made.stop()


@on_sqlite
def test_a_full_redis_is_not_well(settings: Settings, own_valkey: Valkey) -> None:
    app = create_app(settings.model_copy(update={"redis_url": own_valkey.url}))
    assert line(examined(app), "redis").startswith("ok")
    own_valkey.fill()
    seen = line(examined(app), "redis")
    assert seen.startswith("NOT")
    assert "used memory > 'maxmemory'" in seen
    assert "give it more memory" in seen


@on_sqlite
def test_a_redis_that_evicts_is_a_finding(settings: Settings, own_valkey: Valkey) -> None:
    app = create_app(settings.model_copy(update={"redis_url": own_valkey.url}))
    assert line(examined(app), "eviction").startswith("ok")
    with Redis.from_url(own_valkey.url) as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
    seen = line(examined(app), "eviction")
    assert seen.startswith("NOT")
    assert "allkeys-lru" in seen
    assert "set maxmemory-policy to noeviction" in seen


@on_sqlite
def test_a_replica_is_not_well(settings: Settings, own_valkey: Valkey, valkey_url: str) -> None:
    app = create_app(settings.model_copy(update={"redis_url": own_valkey.url}))
    with Redis.from_url(own_valkey.url) as redis:
        redis.replicaof("127.0.0.1", str(make_url(valkey_url).port))
    seen = line(examined(app), "redis")
    assert seen.startswith("NOT")
    assert "is a replica, which takes no writes" in seen


@on_sqlite
def test_a_cluster_is_not_well(settings: Settings, tmp_path: Path) -> None:
    with valkey.running(tmp_path / "cluster", durable=False, cluster=True) as url:
        seen = line(examined(create_app(settings.model_copy(update={"redis_url": url}))), "redis")
    assert seen.startswith("NOT")
    assert "is a cluster, on which RQ's queues do not run" in seen


@on_sqlite
def test_a_user_of_redis_without_rights_is_not_well(settings: Settings, own_valkey: Valkey) -> None:
    with Redis.from_url(own_valkey.url) as redis:
        rights = ("on", "nopass", "~*", "+@read", "+info")
        redis.execute_command("ACL", "SETUSER", "private", *rights)
    url = re.sub(r"//.*@", "//private:x@", own_valkey.url)
    seen = line(examined(create_app(settings.model_copy(update={"redis_url": url}))), "redis")
    assert seen.startswith("NOT")
    assert "has no permissions to run the 'set' command" in seen
    assert "private" not in seen


# --- what is refused ------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("key", "secret", "minutes", "says"),
    [
        ("other", build.SECRET, 0, "1 unknown_key of other"),
        (build.KEY, "another" * 8, 0, f"1 signature of {build.KEY}"),
        (build.KEY, build.SECRET, 90, f"1 expired of {build.KEY}"),
        (build.KEY, build.SECRET, -90, f"1 not_yet_valid of {build.KEY}"),
    ],
)
def test_refused_webhooks_are_told_by_reason_and_issuer(
    app: Flask, key: str, secret: str, minutes: int, says: str
) -> None:
    assert line(examined(app), "refused").startswith("ok")
    body, token = build.signed(b"{}", key=key, secret=secret, now=ago(minutes))
    headers = {"Authorization": token}
    answer = app.test_client().post("/webhooks/livekit", data=body, headers=headers)
    assert answer.status_code == 401
    wait_for(lambda: says in line(examined(app), "refused"), seconds=30)
    seen = line(examined(app), "refused")
    assert seen.startswith("NOT")
    assert "1 in the last day" in seen


@on_sqlite
@pytest.mark.parametrize("path", ["/webhook/livekit", "/", "/api/events"])
def test_webhooks_at_a_wrong_path_are_told(app: Flask, client: FlaskClient, path: str) -> None:
    before = rejects(client, "wrong_path")
    body, token = build.signed(build.webhook(build.joined()))
    client.post(path, data=body, headers={"Authorization": doors.token()})
    client.post(path, data=body)
    assert client.post(path, data=body, headers={"Authorization": token}).status_code in (404, 405)
    assert rejects(client, "wrong_path") == before + 1
    wait_for(lambda: f"1 wrong_path of {build.KEY}" in line(examined(app), "refused"), seconds=30)
    assert "end in /webhooks/livekit" in line(examined(app), "refused")


@on_sqlite
def test_with_a_slash_at_its_end_the_path_is_right(client: FlaskClient) -> None:
    body, token = build.signed(build.webhook(build.joined()))
    url = "/webhooks/livekit/"
    assert client.post(url, data=body, headers={"Authorization": token}).status_code == 204


def rejects(client: FlaskClient, reason: str) -> float:
    found = re.search(
        rf'^rollcall_webhook_rejects_total{{reason="{reason}"}} (.*)$',
        client.get("/metrics").text,
        re.MULTILINE,
    )
    assert found is not None, "Prometheus sees no increase in what was never zero"
    return float(found[1])


@on_sqlite
def test_issuers_that_somebody_makes_up_fill_no_memory(backend: Backend) -> None:
    rejections = Rejections(backend.redis, backend.keys)
    now = datetime.now(UTC)
    for number in range(1_000):
        rejections.count("unknown_key", f"made-up-{number}", now=now)
    rejections.count("signature", build.KEY, now=now)
    rejections.count("malformed", "no key", now=now)
    rejections.flush(now)
    refused = rejected.refused(backend.redis, now=now)
    assert refused.last_hour.total() == refused.last_day.total() == 1_002
    assert len(refused.last_hour) < 30
    assert refused.last_hour["unknown_key", "others"] == 980
    assert refused.last_hour["signature", build.KEY] == 1
    assert refused.last_hour["malformed", "-"] == 1


@on_sqlite
def test_it_is_told_how_long_ago_the_last_webhook_was_accepted(
    app: Flask, client: FlaskClient, backend: Backend
) -> None:
    assert "no webhook has come yet" in line(examined(app), "received")
    post(client, sent_at=datetime.now(UTC))
    with db.writing(backend.engine) as conn:
        conn.execute(update(webhook_events).values(received_at=ago(5)))
    assert "the last webhook was accepted 30" in line(examined(app), "received")


@on_sqlite
def test_operators_get_the_same_findings_over_http(app: Flask, client: FlaskClient) -> None:
    told = client.get("/api/health", headers=bearer(ops_token())).json
    assert told is not None
    lines = examined(app).output
    assert [check["what"] for check in told["checks"] if not check["well"]] == [
        "workers",
        "scheduler",
    ]
    for check in told["checks"]:
        assert f"{check['what']:<11} {check['seen']}" in lines
        assert not check["todo"] or f"→ {check['todo']}" in lines
    assert client.get("/api/health", headers=bearer(doors.token())).status_code == 403


# --- PostgreSQL -----------------------------------------------------------------------------------


@on_postgresql
def test_what_keeps_the_spool_full_is_named(settings: Settings, postgres_url: str) -> None:
    app = create_app(settings)
    with refusing(postgres_url, "53100"):
        post(app.test_client(), sent_at=datetime.now(UTC))
        wait_for(lambda: "SQLSTATE 53100" in line(examined(app), "spool"), seconds=30)
        assert line(examined(app), "database").startswith("ok")
        assert line(examined(app), "spool").startswith("NOT")
    app.extensions[EXTENSION].spool_copier.stop()


@on_postgresql
def test_a_read_only_database_is_named(app: Flask, postgres_url: str) -> None:
    with read_only(postgres_url):
        app.extensions[EXTENSION].backend.engine.dispose()
        seen = line(examined(app), "database")
        assert seen.startswith("NOT")
        assert "is read-only" in seen
        assert "target_session_attrs=read-write" in seen
        assert app.test_client().get("/readyz").json["keeps_in"] == "spool"  # type: ignore[index]


# --- workers --------------------------------------------------------------------------------------


@on_sqlite
def test_a_dead_worker_is_known_within_half_a_minute(app: Flask, backend: Backend) -> None:
    worker = SimpleWorker([bell.QUEUE], connection=backend.redis)
    worker.register_birth()  # type: ignore[no-untyped-call]  # RQ's
    assert "1 alive" in line(examined(app), "workers")
    silent = datetime.now(UTC) - timedelta(seconds=28)
    backend.redis.hset(worker.key, "last_heartbeat", utcformat(silent))
    assert "0 alive" in line(examined(app), "workers")
