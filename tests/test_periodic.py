"""The rounds: what the scheduler does again and again beside RQ's cron."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from models.settings.settings import Settings
from tests.doors import on_sqlite
from worker.process import periodic, threads
from worker.process.backend import Backend


@on_sqlite
def test_rounds_go_on_after_one_that_failed(settings: Settings) -> None:
    errors = [RedisError("expected"), ZeroDivisionError("not expected")]
    done = threading.Event()

    def one() -> None:
        if errors:
            raise errors.pop(0)
        done.set()

    with capture_logs() as logs:
        make = lambda _: one  # noqa: E731
        with periodic.going("test", settings, make, every=0.01, expected=(RedisError,)):
            assert done.wait(60)
    said = [(log["event"], log["log_level"]) for log in logs]
    assert said[:2] == [("test.failed", "warning"), ("test.failed", "error")]


@on_sqlite
def test_rounds_begin_though_what_they_need_could_not_be_made_at_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "AGAIN_SECONDS", 0.01)
    errors, done = [ZeroDivisionError("not expected")], threading.Event()

    def make(_: Backend) -> Callable[[], None]:
        if errors:
            raise errors.pop()
        return done.set

    with capture_logs() as logs, periodic.going("test", settings, make, every=0.01, expected=()):
        assert done.wait(60)
    assert [(each["event"], each["thread"]) for each in logs] == [("thread.failed", "test")]
