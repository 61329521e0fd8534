"""Revalidation: kept facts are checked by their revision, and a lost clear is seen in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy import event as hooks
from sqlalchemy.exc import OperationalError

from models.settings.settings import Settings
from models.storage import db
from models.tables import revision
from tests.build import joined, left
from tests.doors import (
    Rollcall,
    a_worker,
    ago,
    aside,
    counting,
    on_postgresql,
    pausing,
    rows,
    token,
    wait_for,
)
from tests.faults import free_port
from tests.terminal import Terminal
from worker.cache import cache, codec, entry
from worker.cache.cache import Facts
from worker.cache.change import changing
from worker.jobs import prune

T = TypeVar("T")

TTL = 10
CHECK, VISITS = "FROM revisions WHERE", "ORDER BY cycles_in_reach.cycle_id"
PUPILS = [f"pupil-{n}" for n in range(cache.WHOLE_UP_TO)]


@pytest.fixture
def begun(rollcall: Rollcall) -> Rollcall:
    """Person 5 is in session 98, in the room quran-98."""
    rollcall.put("98", room_name="quran-98")
    rollcall.deliver(joined(ago(12), room_created=ago(15)))
    return rollcall


def read(rollcall: Rollcall, user: str = "5", *, address: str = "98") -> Facts:
    return cache.read(rollcall.backend, address, user)


def outcome(rollcall: Rollcall, user: str = "5", *, address: str = "98") -> str:
    return read(rollcall, user, address=address).outcome


def is_inside(rollcall: Rollcall, user: str = "5", *, address: str = "98") -> bool:
    return any(it.left_at is None for it in read(rollcall, user, address=address).cycles)


def goes(rollcall: Rollcall) -> None:
    rollcall.deliver(left(ago(1), joined_at=ago(12)))


def ten_seconds_pass(rollcall: Rollcall) -> None:
    """What Redis then does by itself: the fresh copies go."""
    for key in rollcall.backend.redis.scan_iter("rc:*:fresh-*"):
        rollcall.backend.redis.delete(key)


def queries(statements: list[str]) -> list[str]:
    """Without the BEGIN that SQLite needs."""
    return [it for it in statements if it.startswith("SELECT")]


def ends_ms(rollcall: Rollcall, what: str, key: str = "98") -> int:
    return int(str(rollcall.backend.redis.pexpiretime(entry.place(what, key))))


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


@pytest.mark.parametrize("address", ["98", "quran-98"])
def test_a_check_costs_one_query_each_ten_seconds_and_none_between(
    begun: Rollcall, address: str
) -> None:
    assert outcome(begun, address=address) == "miss"
    for _ in range(2):
        ten_seconds_pass(begun)
        with counting(begun.backend.engine) as statements:
            assert outcome(begun, address=address) == "revalidated"
            assert [outcome(begun, f"{n}", address=address) for n in range(5)] == ["hit"] * 5
        assert len(queries(statements)) == 1
        assert is_inside(begun, address=address)


def test_redis_itself_ends_what_may_be_served(rollcall: Rollcall, settings: Settings) -> None:
    rollcall.put("98", room_name="quran-98")
    with a_worker(settings.model_copy(update={"cache_ttl_seconds": 1})) as quick:
        cache.read(quick, "98", "5")
        wait_for(lambda: cache.read(quick, "98", "5").outcome == "revalidated")


def test_facts_are_checked_for_minutes_and_then_read_anew(begun: Rollcall) -> None:
    outcome(begun)
    ends = ends_ms(begun, "kept-facts")
    assert ends - ends_ms(begun, "fresh-facts") == TTL * 1000 * (cache.KEPT - 1)
    ten_seconds_pass(begun)
    assert outcome(begun) == "revalidated"
    assert ends_ms(begun, "kept-facts") == ends, "a check does not prolong it"
    assert cache.KEPT * timedelta(seconds=60) < revision.KEPT_FOR, "60 s is the longest that may be"


def test_a_check_is_good_for_ten_seconds_from_before_it_asked(begun: Rollcall) -> None:
    outcome(begun)
    ten_seconds_pass(begun)
    with held_up(begun, lambda: outcome(begun), after=CHECK) as slow:
        seconds, micros = begun.backend.redis.time()
    assert slow.result() == "revalidated"
    assert ends_ms(begun, "fresh-facts") <= seconds * 1000 + micros // 1000 + TTL * 1000


# --- lost clears ----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["98", "quran-98"])
def test_a_lost_clear_is_seen_within_ten_seconds(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    assert is_inside(begun, address=address)
    with clears_are_lost(monkeypatch):
        goes(begun)
    assert is_inside(begun, address=address), "or this test would show nothing"
    ten_seconds_pass(begun)
    assert not is_inside(begun, address=address)
    assert outcome(begun, address=address) == "hit"


def test_a_changed_revision_has_the_facts_read_anew_once(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome(begun)
    with clears_are_lost(monkeypatch):
        goes(begun)
    ten_seconds_pass(begun)
    assert [outcome(begun) for _ in range(2)] == ["miss", "hit"]
    ten_seconds_pass(begun)
    assert outcome(begun) == "revalidated"


def test_a_room_s_name_is_checked_too(begun: Rollcall, monkeypatch: pytest.MonkeyPatch) -> None:
    def meaning() -> str | None:
        meeting = read(begun, address="quran-98").meeting
        return meeting.session.id if meeting else None

    assert meaning() == "98"
    with clears_are_lost(monkeypatch):
        begun.put("98", room_name="elsewhere")
        begun.deliver(joined(ago(1), sid="PA_2", room="RM_2", names="99", room_created=ago(2)))
    assert meaning() == "98", "or this test would show nothing"
    ten_seconds_pass(begun)
    assert meaning() == "99"


def test_one_entry_says_what_a_rooms_name_means_as_time_passes(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98", scheduled_at=ago(5).isoformat())
    rollcall.put("99", room_name="quran-98", scheduled_at=ago(-180).isoformat())
    assert outcome(rollcall, address="quran-98") == "miss"
    kept = rollcall.backend.redis.hget(entry.place("kept-name", "quran-98"), entry.NAMED)
    assert isinstance(kept, bytes)
    named = codec.named(kept, rollcall.backend.rules)
    meanings = [named.session_id("5", now=ago(-minutes)) for minutes in (0, 114, 121, 190)]
    assert meanings == ["98", "98", "99", "99"]


@pytest.mark.parametrize("door", ["join", "registration", "rebuild", "erasure"])
def test_whatever_changes_facts_raises_the_revision_in_its_own_transaction(
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
    ten_seconds_pass(begun)
    assert outcome(begun) == "miss"


def test_a_revision_is_raised_before_the_commit_and_not_after_it(begun: Rollcall) -> None:
    """Or a process that is killed in between would leave no trace."""
    seen: list[int] = []

    def commits(conn: Connection) -> None:
        number = select(revision.revisions.c.revision).where(revision.revisions.c.key == "98")
        seen.append(conn.execute(number).scalar_one())

    before = number_of(begun)
    hooks.listen(begun.backend.engine, "commit", commits)
    try:
        begun.join("98", of=token("guest"))
    finally:
        hooks.remove(begun.backend.engine, "commit", commits)
    assert number_of(begun) in seen
    assert number_of(begun) != before


def number_of(rollcall: Rollcall, key: str = "98") -> int:
    with db.reading(rollcall.backend.engine) as conn:
        return revision.of(conn, [key])[key]


def test_what_was_rolled_back_raises_nothing(begun: Rollcall) -> None:
    before = rows(begun.backend, revision.revisions)
    with suppress(ZeroDivisionError), changing(begun.backend) as change:
        change.keys.add("98")
        raise ZeroDivisionError
    assert rows(begun.backend, revision.revisions) == before


# --- at the same moment ---------------------------------------------------------------------------


@on_postgresql
def test_a_check_during_a_commit_is_good_until_the_next_check(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction holds the new revision, which nobody else sees yet."""
    outcome(begun)
    ten_seconds_pass(begun)
    with clears_are_lost(monkeypatch), changing(begun.backend) as change:
        change.keys.add("98")
        revision.raise_all(change.conn, ["98"], now=datetime.now(UTC))
        assert outcome(begun) == "revalidated"
    ten_seconds_pass(begun)
    assert outcome(begun) == "miss"


def test_a_slow_check_makes_nothing_fresh_after_a_clear(begun: Rollcall) -> None:
    assert is_inside(begun)
    ten_seconds_pass(begun)
    with held_up(begun, lambda: is_inside(begun), after=CHECK) as old_answer:
        goes(begun)
    assert old_answer.result() is True, "it asked before the commit"
    assert not is_inside(begun)


def test_a_slow_reader_cannot_keep_old_facts_though_the_clear_was_lost(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        held_up(begun, lambda: is_inside(begun), after=VISITS) as old_answer,
        clears_are_lost(monkeypatch),
    ):
        begun.join("98", of=token("guest"))
    assert old_answer.result() is True
    ten_seconds_pass(begun)
    assert outcome(begun) == "miss"


def test_what_one_process_checked_another_serves(begun: Rollcall, settings: Settings) -> None:
    outcome(begun)
    ten_seconds_pass(begun)
    with a_worker(settings) as other:
        assert cache.read(other, "98", "5").outcome == "revalidated"
        with counting(begun.backend.engine) as statements:
            assert outcome(begun) == "hit"
        goes(begun)
        [cycle] = cache.read(other, "98", "5").cycles
        assert cycle.left_at is not None
    assert statements == []


# --- Redis and the database go and come back ------------------------------------------------------


def test_facts_that_come_back_with_an_old_redis_are_checked(begun: Rollcall) -> None:
    """As by a failover to a replica that lags, or from a snapshot."""
    redis = begun.backend.redis
    assert is_inside(begun)
    keys = [entry.place(what, "98") for what in ("fresh-facts", "kept-facts")]
    saved = {key: (redis.dump(key) or b"", int(str(redis.pexpiretime(key)))) for key in keys}
    redis.flushall()
    goes(begun)
    for key, (value, until) in saved.items():
        redis.restore(key, until, value, absttl=True)
    assert is_inside(begun), "or this test would show nothing"
    ten_seconds_pass(begun)
    assert not is_inside(begun)


def test_with_redis_away_and_back_a_missed_clear_is_seen(
    begun: Rollcall, settings: Settings
) -> None:
    assert is_inside(begun)
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    with a_worker(away) as cut_off, changing(cut_off) as change:
        change.conn.execute(text("UPDATE cycles SET left_at = joined_at, left_rank = '9'"))
        change.keys.add("98")
    ten_seconds_pass(begun)
    assert not is_inside(begun)


def test_with_the_database_away_nothing_is_served_that_was_not_checked(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome(begun)
    ten_seconds_pass(begun)

    def is_away(*_: object) -> None:
        raise OperationalError("SELECT", None, ConnectionError("the database is down"))

    with monkeypatch.context() as lost:
        lost.setattr(revision, "of", is_away)
        assert begun.status("98").status_code == 503
    assert outcome(begun) == "revalidated"


def test_a_database_that_is_set_back_has_other_revisions(begun: Rollcall) -> None:
    before = rows(begun.backend, revision.revisions)
    begun.join("98", of=token("guest"))
    outcome(begun)
    with db.writing(begun.backend.engine) as conn:
        conn.execute(revision.revisions.delete())
        conn.execute(revision.revisions.insert(), before)
        revision.raise_all(conn, ["other"], now=datetime.now(UTC))
    ten_seconds_pass(begun)
    assert outcome(begun) == "miss"


# --- large sessions -------------------------------------------------------------------------------


def test_the_people_of_a_large_session_are_checked_together(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun.put_in(joined(ago(9), sid=f"PA_{user}", user=user) for user in PUPILS)
    begun.drain()
    assert [outcome(begun, user) for user in ("5", "pupil-1")] == ["miss", "miss"]
    ten_seconds_pass(begun)
    with counting(begun.backend.engine) as statements:
        assert [outcome(begun, user) for user in ("5", "pupil-1")] == ["revalidated", "hit"]
    assert len(queries(statements)) == 1
    with clears_are_lost(monkeypatch):
        goes(begun)
    ten_seconds_pass(begun)
    assert [outcome(begun, user) for user in ("pupil-1", "5")] == ["miss", "miss"]
    assert not is_inside(begun)


def test_a_person_who_is_filled_does_not_prolong_what_others_were_told(begun: Rollcall) -> None:
    begun.put_in(joined(ago(9), sid=f"PA_{user}", user=user) for user in PUPILS)
    begun.drain()
    assert outcome(begun) == "miss"
    ends = ends_ms(begun, "fresh-facts"), ends_ms(begun, "kept-facts")
    wait_for(lambda: outcome(begun, "pupil-1") == "hit")
    assert (ends_ms(begun, "fresh-facts"), ends_ms(begun, "kept-facts")) == ends


# --- old revisions --------------------------------------------------------------------------------


def test_revisions_that_nobody_needs_any_more_are_removed_at_night(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    now = datetime.now(UTC)
    with db.writing(begun.backend.engine) as conn:
        conn.execute(revision.revisions.delete())
        revision.raise_all(
            conn, [f"old-{n}" for n in range(5)], now=now - timedelta(days=8, hours=1)
        )
        revision.raise_all(conn, ["new"], now=now - timedelta(days=7, hours=23))
    prune.forget_revisions(begun.backend, now=now)
    assert [row["key"] for row in rows(begun.backend, revision.revisions)] == ["new"]
    assert number_of(begun, "old-1") == revision.NEVER_RAISED


def test_facts_whose_revision_was_removed_are_read_anew(begun: Rollcall) -> None:
    outcome(begun)
    prune.forget_revisions(begun.backend, now=datetime.now(UTC) + timedelta(days=9))
    ten_seconds_pass(begun)
    assert [outcome(begun) for _ in range(2)] == ["miss", "hit"]
    ten_seconds_pass(begun)
    assert outcome(begun) == "revalidated"
