"""What an operator must be told: the doctor names the cause and ends with 1, and the console says
the same in the same words. All else is well, workers included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import expect
from redis import Redis
from rq import SimpleWorker, cron_scheduler_registry
from rq.utils import utcformat
from sqlalchemy import event as hooks
from sqlalchemy import make_url

from models.settings.settings import Settings
from tests import build
from tests.browser.conftest import Open, operator, served
from tests.doors import ago, bearer, wait_for
from tests.faults import Valkey, free_port
from tests.test_doctor import examined
from tests.test_not_taken import latin1, read_only, refusing  # noqa: F401 - a fixture
from webhooks.app import create_app
from webhooks.door.context import EXTENSION
from worker.inbox import bell

SOON_SECONDS = 30


@dataclass(frozen=True)
class World:
    """A database and a Redis that a test may spoil, on which a worker and a scheduler are alive."""

    settings: Settings
    postgres: Settings
    latin1: Settings
    valkey: Valkey
    another_valkey: str

    def is_worked_on(self, *, silent_seconds: float = 0) -> None:
        """The signs that RQ's leave, the worker's as old as that."""
        with Redis.from_url(self.valkey.url) as redis:
            worker = SimpleWorker([bell.QUEUE], connection=redis)
            worker.register_birth()  # type: ignore[no-untyped-call]  # RQ's
            sign = datetime.now(UTC) - timedelta(seconds=silent_seconds)
            redis.hset(worker.key, "last_heartbeat", utcformat(sign))
            redis.zadd(cron_scheduler_registry.get_registry_key(), {"scheduler": time()})


Case = Callable[[World, ExitStack], Flask]


def post(
    app: Flask, *, path: str = "/webhooks/livekit", at: datetime | None = None, **by: Any
) -> None:
    event = build.joined(at=at or ago(), sid="PA_1")
    body, token = build.signed(build.webhook(event), **by)
    app.test_client().post(path, data=body, headers={"Authorization": token})


def a_read_only_database(world: World, until_done: ExitStack) -> Flask:
    until_done.enter_context(read_only(world.postgres.database_url))
    return create_app(world.postgres)


def a_latin1_database(world: World, _: ExitStack) -> Flask:
    return create_app(world.latin1)


def a_date_style(world: World, _: ExitStack) -> Flask:
    """The server's own, which a pooler left: it dropped what the session asked for."""
    app = create_app(world.postgres)

    def leave(driver: Any, *_: Any) -> None:
        driver.execute("SET datestyle = 'SQL, DMY'")

    hooks.listen(app.extensions[EXTENSION].backend.engine, "connect", leave)
    return app


def a_full_disk(world: World, until_done: ExitStack) -> Flask:
    app = create_app(world.postgres)
    until_done.enter_context(refusing(world.postgres.database_url, "53100"))
    post(app)
    return app


def a_full_redis(world: World, _: ExitStack) -> Flask:
    world.valkey.fill()
    return create_app(world.settings)


def an_evicting_redis(world: World, _: ExitStack) -> Flask:
    with Redis.from_url(world.valkey.url) as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
    return create_app(world.settings)


def a_replica(world: World, _: ExitStack) -> Flask:
    with Redis.from_url(world.valkey.url) as redis:
        redis.replicaof("127.0.0.1", str(make_url(world.another_valkey).port))
    return create_app(world.settings)


def a_wrong_key(world: World, _: ExitStack) -> Flask:
    post(app := create_app(world.settings), key="another")
    return app


def a_wrong_secret(world: World, _: ExitStack) -> Flask:
    post(app := create_app(world.settings), secret="another" * 8)
    return app


def a_wrong_path(world: World, _: ExitStack) -> Flask:
    post(app := create_app(world.settings), path="/livekit/webhook")
    return app


def a_clock_90_s_ahead(world: World, _: ExitStack) -> Flask:
    ahead = datetime.now(UTC) + timedelta(seconds=90)
    post(app := create_app(world.settings), at=ahead, now=ahead)
    return app


def a_clock_90_s_behind(world: World, _: ExitStack) -> Flask:
    behind = datetime.now(UTC) - timedelta(seconds=90)
    post(app := create_app(world.settings), at=behind, now=behind)
    return app


def a_dead_worker(world: World, _: ExitStack) -> Flask:
    with Redis.from_url(world.valkey.url) as redis:
        redis.flushall()
    world.is_worked_on(silent_seconds=28)
    return create_app(world.settings)


def a_dead_standby(world: World, _: ExitStack) -> Flask:
    away = f"postgresql://127.0.0.1:{free_port()}/rollcall"
    return create_app(world.postgres.model_copy(update={"read_database_url": away}))


CASES: dict[Case, str] = {
    a_read_only_database: "database.read_only",
    a_latin1_database: "database.encoding",
    a_date_style: "database.date_style",
    a_full_disk: "spool.hindered",
    a_full_redis: "redis.full",
    an_evicting_redis: "eviction.some",
    a_replica: "redis.replica",
    a_wrong_key: "refused.unknown_key",
    a_wrong_secret: "refused.signature",
    a_wrong_path: "refused.wrong_path",
    a_clock_90_s_ahead: "refused.not_yet_valid",
    a_clock_90_s_behind: "clock.apart",
    a_dead_worker: "workers.none",
    a_dead_standby: "standby.down",
}


@pytest.fixture
def world(
    settings: Settings,
    postgres_url: str,
    latin1: Settings,  # noqa: F811 - the fixture
    tmp_path: Path,
    valkey_url: str,
) -> Iterator[World]:
    valkey = Valkey(tmp_path / "own-valkey")
    own = settings.model_copy(update={"redis_url": valkey.url})
    made = World(
        settings=own,
        postgres=own.model_copy(update={"database_url": postgres_url}),
        latin1=own.model_copy(update={"database_url": latin1.database_url}),
        valkey=valkey,
        another_valkey=valkey_url,
    )
    made.is_worked_on()
    yield made
    valkey.stop()


def findings(app: Flask) -> dict[str, dict[str, Any]]:
    """What is not well, as operators get it."""
    told = app.test_client().get("/api/health", headers=bearer(operator())).json
    assert told is not None
    return {check["finding"]: check for check in told["checks"] if not check["well"]}


def stop(app: Flask) -> None:
    app.extensions[EXTENSION].spool_copier.stop()
    app.extensions[EXTENSION].local_drain.stop()
    app.extensions[EXTENSION].unhurried.close()
    app.extensions[EXTENSION].backend.close()


def test_of_a_healthy_deployment_the_doctor_has_nothing_to_say(world: World) -> None:
    app = create_app(world.settings)
    assert examined(app).exit_code == 0
    assert findings(app) == {}
    stop(app)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_doctor_and_the_console_name_the_cause(world: World, opened: Open, case: Case) -> None:
    with ExitStack() as until_done:
        app = case(world, until_done)
        until_done.callback(stop, app)
        wait_for(lambda: CASES[case] in findings(app), seconds=SOON_SECONDS)
        found = findings(app)[CASES[case]]
        result = examined(app)
        assert result.exit_code == 1
        assert f"NOT  {found['what']:<11} {found['seen']}\n" in result.output
        assert f"→ {found['todo']}\n" in result.output
        address = until_done.enter_context(served(app))
        page = opened(f"{address}/ops?lang=en#token={operator()}")
        tile = page.locator(f"#checks [data-what={found['what']}]")
        expect(tile.locator(".seen")).to_have_text(found["seen"])
        expect(tile.locator(".todo")).to_have_text(found["todo"])


BROKEN_WORDS = """findings => {
  const lines = [];
  for (const text of findings) {
    const tile = document.createElement("li");
    tile.className = "todo"; // it is bold
    document.querySelector("#checks").append(tile);
    for (const word of text.match(/\\w+/g) ?? []) {
      const shown = document.createElement("span");
      shown.textContent = word;
      tile.append(shown, " ");
      const tops = new Set([...shown.getClientRects()].map((box) => box.top));
      if (tops.size > 1) lines.push(word);
    }
  }
  return lines;
}"""


@pytest.mark.parametrize("language", ["en", "ar"])
def test_no_word_of_a_finding_is_broken(opened: Open, language: str) -> None:
    """Operators search for the names of settings, and copy them."""
    page = opened(f"/ops?lang={language}#token={operator()}")
    expect(page.locator("#checks .seen").first).to_be_visible()
    said = page.evaluate("JSON.parse(document.getElementById('findings').textContent)")
    texts = [text for each in said.values() for text in each.values() if text]
    assert any("ATTENDANCE_WEBHOOK_URL" in text for text in texts)
    assert page.evaluate(BROKEN_WORDS, texts) == []
