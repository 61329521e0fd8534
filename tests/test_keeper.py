"""Kept facts: while nothing changes they are read once, and a lost clear is made up for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TypeVar, cast

import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, func, select, text
from sqlalchemy import event as hooks
from structlog.testing import capture_logs

from models.settings.settings import Settings
from models.storage import db
from models.tables import changes
from models.tables.changes import Mark
from tests.build import joined, left
from tests.doors import (
    Rollcall,
    ago,
    aside,
    counting,
    on_postgresql,
    on_sqlite,
    ops_token,
    pausing,
    rows,
    serving,
    token,
    told,
    wait_for,
)
from tests.faults import free_port
from tests.terminal import Terminal
from worker.cache import cache
from worker.cache.cache import Facts
from worker.cache.change import changing
from worker.jobs.keeper import EVERY, Keeper
from worker.process import lease, periodic
from worker.process.backend import Backend
from worker.process.lease import Lease
from worker.process.quick_redis import QuickRedis

T = TypeVar("T")

TTL = 10
CHANGES, VISITS = "FROM changes WHERE", "ORDER BY visits.cycle_id"
PUPILS = [f"pupil-{n}" for n in range(cache.WHOLE_UP_TO)]


@pytest.fixture
def begun(rollcall: Rollcall) -> Rollcall:
    """Person 5 is in session 98, and the keeper was round once."""
    rollcall.put("98", room_name="quran-98")
    rollcall.deliver(joined(ago(12), room_created=ago(15)))
    keep(rollcall)
    return rollcall


def keep(rollcall: Rollcall) -> None:
    """One round of a keeper, such as a scheduler that was just started makes."""
    assert Keeper(rollcall.backend).round()


def read(rollcall: Rollcall, user: str = "5") -> Facts:
    """What a web process finds that looks at the lease right now."""
    return cache.read(replace(rollcall.backend, lease=Lease(TTL)), "98", user)


def outcome(rollcall: Rollcall, user: str = "5") -> str:
    return read(rollcall, user).outcome


def is_inside(rollcall: Rollcall, user: str = "5") -> bool:
    return any(one.left_at is None for one in read(rollcall, user).cycles)


def life_seconds(rollcall: Rollcall, what: str = "facts", name: str = "98") -> float:
    return int(str(rollcall.backend.redis.pttl(cache._key(what, name)))) / 1000


def ends_ms(rollcall: Rollcall) -> int:
    return int(str(rollcall.backend.redis.pexpiretime(cache._key("facts", "98"))))


def epoch(rollcall: Rollcall) -> str:
    held = lease.held(rollcall.backend.redis)
    assert held is not None
    return held.epoch


def goes(rollcall: Rollcall) -> None:
    rollcall.deliver(left(ago(1), joined_at=ago(12)))


@contextmanager
def clears_are_lost(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As when each process is killed right after its commit."""
    with monkeypatch.context() as lost:
        lost.setattr(cache, "clear", lambda *_: False)
        yield


@contextmanager
def held_up(rollcall: Rollcall, call: Callable[[], T], *, after: str) -> Iterator[Future[T]]:
    """The call, which stands still after these words while the test does something else."""
    with pausing(rollcall.backend.engine, after=after) as pause, aside(call) as done:
        pause.wait()
        try:
            yield done
        finally:
            pause.over()


# --- nothing happens ------------------------------------------------------------------------------


def test_facts_outlive_the_cache_s_ten_seconds_while_there_is_a_lease(begun: Rollcall) -> None:
    assert outcome(begun) == "miss"
    assert TTL < life_seconds(begun) <= TTL * cache.KEPT
    with counting(begun.backend.engine) as statements:
        assert outcome(begun) == "hit"
    assert statements == []


def test_many_rounds_leave_what_nothing_changed(begun: Rollcall) -> None:
    outcome(begun)
    for _ in range(5):
        keep(begun)
        assert outcome(begun) == "hit"


def test_a_status_asks_redis_for_the_lease_now_and_then_only(begun: Rollcall) -> None:
    wait_for(lambda: begun.status("98").headers["X-Cache"] == "hit")
    began, before = monotonic(), asked(begun.backend.redis)
    for _ in range(50):
        assert begun.status("98").headers["X-Cache"] == "hit"
    looks = (monotonic() - began) / (TTL * lease.LOOK) + 1
    after = asked(begun.backend.redis)
    assert after["hmget"] - before["hmget"] == 50
    assert after["pttl"] - before["pttl"] <= looks


def asked(redis: Redis) -> dict[str, int]:
    """How often each command was."""
    stats = cast("dict[str, dict[str, int]]", redis.info("commandstats"))
    return {name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("hmget", "pttl")}


def test_what_a_room_s_name_means_is_kept_as_long(begun: Rollcall) -> None:
    name = "quran-98"
    assert [begun.status(name).headers["X-Cache"] for _ in range(2)] == ["miss", "hit"]
    assert TTL < life_seconds(begun, "name", name) <= TTL * cache.KEPT
    begun.backend.redis.delete(lease.KEY)
    assert cache._named(replace(begun.backend, lease=Lease(TTL)), name) is None


@pytest.mark.parametrize("minutes", [-70, -30, 63])
def test_what_time_alone_may_change_is_not_kept_long(begun: Rollcall, minutes: float) -> None:
    """The window of a class begins an hour before it and ends an hour after it."""
    begun.put("99", room_name="quran-98", scheduled_at=ago(-minutes).isoformat())
    begun.status("quran-98")
    assert 0 < life_seconds(begun, "name", "quran-98") <= TTL


def test_what_is_not_there_is_not_kept_long(begun: Rollcall) -> None:
    begun.status("nobody", of=ops_token(), user_id="5")
    assert 0 < life_seconds(begun, "name", "nobody") <= TTL


# --- without a keeper -----------------------------------------------------------------------------


def test_without_a_lease_facts_live_ten_seconds(begun: Rollcall) -> None:
    begun.backend.redis.delete(lease.KEY)
    assert [outcome(begun) for _ in range(2)] == ["miss", "hit"]
    assert 0 < life_seconds(begun) <= TTL


def test_when_the_lease_lapses_kept_facts_are_not_served(begun: Rollcall) -> None:
    assert [outcome(begun) for _ in range(2)] == ["miss", "hit"]
    begun.backend.redis.delete(lease.KEY)
    assert [outcome(begun) for _ in range(2)] == ["miss", "hit"]
    assert life_seconds(begun) <= TTL


def test_who_begins_anew_cannot_tell_what_happened_meanwhile(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_inside(begun)
    before = epoch(begun)
    begun.backend.redis.delete(lease.KEY)
    with clears_are_lost(monkeypatch):
        goes(begun)
    keep(begun)
    assert epoch(begun) != before
    assert not is_inside(begun)


def test_the_lease_lasts_as_long_as_an_answer_may_be_old_at_most(begun: Rollcall) -> None:
    def lasts() -> int:
        return int(str(begun.backend.redis.pttl(lease.KEY)))

    assert 0 < lasts() <= TTL * 1000 * (1 - 2 * lease.LOOK)


# --- lost clears ----------------------------------------------------------------------------------


def test_a_lost_clear_is_made_up_for_by_the_next_round(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_inside(begun)
    with clears_are_lost(monkeypatch):
        goes(begun)
    assert is_inside(begun), "or this test would show nothing"
    keep(begun)
    assert not is_inside(begun)


@pytest.mark.parametrize("door", ["join", "registration", "rebuild", "erasure"])
def test_whatever_changes_facts_says_so_in_its_own_transaction(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch, terminal: Terminal, door: str
) -> None:
    doors: dict[str, Callable[[], object]] = {
        "join": lambda: begun.join("98", of=token("guest")),
        "registration": lambda: begun.put("98", room_name="quran-98", session_type="group"),
        "rebuild": lambda: terminal.json("sessions", "rebuild", "--session=98", "--yes"),
        "erasure": lambda: terminal.json("users", "erase", "5", "--yes"),
    }
    if door == "rebuild":
        with db.writing(begun.backend.engine) as conn:
            conn.execute(text("UPDATE cycles SET name = 'wrong'"))
    assert [outcome(begun) for _ in range(2)] == ["miss", "hit"]
    with clears_are_lost(monkeypatch):
        doors[door]()
    assert outcome(begun) == "hit"
    keep(begun)
    assert outcome(begun) == "miss"


def test_a_change_is_noted_before_the_commit_and_not_after_it(begun: Rollcall) -> None:
    """Or a process that is killed in between would leave no trace."""
    noted: list[int] = []

    def commits(conn: Connection) -> None:
        count = select(func.count()).select_from(changes.changes)
        noted.append(conn.execute(count).scalar_one())

    before = len(rows(begun.backend, changes.changes))
    hooks.listen(begun.backend.engine, "commit", commits)
    try:
        begun.join("98", of=token("guest"))
    finally:
        hooks.remove(begun.backend.engine, "commit", commits)
    assert before + 1 in noted


def test_what_was_rolled_back_is_no_change(begun: Rollcall) -> None:
    before = rows(begun.backend, changes.changes)
    with suppress(ZeroDivisionError), changing(begun.backend) as change:
        change.keys.add("98")
        raise ZeroDivisionError
    assert rows(begun.backend, changes.changes) == before


@on_postgresql
def test_a_transaction_that_was_under_way_in_one_round_is_found_by_the_next(
    begun: Rollcall,
) -> None:
    """Its number is less than that of others, which committed before it."""
    backend = begun.backend
    outcome(begun)
    with db.writing(backend.engine) as slow:
        changes.record(slow, ["98"], now=datetime.now(UTC))
        with db.writing(backend.engine) as quick:
            changes.record(quick, ["other"], now=datetime.now(UTC))
        keep(begun)
        assert outcome(begun) == "hit"
    keep(begun)
    assert outcome(begun) == "miss"


@on_postgresql
def test_a_long_transaction_has_nothing_cleared_twice(begun: Rollcall) -> None:
    backend = begun.backend
    with db.writing(backend.engine) as long:
        changes.record(long, ["other"], now=datetime.now(UTC))
        with db.writing(backend.engine) as quick:
            changes.record(quick, ["98"], now=datetime.now(UTC))
        outcome(begun)
        keep(begun)
        assert [outcome(begun) for _ in range(2)] == ["miss", "hit"]
        keep(begun)
        assert outcome(begun) == "hit"


def test_a_slow_reader_cannot_keep_old_facts_though_the_clear_was_lost(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_up(begun, lambda: is_inside(begun), after=VISITS) as old_answer:
        with clears_are_lost(monkeypatch):
            begun.join("98", of=token("guest"))
        keep(begun)
    assert old_answer.result() is True
    assert outcome(begun) == "miss"


def test_a_change_between_two_looks_of_one_round_is_found_by_the_next(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark tells what that very look saw."""
    assert is_inside(begun)
    with (
        held_up(begun, Keeper(begun.backend).round, after=CHANGES) as slow,
        clears_are_lost(monkeypatch),
    ):
        goes(begun)
    assert slow.result()
    assert is_inside(begun)
    keep(begun)
    assert not is_inside(begun)


def test_facts_that_were_read_before_an_epoch_began_are_not_of_it(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_up(begun, lambda: is_inside(begun), after=VISITS) as old_answer:
        begun.backend.redis.delete(lease.KEY)
        with clears_are_lost(monkeypatch):
            goes(begun)
        keep(begun)
    assert old_answer.result() is True
    assert not is_inside(begun)


def test_facts_that_were_read_long_ago_do_not_live_on_with_others(
    begun: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large session, whose people are filled one by one, and nobody who vouches for it."""
    begun.put_in(joined(ago(9), sid=f"PA_{user}", user=user) for user in PUPILS)
    begun.drain()
    begun.backend.redis.delete(lease.KEY)
    with (
        serving(settings.model_copy(update={"cache_ttl_seconds": 1})) as quick,
        pausing(quick.backend.engine, after="cycles.user_id = ") as pause,
        aside(lambda: told(quick.status("98"))) as old_answer,
    ):
        pause.wait()
        read_at = cache.clock_ms(begun.backend.redis)
        with clears_are_lost(monkeypatch):
            goes(begun)
        wait_for(lambda: cache.clock_ms(begun.backend.redis) - read_at > 1_000)
        outcome(begun, "pupil-1")
        pause.over()
        assert old_answer.result(60)["is_currently_in_meeting"] is True
    assert not is_inside(begun)


# --- Redis and the database lose their memory -----------------------------------------------------


def test_facts_that_come_back_with_an_old_redis_are_not_served(begun: Rollcall) -> None:
    """As by a failover to a replica that lags, or from a snapshot, without the key of the lease."""
    key, redis = cache._key("facts", "98"), begun.backend.redis
    assert is_inside(begun)
    saved = redis.dump(key) or b""
    redis.flushall()
    goes(begun)
    keep(begun)
    redis.restore(key, 100_000, saved)
    assert not is_inside(begun)


def test_a_redis_that_is_set_back_is_told_again_what_it_forgot(begun: Rollcall) -> None:
    """A snapshot has facts, lease and mark of one moment."""
    redis = begun.backend.redis
    assert is_inside(begun)
    saved = {key: redis.dump(key) or b"" for key in redis.keys("rc:*")}
    goes(begun)
    keep(begun)
    assert not is_inside(begun)
    for key, value in saved.items():
        redis.restore(key, 9_000, value, replace=True)
    keep(begun)
    assert not is_inside(begun)


def test_a_database_that_is_set_back_begins_a_new_epoch(begun: Rollcall) -> None:
    began = lease.held(begun.backend.redis)
    assert began is not None
    seen = "999999999:999999999:" if ":" in began.mark.seen else "999999999"
    ahead = replace(began, mark=replace(began.mark, seen=seen))
    begun.backend.redis.set(lease.KEY, str(ahead))
    keep(begun)
    assert epoch(begun) != began.epoch


@on_postgresql
def test_a_database_that_was_started_anew_begins_a_new_epoch(begun: Rollcall) -> None:
    """Its counters may have lost what was not on the disk, and count it again."""
    began = lease.held(begun.backend.redis)
    assert began is not None
    keep(begun)
    assert epoch(begun) == began.epoch
    other = replace(began, mark=replace(began.mark, server="1/1"))
    begun.backend.redis.set(lease.KEY, str(other))
    keep(begun)
    assert epoch(begun) != began.epoch


# --- several keepers ------------------------------------------------------------------------------


def test_a_keeper_that_was_overtaken_grants_nothing(begun: Rollcall) -> None:
    """What the other has seen meanwhile would be taken for unseen, or the other way round."""
    with held_up(begun, Keeper(begun.backend).round, after=CHANGES) as slow:
        begun.join("98", of=token("guest"))
        keep(begun)
        newest = lease.held(begun.backend.redis)
    assert slow.result() is False
    assert lease.held(begun.backend.redis) == newest


def test_a_lease_ends_when_its_look_says_however_late_it_comes(begun: Rollcall) -> None:
    redis = begun.backend.redis
    with held_up(begun, Keeper(begun.backend).round, after=CHANGES) as slow:
        paused, began = cache.clock_ms(redis), monotonic()
        wait_for(lambda: monotonic() - began > 0.3)
    assert slow.result()
    assert int(str(redis.pexpiretime(lease.KEY))) <= paused + TTL * 1000 * lease.LIFE
    late = lease.held(redis)
    assert late is not None
    with redis.pipeline() as pipe:
        lease.grant(pipe, late, after=late, until_ms=cache.clock_ms(redis) - 1)
        pipe.execute()
    assert lease.held(redis) is None


def test_without_redis_a_round_fails_and_nothing_is_granted(
    begun: Rollcall, settings: Settings
) -> None:
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    backend = Backend.of(away)
    with pytest.raises(RedisError):
        Keeper(backend).round()
    backend.close()


# --- the lease as a process knows it --------------------------------------------------------------


def test_a_process_that_cannot_look_goes_on_for_a_moment_only(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        away = QuickRedis.connect(f"redis://127.0.0.1:{free_port()}", timeout=0.25)
        known = Lease(ttl_seconds=1)
        redis.set(lease.KEY, "epoch  1", px=60_000)
        began = monotonic()
        assert known.epoch(redis) == "epoch"
        wait_for(lambda: monotonic() - began > 2 * lease.LOOK)
        with pytest.raises(RedisError):
            known.epoch(away)
        assert known.epoch(away) == "", "and is not asked again at once"


def test_a_process_sees_that_the_lease_lapsed(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        known = Lease(ttl_seconds=1)
        assert known.epoch(redis) == ""
        redis.set(lease.KEY, "epoch  1", px=300)
        wait_for(lambda: known.epoch(redis) == "epoch")
        wait_for(lambda: known.epoch(redis) == "")


# --- large sessions -------------------------------------------------------------------------------


def test_the_people_of_a_large_session_are_all_of_one_epoch(begun: Rollcall) -> None:
    """Filled one by one, some would else be served under a lease that does not know of them."""
    begun.put_in(joined(ago(9), sid=f"PA_{user}", user=user) for user in PUPILS)
    begun.drain()
    keep(begun)  # the lease may have lapsed over so many
    assert outcome(begun) == "miss"
    ends = ends_ms(begun)
    read_at = cache.clock_ms(begun.backend.redis)
    wait_for(lambda: cache.clock_ms(begun.backend.redis) > read_at)
    assert [outcome(begun, user) for user in ("pupil-1", "5")] == ["miss", "hit"]
    assert ends_ms(begun) == ends, "the first to be read is the first to be old"
    begun.backend.redis.delete(lease.KEY)
    assert [outcome(begun, user) for user in ("pupil-2", "5")] == ["miss", "miss"]
    assert life_seconds(begun) <= TTL
    keep(begun)
    assert [outcome(begun, user) for user in ("5", "pupil-2", "pupil-3")] == ["hit", "hit", "miss"]
    assert outcome(begun) == "miss", "what lived ten seconds only made way"
    assert life_seconds(begun) > TTL


# --- what is kept ---------------------------------------------------------------------------------


def test_changes_are_kept_for_minutes_only(begun: Rollcall) -> None:
    with db.writing(begun.backend.engine) as conn:
        conn.execute(changes.changes.delete())
        for minutes in (11, 9):
            noted = datetime.now(UTC) - timedelta(minutes=minutes)
            changes.record(conn, [f"{minutes}"], now=noted)
    keep(begun)
    assert [row["cache_keys"] for row in rows(begun.backend, changes.changes)] == [["9"]]


def test_what_nobody_saw_yet_is_kept_however_old_it_is(begun: Rollcall) -> None:
    """It may have been noted by somebody who was held up before the commit."""
    with begun.backend.engine.connect() as conn:
        seen = Mark.of(conn)
    now = datetime.now(UTC)
    with db.writing(begun.backend.engine) as conn:
        changes.record(conn, ["late"], now=now - timedelta(days=1))
        assert changes.prune(conn, before=now, seen=seen, limit=100) > 0
        assert changes.since(conn, seen) == {"late"}


def test_old_changes_are_removed_some_at_a_time(begun: Rollcall) -> None:
    now = datetime.now(UTC)
    with db.writing(begun.backend.engine) as conn:
        conn.execute(changes.changes.delete())
        for _ in range(3):
            changes.record(conn, ["98"], now=now - timedelta(days=1))
    with db.writing(begun.backend.engine) as conn:
        seen = Mark.of(conn)
        counts = [changes.prune(conn, before=now, seen=seen, limit=2) for _ in range(3)]
    assert counts == [2, 1, 0]


def test_a_lease_outlives_some_rounds() -> None:
    assert 3 * EVERY < lease.LIFE < 1
    assert lease.LIFE + 2 * lease.LOOK <= 1


# --- the rounds -----------------------------------------------------------------------------------


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
