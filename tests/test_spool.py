"""The spool: whatever stands in it, what can be stored is stored, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest
from flask import Flask
from structlog.testing import capture_logs

from models.settings.settings import Settings
from models.tables.webhook_event import pending_row
from tests.build import joined, webhook
from tests.doors import Rollcall, Row, ago, on_postgresql, on_sqlite, wait_for
from tests.test_doctor import examined, line
from tests.test_not_taken import execute
from webhooks.door.context import EXTENSION
from worker.inbox import spool, spool_copier
from worker.inbox.spool_copier import SpoolCopier
from worker.operations import erase

GARBAGE = {
    "no JSON": {spool.FIELD: b"no JSON"},
    "no object": {spool.FIELD: b"[1, 2]"},
    "no row": {b"another": b"field"},
    "no time": {spool.FIELD: b'{"event_id": "EV_X", "received_at": "today"}'},
    "a number for a time": {spool.FIELD: b'{"event_id": "EV_X", "received_at": 5}'},
}
REFUSED = {
    "nothing": b"{}",
    "a time without a zone": b'{"event_id": "EV_X", "created_at": "2026-11-29T10:00:00",'
    b' "received_at": "2026-11-29T10:00:00+00:00", "event": "room_started", "payload": {}}',
    "attempts in words": b'{"event_id": "EV_X", "received_at": "2026-11-29T10:00:00+00:00",'
    b' "attempts": "many"}',
}


@pytest.fixture(autouse=True)
def workers_alone(app: Flask) -> None:
    """No thread of the web process copies the spool while a test looks at it."""
    app.extensions[EXTENSION].spool_copier.stop()


def a_row(number: int) -> Row:
    event = joined(ago(number), sid=f"PA_{number}", event_id=f"EV_{number}")
    return pending_row(event, webhook(event), received_at=ago())


def put(rollcall: Rollcall, fields: dict[bytes, bytes]) -> str:
    """An entry as anybody may write it; its id."""
    entry = rollcall.backend.redis.xadd(spool.SPOOL, fields)  # type: ignore[arg-type]
    assert isinstance(entry, bytes)
    return entry.decode()


def stored(rollcall: Rollcall) -> set[str]:
    return {row["event_id"] for row in rollcall.ledger() if row["status"] == "applied"}


@contextmanager
def copying(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpoolCopier]:
    monkeypatch.setattr(spool_copier, "EVERY_SECONDS", 0.01)
    copier = SpoolCopier(settings, lambda: None)
    copier.start()
    yield copier
    copier.stop()


def test_what_a_newer_version_spooled_is_applied_without_the_columns_that_are_not_known(
    rollcall: Rollcall,
) -> None:
    newer = f"newer_{rollcall.backend.engine.name}"  # each process says each once
    put(rollcall, {spool.FIELD: orjson.dumps(a_row(1) | {newer: {"of": "much"}})})
    spool.add(rollcall.backend.redis, a_row(2))
    with capture_logs() as logs:
        assert rollcall.drain() == 2
    assert stored(rollcall) == {"EV_1", "EV_2"}
    assert spool.length(rollcall.backend.redis) == 0
    said = [each["columns"] for each in logs if each["event"] == "spool.columns_left_out"]
    assert said == [(newer,)]


@pytest.mark.parametrize("fields", GARBAGE.values(), ids=GARBAGE)
def test_an_entry_that_can_not_be_read_holds_up_no_other_and_stays(
    rollcall: Rollcall, fields: dict[bytes, bytes]
) -> None:
    rollcall.put_in([joined(event_id="EV_0")])
    spool.add(rollcall.backend.redis, a_row(1))
    entry = put(rollcall, fields)
    spool.add(rollcall.backend.redis, a_row(2))
    assert rollcall.drain() == 3
    assert stored(rollcall) == {"EV_0", "EV_1", "EV_2"}
    assert spool.unreadable(rollcall.backend.redis) == [entry]


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_neither_does_a_row_of_which_nothing_can_be_made(rollcall: Rollcall, row: bytes) -> None:
    spool.add(rollcall.backend.redis, a_row(1))
    put(rollcall, {spool.FIELD: row})
    spool.add(rollcall.backend.redis, a_row(2))
    assert rollcall.drain() == 2
    assert stored(rollcall) == {"EV_1", "EV_2"}
    assert spool.length(rollcall.backend.redis) == 1


@on_sqlite
def test_an_entry_that_can_not_be_read_is_said_once_and_the_doctor_names_it(
    rollcall: Rollcall, app: Flask
) -> None:
    entry = put(rollcall, GARBAGE["no JSON"])
    with capture_logs() as logs:
        for _ in range(3):
            spool.copy(rollcall.backend)
    assert [each["entry"] for each in logs if each["event"] == "spool.unreadable"] == [entry]
    seen = line(examined(app), "spool")
    assert seen.startswith("NOT")
    assert f"XRANGE rollcall:spool {entry} {entry}" in seen


@on_postgresql
def test_a_row_that_the_database_refuses_is_said_once_and_the_doctor_names_it(
    rollcall: Rollcall, app: Flask, postgres_url: str
) -> None:
    spool.add(rollcall.backend.redis, a_row(1))
    good = "ALTER TABLE webhook_events ADD CONSTRAINT good CHECK (event_id <> 'EV_1')"
    execute(postgres_url, good)
    try:
        with capture_logs() as logs:
            for _ in range(3):
                assert spool.copy(rollcall.backend) == 0
    finally:
        execute(postgres_url, "ALTER TABLE webhook_events DROP CONSTRAINT good")
    [refused] = [each for each in logs if each["event"] == "spool.refused"]
    seen = line(examined(app), "spool")
    assert seen.startswith("NOT")
    assert f"{refused['entry']}: " in seen
    assert "SQLSTATE 23514" in seen


@on_sqlite
def test_a_copier_goes_on_after_any_error_and_says_each_once(
    rollcall: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, errors = spool.copy, [KeyError("a mistake of ours")] * 3

    def failing(*args: object) -> int:
        if errors:
            raise errors.pop()
        return copy(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(spool, "copy", failing)
    spool.add(rollcall.backend.redis, a_row(1))
    with capture_logs() as logs, copying(settings, monkeypatch):
        wait_for(lambda: spool.length(rollcall.backend.redis) == 0)
    said = [each for each in logs if each["event"] == "spool.waiting"]
    assert [(each["reason"], each["exc_info"]) for each in said] == [("KeyError", True)]


@on_sqlite
def test_a_drain_applies_what_is_stored_whatever_the_spool_comes_to(
    rollcall: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(spool, "copy", fail)
    rollcall.put_in([joined(event_id="EV_0")])
    assert rollcall.drain() == 1


@on_sqlite
def test_a_whole_batch_that_stays_hides_nothing_behind_it(
    rollcall: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BATCH", 2)
    for _ in range(3):
        put(rollcall, GARBAGE["no JSON"])
    for number in range(5):
        spool.add(rollcall.backend.redis, a_row(number))
    assert rollcall.drain() == 5
    assert spool.length(rollcall.backend.redis) == 3


@on_sqlite
def test_an_erasure_fetches_all_that_can_be_stored(
    rollcall: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BATCH", 2)
    put(rollcall, GARBAGE["no JSON"])
    for number in range(5):
        spool.add(rollcall.backend.redis, a_row(number))
    erase.fetch(rollcall.backend)
    assert spool.length(rollcall.backend.redis) == 1
