"""Threads beside a process's own work: whatever is raised in them, they go on."""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from models.settings.settings import Settings
from tests.build import KEY, joined
from tests.doors import Rollcall, on_postgresql, on_sqlite, wait_for
from tests.test_not_taken import execute
from worker.inbox import rejections
from worker.inbox.rejections import Rejections
from worker.jobs.local_drain import LocalDrain
from worker.process import threads
from worker.process.backend import Backend
from worker.process.threads import LastingThread


@contextmanager
def no_new_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system has no more of them for this process."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading, "_start_new_thread", refuse)
        yield


@contextmanager
def another_schema(url: str) -> Iterator[None]:
    """A column has another name: a migration is ahead of this code."""
    execute(url, "ALTER TABLE webhook_events RENAME COLUMN replayed_at TO renamed")
    try:
        yield
    finally:
        execute(url, "ALTER TABLE webhook_events RENAME COLUMN renamed TO replayed_at")


@contextmanager
def a_local_drain(settings: Settings) -> Iterator[LocalDrain]:
    drain = LocalDrain(settings)
    yield drain
    drain.stop()


def all_applied(rollcall: Rollcall) -> bool:
    return {row["status"] for row in rollcall.ledger()} == {"applied"}


@pytest.mark.parametrize("error", [ZeroDivisionError("a mistake of ours"), CancelledError()])
def test_work_that_failed_begins_anew_and_says_why(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "AGAIN_SECONDS", 0.01)
    errors = [error]

    def work() -> None:
        if errors:
            raise errors.pop()

    with capture_logs() as logs:
        thread = LastingThread("test", work)
        thread.start()
        thread.join()
    assert not errors
    [line] = logs
    assert (line["event"], line["thread"], line["exc_info"]) == ("thread.failed", "test", True)


def test_a_thread_that_the_system_did_not_give_is_started_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = threading.Event()
    thread = LastingThread("test", done.set)
    with no_new_threads(monkeypatch), pytest.raises(RuntimeError):
        thread.start()
    thread.start()
    assert done.wait(60)


@on_postgresql
def test_a_local_drain_goes_on_after_an_error_that_nobody_expected(
    rollcall: Rollcall, settings: Settings, postgres_url: str
) -> None:
    rollcall.put_in([joined()])
    with a_local_drain(settings) as drain:
        with another_schema(postgres_url), capture_logs() as logs:
            drain.wake()
            wait_for(lambda: [line for line in logs if line["event"] == "thread.failed"])
        wait_for(lambda: all_applied(rollcall))


@on_postgresql
def test_a_local_drain_without_a_thread_drains_with_the_next_mail(
    rollcall: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollcall.put_in([joined()])
    with a_local_drain(settings) as drain:
        with no_new_threads(monkeypatch):
            drain.wake()
        drain.wake()
        wait_for(lambda: all_applied(rollcall))


@on_sqlite
def test_refused_webhooks_are_counted_though_the_system_once_gave_no_thread(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejections, "FLUSH_SECONDS", 0.01)
    counted, now = Rejections(backend.redis, backend.keys), datetime.now(UTC)
    with no_new_threads(monkeypatch):
        counted.count("signature", KEY, now=now)
    counted.count("signature", KEY, now=now)
    wait_for(lambda: rejections.refused(backend.redis, now=now).last_hour["signature", KEY] == 2)
    counted.count("signature", KEY, now=now)
    wait_for(lambda: rejections.refused(backend.redis, now=now).last_hour["signature", KEY] == 3)
