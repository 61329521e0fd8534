"""Stops under load: asked to stop or killed, nothing acknowledged is lost or counted twice."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from subprocess import Popen

import psutil
import pytest
from sqlalchemy import func, select
from yarl import URL

from models.domain import event
from models.domain.json_fields import EPOCH
from models.settings.settings import Settings
from models.storage import db
from models.tables import cycle, pending_event, webhook_event
from models.tables.webhook_event import LEDGER, STATUS, webhook_events
from tests import build
from tests.build import KEY, SECRET
from tests.chaos import truth
from tests.doors import Rollcall, on_postgresql, on_sqlite
from tests.faults import free_port, until
from tests.processes import answers, environment, listens, running
from webhooks.simulator.plan import Plan, plan_classes
from webhooks.simulator.sender import WALL_CLOCK, Tally, Target, sending
from worker.inbox import bell, workers
from worker.jobs import draining
from worker.process.backend import Backend

CLIENTS = 6


class Senders:
    """LiveKit's rooms: each posts one event after another on a connection that it keeps."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.acknowledged: set[str] = set()
        self.outcomes: Counter[str] = Counter()
        self._lock, self._done = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(CLIENTS)]

    @contextmanager
    def sending(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in self._threads:
                thread.join()

    def _send(self, room: int) -> None:
        connection, number = self._connection(), 0
        while not self._done.is_set():
            number += 1
            event_id = f"EV_{room}_{number}"
            outcome = self._post(connection, room, event_id)
            if outcome != "acknowledged":
                connection.close()
            with self._lock:
                self.outcomes[outcome] += 1
                if outcome == "acknowledged":
                    self.acknowledged.add(event_id)

    def _connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def _post(self, connection: HTTPConnection, room: int, event_id: str) -> str:
        told = build.joined(
            at=datetime.now(UTC),
            sid=f"PA_{event_id}",
            user=f"pupil-{room}",
            room=f"RM_{room}",
            room_name=f"class-{room}",
            event_id=event_id,
        )
        body, token = build.signed(build.webhook(told))
        try:
            if connection.sock is None:
                connection.connect()
        except OSError:
            return "refused"  # nobody listens: LiveKit tries again
        try:
            connection.request("POST", "/webhooks/livekit", body, {"Authorization": token})
            answer = connection.getresponse()
            answer.read()
        except (HTTPException, OSError):
            return "cut"
        return "acknowledged" if answer.status == 204 else f"answered {answer.status}"


@pytest.mark.parametrize(("processes", "children"), [(1, 0), (2, 2)])
def test_a_web_process_that_is_asked_to_stop_finishes_what_it_took(
    settings: Settings, backend: Backend, tmp_path: Path, processes: int, children: int
) -> None:
    port = free_port()
    senders = Senders(port)
    env = environment(
        settings, tmp_path, PORT=str(port), WEB_PROCESSES=str(processes), LOG_LEVEL="warning"
    )
    with running("webhooks", env) as web:
        until(lambda: listens(port))
        with senders.sending():
            until(lambda: len(senders.acknowledged) > 100)
            assert len(psutil.Process(web.pid).children()) == children
            web.terminate()
            assert web.wait(timeout=30) == 0
            until(lambda: senders.outcomes["refused"] > 0)
    with db.reading(backend.engine) as conn:
        stored = set(conn.execute(select(webhook_events.c.event_id)).scalars())
    assert senders.acknowledged <= stored
    assert set(senders.outcomes) <= {"acknowledged", "refused", "cut"}
    # A connection may be closed under a request that was on its way; none that was read is cut.
    assert stored <= senders.acknowledged


@on_sqlite
@pytest.mark.skipif(sys.platform != "linux", reason="Linux signals a single thread")
@pytest.mark.parametrize(
    ("processes", "which", "status"), [("1", "itself", 0), ("2", "itself", 0), ("2", "child", 1)]
)
def test_a_web_process_hears_a_sigterm_for_which_nobody_woke_its_main_thread(
    settings: Settings, tmp_path: Path, processes: str, which: str, status: int
) -> None:
    """As one that comes just before that thread begins to wait: here another thread is told."""
    port = free_port()
    env = environment(
        settings, tmp_path, PORT=str(port), WEB_PROCESSES=processes, LOG_LEVEL="warning"
    )
    with running("webhooks", env) as web:
        until(lambda: answers(port))
        itself = psutil.Process(web.pid)
        told = itself if which == "itself" else itself.children()[0]
        other = next(thread.id for thread in told.threads() if thread.id != told.pid)
        assert ctypes.CDLL(None).tgkill(told.pid, other, signal.SIGTERM) == 0
        assert web.wait(timeout=30) == status


def test_a_killed_worker_s_batch_is_applied_by_the_next_one(
    settings: Settings, backend: Backend, tmp_path: Path
) -> None:
    people = 3 * draining.BATCH
    _fill_inbox(backend, people)
    env = environment(settings, tmp_path, LOG_LEVEL="warning")

    def applied() -> int:
        statement = select(func.count()).select_from(LEDGER).where(STATUS == "applied")
        with db.reading(backend.engine) as conn:
            return conn.execute(statement).scalar_one()

    with running("worker.schedule", env):
        with running("worker", env) as worker:
            until(lambda: applied() > 0)
            worker.kill()
        assert applied() <= people
        with running("worker", env):
            until(lambda: applied() == people)
    with db.reading(backend.engine) as conn:
        assert cycle.open_count(conn, since=EPOCH) == people


@on_postgresql
def test_a_rolling_restart_while_classes_begin_drops_no_event(
    rollcall: Rollcall, settings: Settings, tmp_path: Path
) -> None:
    """Each process is stopped and started again, while LiveKit sends by its own rules."""
    port, rooms = free_port(), [f"class-{number}" for number in range(20)]
    env = environment(settings, tmp_path, PORT=str(port), LOG_LEVEL="warning")
    for room in rooms:
        rollcall.put(room)

    tally = Tally()

    def restart(parts: dict[str, Popen[bytes]], until_over: ExitStack) -> None:
        until(lambda: len(tally.acknowledged_ids) > len(rooms))
        for name, process in parts.items():
            process.terminate()
            assert process.wait(timeout=30) == 0
            until_over.enter_context(running(name, env))
            until(lambda: listens(port))

    async def classes(plan: Plan, restarting: Callable[[], None]) -> None:
        target = Target(URL(f"http://127.0.0.1:{port}/webhooks/livekit"), key=KEY, secret=SECRET)
        async with sending(target, tally=tally) as sender:
            over = asyncio.create_task(asyncio.to_thread(restarting))
            for event in plan.events:
                await WALL_CLOCK.until(event.at)
                sender.offer(event)
            await over

    with ExitStack() as until_over:
        parts = {
            name: until_over.enter_context(running(name, env))
            for name in ("webhooks", "worker", "worker.schedule")
        }
        until(lambda: listens(port))
        now, lasting = datetime.now(UTC), timedelta(seconds=20)
        plan = plan_classes(rooms, people=6, lasting=lasting, seed=1, starts_at=now, speed=5)
        asyncio.run(classes(plan, partial(restart, parts, until_over)))
        until(lambda: _is_applied(rollcall.backend))
    report = tally.report(events=len(plan.events), wall_seconds=0)
    assert (report.acknowledged, report.retried > 0) == (len(plan.events), True)
    stored = truth.ledger(rollcall.backend)
    assert list(truth.unlike_ledger(stored, plan, set(report.acknowledged_ids))) == []
    assert list(truth.unlike_rosters(rollcall.client, stored, plan)) == []


def _is_applied(backend: Backend) -> bool:
    with db.reading(backend.engine) as conn:
        return pending_event.oldest(conn) is None


def _fill_inbox(backend: Backend, people: int) -> None:
    now = datetime.now(UTC)
    rows = []
    for number in range(people):
        joined = build.joined(
            at=now, sid=f"PA_{number}", user=f"u{number}", room=f"RM_{number % 7}"
        )
        payload = event.redact(build.webhook(joined))
        rows.append(webhook_event.pending_row(joined, payload, received_at=now))
    with db.writing(backend.engine) as conn:
        webhook_event.insert_rows(conn, rows)


def test_a_worker_is_known_to_be_alive_again_after_redis_was_wiped(
    settings: Settings, backend: Backend, tmp_path: Path
) -> None:
    with running("worker", environment(settings, tmp_path, LOG_LEVEL="warning")):
        until(lambda: workers.alive(backend.redis) == 1)
        backend.redis.flushall()
        assert workers.alive(backend.redis) == 0
        bell.ring(backend.redis)
        until(lambda: workers.alive(backend.redis) == 1)


@on_sqlite
def test_a_web_process_that_is_killed_leaves_nobody_on_its_port(
    settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    with running("webhooks", environment(settings, tmp_path, PORT=str(port))) as web:
        until(lambda: listens(port))
        web.kill()
        until(lambda: not listens(port))
