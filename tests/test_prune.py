"""The prune: what was applied and kept long enough goes, and the ledger tells since when it is
whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rq.timeouts import JobTimeoutException
from sqlalchemy import update

from models.domain.event import Event
from models.ledger import retention
from models.settings.settings import Settings
from models.storage import db
from models.tables import revision
from models.tables.webhook_event import webhook_events
from tests.build import joined, left
from tests.doors import Rollcall, a_worker, ago, on_postgresql, on_sqlite, rows, working
from tests.terminal import Terminal
from tests.test_replay import interrupted
from worker import jobs, schedule
from worker.inbox import bell, own_job
from worker.jobs import prune

LONG_AGO = ago(days=40)


def keep(rollcall: Rollcall, told: Iterable[Event], **changes: Any) -> None:
    """Events of long ago, applied long ago."""
    row = {"status": "applied", "received_at": LONG_AGO, "created_at": LONG_AGO}
    rollcall.put_in(told, **row | changes)


def kept(rollcall: Rollcall) -> list[str]:
    return [row["event_id"] for row in rollcall.ledger()]


def watermark(rollcall: Rollcall) -> datetime | None:
    with db.reading(rollcall.backend.engine) as conn:
        return retention.watermark(conn)


def test_only_what_is_old_by_both_clocks_and_done_with_goes(
    rollcall: Rollcall, terminal: Terminal
) -> None:
    for status in ("applied", "ignored", "failed", "pending", "unreadable"):
        keep(rollcall, [joined(event_id=status)], status=status)
    keep(rollcall, [joined(event_id="received lately")], received_at=ago(days=29))
    keep(rollcall, [joined(event_id="ahead of its time")], created_at=ago(days=-3_000))
    stays = ["failed", "pending", "unreadable", "received lately", "ahead of its time"]
    said = terminal.json("events", "prune", "--dry-run")
    assert (said["matched"], said["removed"]) == (2, 0)
    assert len(kept(rollcall)) == 7
    assert watermark(rollcall) is None
    said = terminal.json("events", "prune", "--yes")
    assert (said["matched"], said["removed"]) == (2, 2)
    assert kept(rollcall) == stays
    at = watermark(rollcall)
    assert at is not None
    assert abs(at - ago(days=30)) < timedelta(minutes=1)


def test_the_watermark_never_goes_back(rollcall: Rollcall, terminal: Terminal) -> None:
    keep(rollcall, [joined(event_id="one")])
    terminal.json("events", "prune", "--yes")
    at = watermark(rollcall)
    keep(rollcall, [joined(event_id="two")])
    assert terminal.json("events", "prune", "--yes", "--days=35")["removed"] == 1
    assert watermark(rollcall) == at


def test_it_goes_in_small_batches(rollcall: Rollcall) -> None:
    keep(rollcall, (joined(sid=f"PA_{n}") for n in range(prune.BATCH * 2 + 1)))
    before = prune.bound(rollcall.backend, datetime.now(UTC))
    sizes = list(prune.batches(rollcall.backend, before=before))
    assert sizes == [prune.BATCH, prune.BATCH, 1]


@on_sqlite
def test_ctrl_c_stops_between_two_batches_and_tells_what_is_gone(
    rollcall: Rollcall, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(rollcall, (joined(sid=f"PA_{n}") for n in range(prune.BATCH + 1)))
    monkeypatch.setattr(prune, "batches", interrupted(prune.batches))
    result = terminal("events", "prune", "--yes")
    assert result.exit_code == 130
    assert "Removed 500 events." in result.stdout
    assert "Stopped. Run it again to go on." in result.stderr
    assert len(kept(rollcall)) == 1


@on_postgresql
def test_what_somebody_holds_waits_for_the_next_time(
    rollcall: Rollcall, settings: Settings
) -> None:
    keep(rollcall, [joined(event_id="held"), left(event_id="free")])
    before = prune.bound(rollcall.backend, datetime.now(UTC))
    with a_worker(settings) as other, db.writing(other.engine) as holding:
        held = webhook_events.c.event_id == "held"
        holding.execute(update(webhook_events).where(held).values(attempts=7))
        assert list(prune.batches(rollcall.backend, before=before)) == [1]
    assert kept(rollcall) == ["held"]


@on_sqlite
def test_each_night_one_job_follows_another_until_all_is_gone(
    rollcall: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = prune.BATCH * prune.SLICE
    keep(rollcall, (joined(sid=f"PA_{n}") for n in range(most + 3)))
    queue = bell.queue(rollcall.backend.redis)
    with working(settings, monkeypatch):
        jobs.prune_some()
        assert (len(kept(rollcall)), queue.count) == (3, 1)
        [following] = queue.jobs
        assert following.func_name == "worker.jobs.prune_some"
        jobs.prune_some()
        assert (kept(rollcall), queue.count) == ([], 1)


def raise_long_ago(rollcall: Rollcall, count: int) -> None:
    """Revisions that nobody needs any more."""
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(revision.revisions.delete())
        revision.raise_all(conn, [f"old-{n}" for n in range(count)], now=LONG_AGO)


@on_sqlite
def test_in_a_slow_database_each_job_does_a_little_of_everything(
    rollcall: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does whose batches take longer than a job has for them: it has a time limit."""
    monkeypatch.setattr(prune, "BATCH", 2)
    monkeypatch.setattr(prune, "SLICE_SECONDS", 0.0, raising=False)
    keep(rollcall, (joined(sid=f"PA_{n}") for n in range(3)))
    raise_long_ago(rollcall, 5)
    queue, left_over = bell.queue(rollcall.backend.redis), []
    with working(settings, monkeypatch):
        for _ in range(3):
            jobs.prune_some()
            left_over.append(
                (len(kept(rollcall)), len(rows(rollcall.backend, revision.revisions)), queue.count)
            )
    assert left_over == [(1, 3, 1), (0, 1, 2), (0, 0, 2)], "the last one has no other follow it"


@on_sqlite
def test_the_ledger_is_pruned_though_no_time_is_left_for_the_rest(
    rollcall: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_out(*_: object, **__: object) -> int:
        raise JobTimeoutException

    monkeypatch.setattr(revision, "prune", time_out)
    keep(rollcall, [joined()])
    with working(settings, monkeypatch), pytest.raises(JobTimeoutException):
        jobs.prune_some()
    assert kept(rollcall) == []


@on_sqlite
def test_the_scheduler_has_it_done_once_a_night(settings: Settings) -> None:
    made = schedule.scheduler(settings)
    [nightly] = [job for job in made.get_jobs() if job.func_name == own_job.PRUNE]
    first = nightly.get_next_enqueue_time()
    nightly.set_enqueue_time(first)
    assert nightly.get_next_enqueue_time() - first == timedelta(days=1)
    made.connection.close()


@on_sqlite
def test_nothing_goes_without_somebodys_word(rollcall: Rollcall, terminal: Terminal) -> None:
    keep(rollcall, [joined()])
    assert "Say so with --yes" in terminal.refused("events", "prune")
    assert "0" in terminal.refused("events", "prune", "--days=0")
    assert "1<=x<=36500" in terminal.refused("events", "prune", "--days=99999999")
    assert len(kept(rollcall)) == 1
    assert terminal("events", "prune", "--yes").stdout == "Removed 1 event.\n"
