"""Logs: one JSON line an event, and in none of them a body, a token, a name or a user id.

Real processes with the real configuration, at the level that says most.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from subprocess import PIPE
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis
from sqlalchemy import update

from models.settings.settings import Settings
from models.storage import db
from models.tables.session import sessions
from tests.build import captured, captures, joined, signed, webhook
from tests.doors import Rollcall, ago, bearer, on_postgresql, on_sqlite, ops_token, token, wait_for
from tests.faults import free_port
from tests.processes import environment, listens, running
from worker.inbox import workers

Line = dict[str, Any]

NAME, USER = "Aisha bint Private", "user-private-5"
SECRETS = {NAME, USER, "turn-secret", "devsecret", "eyJ"}
"""The last is what every token begins with."""


class Web:
    """A web process and a worker; the first is spoken to over the wire."""

    def __init__(self, connection: HTTPConnection, end: Callable[[], None]) -> None:
        self.connection = connection
        self.end = end
        """A process has written all that it had to say when it has ended."""
        self.tokens: set[str] = set()

    def ask(self, method: str, path: str, of: str | None = None, body: bytes = b"") -> bytes:
        headers = {} if of is None else bearer(of)
        self.tokens |= {of} if of else set()
        self.connection.request(method, path, body, headers)
        return self.connection.getresponse().read()

    def livekit(self, body: bytes, signature: str) -> int:
        self.tokens.add(signature)
        self.connection.request("POST", "/webhooks/livekit", body, {"Authorization": signature})
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def send(self, told: dict[str, Any] | bytes) -> int:
        return self.livekit(*signed(told))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def web(settings: Settings, tmp_path: Path, log: Path) -> Iterator[Web]:
    """A web process and a worker on the test's own servers."""
    port = free_port()
    env = environment(settings, tmp_path, PORT=str(port), LOG_LEVEL="debug")
    with ExitStack() as stack:
        for module in ("webhooks", "worker"):
            stack.enter_context(running(module, env, log=log))
        wait_for(lambda: listens(port))
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        yield Web(stack.enter_context(closing(connection)), stack.close)


def lines(log: Path) -> list[Line]:
    """What was logged: every line must be JSON."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def said(log: Path, message: str) -> list[Line]:
    return [line for line in lines(log) if line["message"] == message]


def words_of_the_captures() -> set[str]:
    """Every name, identity, secret and token of the recordings that is no common word."""
    found: set[str] = set()
    for name in captures():
        for post in captured(name):
            payload = json.loads(post.body)
            participant = payload.get("participant", {})
            found |= {participant.get(word, "") for word in ("identity", "name", "metadata")}
            found |= set(participant.get("attributes", {}).values())
            found |= {payload["room"].get("turnPassword", ""), post.token}
    return {word for word in found if len(word) > 3}


def leaks(log: Path, words: set[str]) -> set[str]:
    """Which of these words stand anywhere in the log, written plainly or as JSON escapes."""
    text = log.read_text(encoding="utf-8")
    text += "\n".join(str(line) for line in lines(log))
    written = {word: (word, json.dumps(word)[1:-1], repr(word)[1:-1]) for word in words}
    return {word for word, ways in written.items() if any(way in text for way in ways)}


# --- nothing leaks --------------------------------------------------------------------------------


@on_sqlite
def test_the_recordings_leave_no_word_of_theirs_in_any_line(
    rollcall: Rollcall, web: Web, log: Path
) -> None:
    posted = [post.body for name in captures() for post in captured(name)]
    assert {web.send(body) for body in posted} == {204}
    wait_for(lambda: {row["status"] for row in rollcall.ledger()} == {"applied"})
    wait_for(lambda: sum(line["count"] for line in said(log, "events.applied")) > 0)
    stored = len([one for one in posted if b'"track_' not in one])
    web.end()
    assert len(said(log, "webhook.received")) == stored
    assert leaks(log, words_of_the_captures() | web.tokens | SECRETS) == set()


@on_sqlite
def test_neither_do_those_who_ask_join_leave_or_err(
    rollcall: Rollcall, web: Web, log: Path
) -> None:
    mine, admin, ops = token(USER), token("t-private", roomAdmin=True), ops_token()
    body = json.dumps({"session_id": "quran-98", "name": NAME}).encode()
    visit = json.loads(web.ask("POST", "/api/sessions/meeting/join", mine, body))["visit"]
    leave = {"session_id": "quran-98", "visit": visit, "access_token": mine}
    for told in (leave, leave | {"visit": f"VI_{USER}"}, leave | {"access_token": f"{mine}x"}):
        web.ask("POST", "/api/sessions/meeting/leave", body=json.dumps(told).encode())
    for path in ("attendance-status", f"attendance-status?user_id={USER}", "attendance"):
        for of in (mine, admin, ops, f"{mine}x", None):
            web.ask("GET", f"/api/sessions/quran-98/{path}", of)
    web.ask("PUT", "/api/sessions/98", ops, json.dumps({"expected": [{"name": NAME}]}).encode())
    web.ask("GET", f"/nowhere/{quote(NAME)}", mine)
    web.ask("POST", "/api/sessions/meeting/join", mine, b'{"name": "' + NAME.encode())

    rollcall.put_in([joined(user=USER, name=NAME, sid="PA_2")], source="martian")
    told = webhook(joined(ago(1), user=USER, name=NAME))
    genuine = signed(told)
    assert web.livekit(*genuine) == web.livekit(*genuine) == 204
    assert web.livekit(genuine[0] + b" ", genuine[1]) == 401
    assert web.send(told | {"id": None}) == web.send(NAME.encode()) == 400
    assert web.send(told | {"event": "track_published"}) == 204
    wait_for(lambda: said(log, "event.failed") and said(log, "events.applied"))
    web.end()
    assert leaks(log, web.tokens | SECRETS | {"private"}) == set()
    assert {
        "webhook.received",
        "webhook.rejected",
        "webhook.unreadable",
        "join.recorded",
        "leave.recorded",
        "status.served",
        "events.applied",
        "event.failed",
    } <= {line["message"] for line in lines(log)}


def test_neither_does_a_mistake_of_ours(rollcall: Rollcall, web: Web, log: Path) -> None:
    rollcall.put("98", room_name="quran-98")
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(sessions).values(expected=[{NAME: USER}]))
    answer = json.loads(web.ask("GET", "/api/sessions/98/attendance", ops_token()))
    assert answer["status"] == 500
    web.end()
    [line] = said(log, "request.failed")
    assert line["error"] == "TypeError"
    assert "models/tables/session.py" in line["exception"], "where it happened is told"
    assert leaks(log, SECRETS) == set()


@on_postgresql
def test_neither_does_what_a_database_says_of_a_row_that_it_refuses(
    rollcall: Rollcall, web: Web, log: Path
) -> None:
    """PostgreSQL's error quotes the whole row."""
    refuse = "ALTER TABLE cycles ADD CONSTRAINT refuse CHECK (user_id <> 'user-private-5')"
    with db.writing(rollcall.backend.engine) as conn:
        conn.exec_driver_sql(refuse)
    try:
        body = json.dumps({"session_id": "quran-98", "name": NAME}).encode()
        answer = json.loads(web.ask("POST", "/api/sessions/meeting/join", token(USER), body))
        assert answer["status"] == 500
        web.send(webhook(joined(ago(1), user=USER, name=NAME)))
        wait_for(lambda: said(log, "event.failed"))
    finally:
        with db.writing(rollcall.backend.engine) as conn:
            conn.exec_driver_sql("ALTER TABLE cycles DROP CONSTRAINT refuse")
    web.end()
    [line] = said(log, "request.failed")
    assert line["error"] == "IntegrityError"
    assert leaks(log, SECRETS) == set()


# --- what is said ---------------------------------------------------------------------------------


@on_sqlite
def test_each_event_has_the_fields_that_it_promises(
    rollcall: Rollcall, web: Web, log: Path
) -> None:
    event = joined(ago(1))
    retry = signed(webhook(event))
    web.livekit(*retry)
    web.livekit(*retry)
    web.livekit(b"", "garbage")
    body = json.dumps({"session_id": "quran-98"}).encode()
    web.ask("POST", "/api/sessions/meeting/join", token(), body)
    wait_for(lambda: said(log, "events.applied"))
    web.end()
    first, second = said(log, "webhook.received")
    assert (first["event_id"], first["event"]) == (event.event_id, "participant_joined")
    assert first["room"] == "RM_1"
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["ms"] > 0
    [rejected] = said(log, "webhook.rejected")
    assert rejected["reason"] == "malformed"
    [applied] = said(log, "events.applied")
    assert (applied["count"], applied["failed"]) == (1, 0)
    assert applied["ms"] > 0
    [recorded] = said(log, "join.recorded")
    assert recorded["session_id"].startswith("quran-98@")
    assert recorded["cache_cleared"] is True
    for line in lines(log):
        assert {"level", "timestamp", "message"} <= set(line)


@on_sqlite
@pytest.mark.parametrize(
    ("module", "process"),
    [("webhooks", "web"), ("worker", "worker"), ("worker.schedule", "scheduler")],
)
def test_each_process_says_when_it_starts_and_when_it_stops(
    settings: Settings, log: Path, tmp_path: Path, module: str, process: str
) -> None:
    port = free_port()
    env = environment(settings, tmp_path, PORT=str(port), LOG_LEVEL="info", LOG_FORMAT="json")
    with running(module, env, log=log), Redis.from_url(settings.redis_url) as redis:
        wait_for(
            lambda: listens(port) or workers.alive(redis) or workers.schedulers(redis)
        )  # before that it has no way to stop in good order
    [started] = said(log, "process.started")
    assert started["process"] == process
    connects_to = started.get("database", "")
    assert connects_to.partition(":")[0] == ("" if process == "scheduler" else "sqlite")
    assert started["redis"] == re.sub("//.*@", "//", settings.redis_url), "without its password"
    assert started["settings"]["port"] == port
    assert settings.livekit_api_secret not in log.read_text()
    [stopped] = said(log, "process.stopped")
    assert stopped["process"] == process


@on_sqlite
def test_a_port_in_use_is_a_sentence(settings: Settings, log: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running("webhooks", environment(settings, tmp_path, PORT=str(port)), log=log) as web:
            assert web.wait(60) == 1
    assert log.read_text().splitlines() == [
        f"Port {port} can't be listened on: Address already in use. Set PORT to another one."
    ]


# --- nowhere to write -----------------------------------------------------------------------------

LOSING = """
import os, sys, structlog
from models.settings.settings import load
from worker.process import log_writer, logs

log_writer.MOST = 3
logs.configure(load(), aside=sys.argv[1] == "aside")
log = structlog.get_logger()
good, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
os.dup2(full, 2)
for number in range(10):
    log.info("said")
os.dup2(good, 2)
log.info("said")
"""
REPEATING = """
from threading import Event
from models.settings.settings import load
from worker.process import logs, periodic

logs.configure(load())
done, rounds = Event(), []

def work():
    rounds.append(1)
    if len(rounds) == 3:
        done.set()
    raise TimeoutError

with periodic.going("test", load(), lambda _: work, every=0.01, expected=(TimeoutError,)):
    print("rounds go on" if done.wait(60) else "they ended")
"""
ENDING = """
from threading import Thread
from models.settings.settings import load
from worker.process import logs

def fail():
    raise ValueError("user-private-5")

logs.configure(load())
Thread(target=fail, name="failing").start()
"""


def run(script: str, settings: Settings, home: Path, log: Path, *arguments: str) -> str:
    """What a process of ours with this code and this log prints."""
    command = [sys.executable, "-c", script, *arguments]
    env = environment(settings, home, LOG_LEVEL="info", LOG_FORMAT="json")
    with log.open("a") as stderr:
        ended = subprocess.run(command, env=env, stdout=PIPE, stderr=stderr, check=True, text=True)
    return ended.stdout


@on_sqlite
@pytest.mark.parametrize("how", ["aside", "plainly"])
def test_lines_that_a_full_disk_did_not_take_are_counted_in_one(
    settings: Settings, tmp_path: Path, log: Path, how: str
) -> None:
    run(LOSING, settings, tmp_path, log, how)
    [lost] = said(log, "log.lost")
    assert lost["level"] == "error"
    assert lost["count"] + len(said(log, "said")) == 11


@on_sqlite
def test_a_full_disk_does_not_end_what_the_scheduler_does_again_and_again(
    settings: Settings, tmp_path: Path
) -> None:
    assert run(REPEATING, settings, tmp_path, Path("/dev/full")) == "rounds go on\n"


@on_sqlite
def test_a_thread_that_ends_of_an_error_is_a_line_without_the_error_s_words(
    settings: Settings, tmp_path: Path, log: Path
) -> None:
    run(ENDING, settings, tmp_path, log)
    [ended] = said(log, "thread.ended")
    assert (ended["thread"], ended["level"]) == ("failing", "error")
    assert ended["exception"].endswith("builtins.ValueError")
    assert leaks(log, SECRETS | {"private"}) == set()


@on_sqlite
@pytest.mark.parametrize("nowhere", ["a full disk", "a reader that is gone"])
def test_a_worker_whose_log_can_not_be_written_goes_on_draining(
    rollcall: Rollcall, settings: Settings, tmp_path: Path, log: Path, nowhere: str
) -> None:
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    env = environment(settings, tmp_path, LOG_LEVEL="debug")
    with running("worker", env, log=Path("/dev/full") if nowhere == "a full disk" else log):
        wait_for(lambda: workers.alive(rollcall.backend.redis))
        os.close(reader)
        for number in range(3):
            rollcall.send(joined(ago(1), event_id=f"EV_{number}", sid=f"PA_{number}"))
            wait_for(lambda: {row["status"] for row in rollcall.ledger()} == {"applied"})
