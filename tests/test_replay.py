"""Replay: what failed, or any other part of the ledger, is applied once more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag
from time import monotonic
from typing import Any, TypeVar

import pytest
from redis import Redis
from sqlalchemy import func, select, update

from models.domain import event as events
from models.ledger.filters import Filters
from models.settings.settings import Settings
from models.storage import db
from models.tables.revision import revisions
from models.tables.webhook_event import LEDGER, STATUS, webhook_events
from tests.build import joined, left, room_finished, room_started, webhook
from tests.doors import (
    Rollcall,
    Row,
    a_worker,
    ago,
    aside,
    bearer,
    drain,
    on_sqlite,
    ops_token,
    problem,
    rows,
    serving,
    told,
    wait_for,
    without,
)
from tests.faults import free_port
from tests.terminal import Terminal
from tests.test_drain import a_day
from worker.__main__ import Worker
from worker.inbox.bell import QUEUE
from worker.jobs import draining
from worker.operations import pacing, replay

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]


def ask(rollcall: Rollcall, **body: Any) -> Any:
    return rollcall.client.post("/api/events/replay", json=body, headers=bearer(ops_token()))


def mark(rollcall: Rollcall, **changes: Any) -> None:
    """As if every event of the ledger had become this."""
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(webhook_events).values(**changes))


def count(rollcall: Rollcall, status: str) -> int:
    with db.reading(rollcall.backend.engine) as conn:
        counted = select(func.count()).select_from(LEDGER).where(STATUS.in_([status]))
        return conn.execute(counted).scalar_one()


def everything(rollcall: Rollcall) -> dict[str, list[Row]]:
    """Every row of every table, but for the notes of what was changed."""
    tables = [table for table in db.metadata.sorted_tables if table is not revisions]
    return {table.name: rows(rollcall.backend, table) for table in tables}


@contextmanager
def a_worker_alive(redis_url: str) -> Iterator[None]:
    """A worker that others see, and that does nothing by itself."""
    with Redis.from_url(redis_url) as redis:
        worker = Worker([QUEUE], connection=redis)
        worker.register_birth()  # type: ignore[no-untyped-call]  # RQ's
        yield
        worker.register_death()  # type: ignore[no-untyped-call]


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """A worker that drains whatever is there."""
    stopped = Flag()

    def work() -> None:
        with a_worker(settings) as backend:
            while not stopped.is_set():
                if drain(backend) == 0:
                    stopped.wait(0.01)

    with a_worker_alive(settings.redis_url), aside(work) as done:
        try:
            yield
        finally:
            stopped.set()
        done.result(20)


# --- through the same door ------------------------------------------------------------------------


def test_what_failed_is_applied_when_its_cause_is_gone(rollcall: Rollcall) -> None:
    rollcall.put_in([joined(), left()], payload={"broken": True})
    rollcall.drain()
    assert count(rollcall, "failed") == 2
    mark(rollcall, payload=events.redact(webhook(joined())))
    assert told(ask(rollcall, dry_run=True)) == {
        "matched": 2,
        "requeued": 0,
        "rung": 0,
        "next": None,
    }
    assert count(rollcall, "failed") == 2
    assert told(ask(rollcall)) == {"matched": 2, "requeued": 2, "rung": 2, "next": None}
    assert rollcall.drain() == 2
    outcomes = {
        (row["status"], row["attempts"], row["error"], row["replayed_at"])
        for row in rollcall.ledger()
    }
    assert outcomes == {("applied", 2, None, None)}


def test_an_event_that_waits_again_says_since_when_and_keeps_its_error(rollcall: Rollcall) -> None:
    rollcall.put_in([joined()], status="failed", error="ValueError: no", attempts=1)
    ask(rollcall)
    [row] = rollcall.ledger()
    assert (row["status"], row["error"]) == ("pending", "ValueError: no")
    assert ago(minutes=1) < row["replayed_at"] <= ago()


def test_replaying_what_was_applied_changes_no_table_and_no_status(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98", scheduled_at="2026-11-23T14:00:00Z")
    visit = told(rollcall.join("quran-98", name="Aisha"))["visit"]
    rollcall.leave(visit)
    rollcall.put_in(a_day(rooms=4, people=3, visits=2))
    rollcall.deliver(room_started(), joined(name="Aisha"), left(), room_finished())
    before, seen = everything(rollcall), rollcall.seen("98")
    roster = without(told(rollcall.roster("98")), "as_of")
    matched = len(rollcall.ledger())
    assert told(ask(rollcall, status="applied"))["rung"] == matched
    assert everything(rollcall) != before
    assert rollcall.drain() == matched
    assert everything(rollcall) == before
    assert rollcall.seen("98") == seen
    assert without(told(rollcall.roster("98")), "as_of") == roster


@pytest.mark.parametrize("status", ["applied", "failed", "ignored"])
def test_what_a_replay_put_back_is_not_as_old_as_it_was_received(
    rollcall: Rollcall, status: str
) -> None:
    rollcall.put_in([joined(), left()], status=status, attempts=1, received_at=ago(days=3))
    ask(rollcall, status=status)
    assert count(rollcall, "pending") == 2
    ready = rollcall.client.get("/readyz").json
    assert ready is not None
    assert ready["checks"]["pending"] == {"well": True, "seen": "2 waiting, the oldest for 0 s"}
    assert "\nrollcall_oldest_pending_seconds 0.0" in rollcall.client.get("/metrics").text
    rollcall.put_in([joined(sid="PA_new")], received_at=ago(minutes=2))
    ready = rollcall.client.get("/readyz").json
    assert ready is not None
    assert ready["pending_age_seconds"] >= 120


def test_a_replay_rings(rollcall: Rollcall) -> None:
    rollcall.deliver(joined())
    rollcall.backend.redis.flushall()
    ask(rollcall, room_name="quran-98")
    assert rollcall.backend.redis.exists("rollcall:bell")


def test_filters_and_ids_say_which(rollcall: Rollcall) -> None:
    rollcall.deliver(
        joined(event_id="one"), joined(event_id="two", sid="PA_2"), left(event_id="three")
    )
    ask(rollcall, event_ids=["one", "two", "three"], event="participant_joined")
    waiting = [row["event_id"] for row in rollcall.ledger() if row["status"] == "pending"]
    assert waiting == ["one", "two"]


def test_a_limited_replay_tells_where_to_go_on(rollcall: Rollcall) -> None:
    rollcall.put_in((joined(sid=f"PA_{n}") for n in range(7)), status="failed")
    first = told(ask(rollcall, limit=5))
    assert (first["matched"], first["rung"], first["next"]) == (5, 5, None)
    assert told(ask(rollcall)) == {"matched": 2, "requeued": 2, "rung": 2, "next": None}


@on_sqlite
def test_one_request_puts_back_no_more_than_its_bound(rollcall: Rollcall) -> None:
    rollcall.put_in((joined(sid=f"PA_{n}") for n in range(10_001)), status="ignored")
    first = told(ask(rollcall, status="ignored"))
    assert (first["matched"], first["rung"]) == (10_001, 10_000)
    rest = told(ask(rollcall, status="ignored", after=first["next"]))
    assert rest == {"matched": 1, "requeued": 1, "rung": 1, "next": None}


REFUSED = [
    ({"status": "unreadable"}, "nothing was kept"),
    ({"status": "pending"}, "about to be applied"),
    ({"staus": "failed"}, "staus"),
    ({"limit": 0}, "limit"),
    ({"limit": 10_001}, "limit"),
    ({"event_ids": []}, "event_ids"),
    ({"dry_run": "no"}, "dry_run"),
]


@on_sqlite
@pytest.mark.parametrize(("body", "sentence"), REFUSED, ids=str)
def test_a_replay_that_makes_no_sense_is_refused(
    rollcall: Rollcall, body: Row, sentence: str
) -> None:
    answer = ask(rollcall, **body)
    assert problem(answer) == (400, "invalid")
    assert sentence in answer.json["detail"]


# --- the command ----------------------------------------------------------------------------------


def test_a_replay_of_many_stays_a_little_ahead_of_the_workers(
    rollcall: Rollcall, settings: Settings
) -> None:
    rollcall.put_in((joined(sid=f"PA_{n}") for n in range(2_600)), status="failed")
    most = 0
    with working(settings):
        steps = replay.replay(rollcall.backend, Filters(status="failed"), now=datetime.now(UTC))
        for progress in steps:
            most = max(most, progress.waiting)
    assert most == pacing.AHEAD * draining.BATCH
    assert (progress.applied, progress.failed, progress.waiting) == (2_600, 0, 0)
    assert count(rollcall, "applied") == 2_600


def test_what_fails_again_is_counted_and_not_tried_for_ever(
    rollcall: Rollcall, settings: Settings, terminal: Terminal
) -> None:
    rollcall.put_in([joined(), left()], status="failed", payload={"event": "nonsense"})
    with working(settings):
        said = terminal.json("events", "replay", exits=1)
    assert said["requeued"] == said["rung"]
    assert (said["matched"], said["requeued"], said["applied"], said["failed"]) == (2, 2, 0, 2)
    assert {row["attempts"] for row in rollcall.ledger()} == {1}


@on_sqlite
def test_without_a_worker_a_replay_waits_for_nobody(rollcall: Rollcall, terminal: Terminal) -> None:
    rollcall.put_in((joined(sid=f"PA_{n}") for n in range(2_000)), status="failed")
    assert terminal.json("events", "replay", "--dry-run")["matched"] == 2_000
    assert count(rollcall, "pending") == 0
    result = terminal("events", "replay")
    assert result.exit_code == 0
    assert "2,000 of 2,000 events went back" in result.stdout
    assert "No worker is running" in result.stderr
    assert count(rollcall, "pending") == 2_000


@on_sqlite
def test_without_redis_a_replay_says_so(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}"})
    with serving(gone) as rollcall:
        rollcall.put_in([joined()], status="failed")
        result = Terminal(rollcall.client.application)("events", "replay")
        assert "Redis does not answer: they wait until it does." in result.stderr
        assert "No worker" not in result.stderr
        assert count(rollcall, "pending") == 1


@on_sqlite
def test_a_replay_gives_up_on_workers_that_stand_still(rollcall: Rollcall) -> None:
    rollcall.put_in([joined()], status="failed")
    with a_worker_alive(rollcall.backend.settings.redis_url):
        steps = replay.replay(
            rollcall.backend, Filters(status="failed"), now=datetime.now(UTC), timeout=0.1
        )
        with pytest.raises(replay.Stalled, match="applied nothing"):
            list(steps)
    assert count(rollcall, "pending") == 1


@on_sqlite
def test_a_replay_keeps_to_its_rate(rollcall: Rollcall, terminal: Terminal) -> None:
    rollcall.put_in((joined(sid=f"PA_{n}") for n in range(60)), status="failed")
    began = monotonic()
    terminal.json("events", "replay", "--rate=50", "--limit=55")
    assert monotonic() - began >= 1.0
    assert count(rollcall, "pending") == 55


@on_sqlite
def test_an_event_that_is_not_there_is_missed(rollcall: Rollcall, terminal: Terminal) -> None:
    rollcall.deliver(joined(event_id="here"))
    result = terminal("events", "replay", "here", "elsewhere")
    assert result.exit_code == 1
    assert "1 of 1 event went back" in result.stdout
    assert "Not all of these events" in result.stderr


@on_sqlite
@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--status=unreadable", "nothing was kept of unreadable events"),
        ("--status=nonsense", "--status Input should be 'applied'"),
        ("--since=tomorrow", "--since is not a time"),
        ("--rate=0", "0"),
        ("--limit=0", "0"),
        ("--rate=nan", "not a finite number"),
        ("--rate=inf", "range"),
        ("--limit=99999999999999999999", "range"),
        ("\udcff", "'[EVENT_IDS]...': is not UTF-8."),
        ("--room-name=\udcff", "'--room-name': is not UTF-8."),
        ("--after=here", "--after is no cursor"),
    ],
)
def test_the_command_refuses_bad_filters_with_a_sentence(
    terminal: Terminal, option: str, sentence: str
) -> None:
    assert sentence in terminal.refused("events", "replay", option)


@on_sqlite
def test_ctrl_c_stops_a_replay_and_a_second_run_finishes_it(
    rollcall: Rollcall, settings: Settings, terminal: Terminal
) -> None:
    rollcall.put_in((joined(sid=f"PA_{n}") for n in range(2_000)), status="failed")
    with a_worker_alive(settings.redis_url):
        process = run("events", "replay", "--json", settings=settings)
        wait_for(lambda: count(rollcall, "pending") == pacing.AHEAD * draining.BATCH)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "Run it again to go on." in errors
    assert json.loads(output)["rung"] == 1_500
    assert count(rollcall, "failed") == 500
    with working(settings):
        said = terminal.json("events", "replay")
    assert (said["matched"], said["applied"]) == (500, 500)
    wait_for(lambda: count(rollcall, "applied") == 2_000)


@on_sqlite
def test_a_stopped_replay_of_single_events_is_just_run_again(
    rollcall: Rollcall, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollcall.put_in([joined(event_id="one")], status="applied")
    monkeypatch.setattr(replay, "replay", interrupted(replay.replay))
    result = terminal("events", "replay", "one")
    assert result.exit_code == 130
    assert "Stopped. Run it again to go on." in result.stderr
    result = terminal("events", "replay", "--status=applied")
    assert result.exit_code == 0, "there is none left"


def interrupted(steps: Callable[..., Iterator[T]]) -> Callable[..., Iterator[T]]:
    """The same steps, with Ctrl-C pressed after the first."""

    def pressed(*args: Any, **options: Any) -> Iterator[T]:
        for number, step in enumerate(steps(*args, **options)):
            if number == 0:
                signal.raise_signal(signal.SIGINT)
            yield step

    return pressed


def run(
    *words: str, settings: Settings, stdin: int | None = None, stdout: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    names = ("livekit_api_key", "livekit_api_secret", "database_url", "redis_url")
    environment = os.environ | {name.upper(): str(getattr(settings, name)) for name in names}
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "webhooks.cli.commands", *words],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
