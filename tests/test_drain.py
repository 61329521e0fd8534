"""The drain: what is in the inbox comes into the tables, whatever happens meanwhile."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import permutations
from threading import Event as Flag
from typing import Any

import pytest
from rq.timeouts import JobTimeoutException
from sqlalchemy import Connection, Engine, delete, select, text, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from models.domain.event import Event
from models.ledger import erasure
from models.ledger import replay as replays
from models.settings.settings import Settings
from models.storage import bulk, db
from models.tables import pending_event, webhook_event
from models.tables.pending_event import pending_events
from models.tables.revision import revisions
from models.tables.webhook_event import webhook_events
from tests.build import at, joined, left, room_finished, room_started, webhook
from tests.doors import (
    AfterEachBatch,
    Rollcall,
    a_worker,
    aside,
    counting,
    drain,
    on_postgresql,
    ops_token,
    pausing,
    serving,
    together,
    told,
    wait_for,
    waits_for_a_lock,
    without,
    working,
)
from tests.faults import free_port
from worker import jobs
from worker.inbox import bell
from worker.jobs import draining
from worker.process.backend import Backend


def statuses(rollcall: Rollcall) -> list[str]:
    return [row["status"] for row in rollcall.ledger()]


def a_day(rooms: int = 6, people: int = 15, visits: int = 5) -> list[Event]:
    """Classes whose pupils go from room to room: the rooms share people, and some a session."""
    found: list[Event] = []
    for number in range(rooms):
        words: Any = {"room": f"RM_{number}", "room_name": f"class-{number % 4}"}
        words |= {"room_created": at("08:00") + timedelta(hours=number)}
        words |= {"names": "shared" if number % 3 == 0 else None}
        found += [room_started("08:00", **words), room_finished("20:00", **words)]
        for person in range(people):
            for visit in range(visits):
                mine = words | {"user": f"pupil-{person}", "sid": f"PA_{number}_{person}_{visit}"}
                began = at("09:00") + timedelta(minutes=7 * visit + number, milliseconds=person)
                ended = began + timedelta(minutes=5)
                found += [joined(began, **mine), left(ended, joined_at=began, **mine)]
    return found


def in_any_order(told: Sequence[Event], seed: int) -> list[Event]:
    mixed = list(told)
    random.Random(seed).shuffle(mixed)
    return mixed


# --- poison ---------------------------------------------------------------------------------------

POISONS: dict[str, dict[str, Any]] = {
    "a source that nobody knows": {"source": "martian"},
    "no payload": {"payload": None},
    "a payload that is a list": {"payload": ["joined"]},
    "a payload that is a word": {"payload": "joined"},
    "an empty payload": {"payload": {}},
    "a payload without a room": {"payload": without(webhook(joined()), "room")},
    "a client's event among LiveKit's": {"source": "client"},
    "a time out of range": {"payload": webhook(joined()) | {"createdAt": "99999999999999"}},
}


@pytest.mark.parametrize("spoiled", POISONS.values(), ids=POISONS)
def test_one_bad_event_fails_with_its_error_and_the_rest_is_applied(
    rollcall: Rollcall, spoiled: dict[str, Any]
) -> None:
    good = [joined(sid=f"PA_{n}", user=f"pupil-{n % 7}") for n in range(49)]
    rollcall.put_in(good[:25])
    rollcall.put_in([joined(sid="PA_bad", user="bad")], **spoiled)
    rollcall.put_in(good[25:])
    assert rollcall.drain() == 50
    assert statuses(rollcall) == ["applied"] * 25 + ["failed"] + ["applied"] * 24
    bad = rollcall.ledger()[25]
    assert bad["attempts"] == 1
    assert bad["error"]
    assert [row["cycle_id"] for row in rollcall.facts()["cycles"]] == sorted(
        str(one.participant_sid) for one in good
    )


REFUSE_ON_SQLITE = """
CREATE TRIGGER refuse BEFORE INSERT ON cycles WHEN NEW.user_id = 'bad'
BEGIN SELECT RAISE(ABORT, 'no bad users'); END
"""
REFUSE_ON_POSTGRESQL = "ALTER TABLE cycles ADD CONSTRAINT refuse CHECK (user_id <> 'bad')"


@pytest.fixture
def refusing(backend: Backend) -> Iterator[None]:
    """The database itself refuses a cycle of the user `bad`."""
    on_sqlite = backend.engine.dialect.name == "sqlite"
    with db.writing(backend.engine) as conn:
        conn.execute(text(REFUSE_ON_SQLITE if on_sqlite else REFUSE_ON_POSTGRESQL))
    yield
    if not on_sqlite:  # whose file goes with the test
        with db.writing(backend.engine) as conn:
            conn.execute(text("ALTER TABLE cycles DROP CONSTRAINT refuse"))


@pytest.mark.usefixtures("refusing")
def test_an_event_that_the_database_refuses_fails_alone_and_leaves_nothing(
    rollcall: Rollcall,
) -> None:
    good = [joined(sid=f"PA_{n}", user=f"pupil-{n}") for n in range(4)]
    bad = joined("16:00", sid="PA_bad", user="bad", room="RM_bad", room_name="bad-room")
    rollcall.put_in([*good[:2], bad, *good[2:]])
    rollcall.drain()
    assert statuses(rollcall) == ["applied", "applied", "failed", "applied", "applied"]
    assert "Integrity" in rollcall.ledger()[2]["error"]
    facts = rollcall.facts()
    assert [row["sid"] for row in facts["rooms"]] == ["RM_1"]
    assert [row["room_name"] for row in facts["sessions"]] == ["quran-98"]
    assert len(facts["cycles"]) == 4


@pytest.mark.usefixtures("refusing")
def test_the_error_of_a_refused_event_repeats_no_value_of_it(rollcall: Rollcall) -> None:
    rollcall.put_in([joined(sid="PA_bad", user="bad", name="Aisha")])
    rollcall.drain()
    [row] = rollcall.ledger()
    assert row["status"] == "failed"
    assert "Aisha" not in row["error"]


def test_a_failed_event_is_applied_once_its_row_is_good_again(rollcall: Rollcall) -> None:
    rollcall.put_in([joined()], source="martian")
    rollcall.drain()
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(webhook_events).values(source="livekit", status="pending"))
    rollcall.drain()
    [row] = rollcall.ledger()
    assert (row["status"], row["error"], row["attempts"]) == ("applied", None, 2)


# --- nobody's fault -------------------------------------------------------------------------------


@on_postgresql
def test_a_lost_connection_fails_no_event(rollcall: Rollcall, postgres_url: str) -> None:
    rollcall.send(joined(), left())
    with a_worker(rollcall.backend.settings) as other, db.writing(other.engine) as holding:
        erasure.hold_drains(holding)
        with aside(rollcall.drain) as drained:
            wait_for(lambda: waits_for_a_lock(postgres_url))
            assert statuses(rollcall) == ["pending", "pending"]
            holding.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
            )
            assert isinstance(drained.exception(20), OperationalError)
    wait_for(lambda: is_up(rollcall.backend.engine))
    assert [(row["status"], row["attempts"]) for row in rollcall.ledger()] == [("pending", 0)] * 2
    assert rollcall.drain() == 2
    assert statuses(rollcall) == ["applied", "applied"]


@on_postgresql
def test_a_deadlock_fails_no_event(rollcall: Rollcall, postgres_url: str) -> None:
    rollcall.deliver(room_started(names="shared"))
    rollcall.send(joined(room="RM_2", room_name="other", names="shared"))
    with a_worker(rollcall.backend.settings) as other, db.writing(other.engine) as crossing:
        crossing.execute(select(revisions).with_for_update())
        with aside(rollcall.drain) as drained:
            wait_for(lambda: waits_for_a_lock(postgres_url))
            # From here on each holds what the other wants; the database lets one of them go.
            crossing.execute(text("SET LOCAL deadlock_timeout = '5s'"))
            erasure.hold_drains(crossing)
            assert isinstance(drained.exception(20), OperationalError)
    assert statuses(rollcall) == ["applied", "pending"]
    assert rollcall.drain() == 1
    assert statuses(rollcall) == ["applied", "applied"]


@on_postgresql
def test_rqs_timeout_fails_no_event(rollcall: Rollcall) -> None:
    rollcall.send(joined())

    def time_is_up(*_: object) -> None:
        raise JobTimeoutException("The job took too long")

    before = signal.signal(signal.SIGALRM, time_is_up)
    with a_worker(rollcall.backend.settings) as other, db.writing(other.engine) as holding:
        erasure.hold_drains(holding)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(draining.NOBODYS_FAULT):
            rollcall.drain()
    signal.signal(signal.SIGALRM, before)
    wait_for(lambda: is_up(rollcall.backend.engine))
    assert statuses(rollcall) == ["pending"]
    wait_for(lambda: rollcall.drain() == 1)  # once the server has noticed that its client is gone


# --- several workers ------------------------------------------------------------------------------


def in_rooms(*names: str) -> list[Event]:
    """An event in each of these rooms, in this order."""
    return [
        joined(sid=f"PA_{n}", user=f"pupil-{n}", room=f"RM_{name}", room_name=name)
        for n, name in enumerate(names)
    ]


def taken(conn: Connection, limit: int = draining.BATCH) -> list[int]:
    """What a drain takes, as places in the ledger's order; empty when no room is free."""
    ids = list(conn.execute(select(webhook_events.c.id).order_by(webhook_events.c.id)).scalars())
    mail, _ = webhook_event.take(conn, limit) or ([], False)
    return [ids.index(row.id) for row in mail]


@on_postgresql
def test_two_drains_at_once_take_different_rooms(rollcall: Rollcall) -> None:
    rollcall.put_in(in_rooms("a", "b", "a", "c", "b", "a"))
    with a_worker(rollcall.backend.settings) as other, db.writing(other.engine) as holding:
        assert taken(holding, 3) == [0, 2, 5]
        with db.writing(rollcall.backend.engine) as conn:
            assert taken(conn) == [1, 3, 4]


@on_postgresql
def test_rooms_come_whole_and_the_one_that_waited_longest_first(rollcall: Rollcall) -> None:
    rollcall.put_in(in_rooms("a", "b", "c", "b", "c", "a", "c"))
    for limit, expected in ((1, [0]), (2, [0, 5]), (3, [0, 1, 5]), (4, [0, 1, 3, 5])):
        with db.writing(rollcall.backend.engine) as conn:
            assert taken(conn, limit) == expected
            conn.rollback()  # what it took waits again


@on_postgresql
def test_rows_without_a_room_s_name_are_taken_like_those_of_a_room(rollcall: Rollcall) -> None:
    rollcall.put_in([joined(sid="PA_1")], room_name=None)
    rollcall.put_in([joined(sid="PA_2")])
    assert rollcall.drain() == 2
    assert statuses(rollcall) == ["applied", "applied"]


@on_postgresql
def test_a_row_that_somebody_holds_is_skipped_and_waited_for(rollcall: Rollcall) -> None:
    rollcall.put_in(in_rooms("a", "a", "b"))
    first = select(pending_events.c.id).order_by(pending_events.c.id).limit(1).with_for_update()
    with a_worker(rollcall.backend.settings) as other, db.writing(other.engine) as holding:
        holding.execute(first)
        thread = ThreadPoolExecutor(1)
        drained = thread.submit(lambda: draining.work_off(rollcall.backend))
        wait_for(lambda: statuses(rollcall) == ["pending", "applied", "applied"])
    drained.result(20)
    thread.shutdown()
    if bell.queue(rollcall.backend.redis).count:  # its seconds were over, and it left the rest
        rollcall.drain()
    assert set(statuses(rollcall)) == {"applied"}


@on_postgresql
def test_a_room_that_a_drain_holds_is_passed_over_and_applied_after_it_with_no_sweep(
    rollcall: Rollcall,
) -> None:
    rollcall.put_in(in_rooms("a"))
    late = joined(sid="PA_late", user="late", room="RM_a", room_name="a")
    with (
        a_worker(rollcall.backend.settings) as other,
        pausing(rollcall.backend.engine, after="INSERT INTO cycles") as pause,
        aside(lambda: draining.work_off(rollcall.backend)) as drained,
    ):
        pause.wait()
        with a_worker(rollcall.backend.settings) as web, db.writing(web.engine) as conn:
            row = webhook_event.pending_row(late, webhook(late), received_at=at("16:00"))
            webhook_event.insert_rows(conn, [row])
        before = bell.queue(other.redis).count
        with counting(other.engine) as executed:
            draining.work_off(other)
        assert len([one for one in executed if "pending_events" in one]) == 1, "it looked once"
        assert bell.queue(other.redis).count == before, "it rang for nobody"
        assert statuses(rollcall) == ["pending", "pending"]
        pause.over()
        drained.result(20)
    assert statuses(rollcall) == ["applied", "applied"]


@on_postgresql
def test_a_drain_that_held_a_room_for_nothing_looks_again(rollcall: Rollcall) -> None:
    """Somebody else holds the rows that it saw. It still looks after what comes to their room
    meanwhile, which others pass over because of it."""
    rollcall.put_in(in_rooms("a"))
    with (
        a_worker(rollcall.backend.settings) as slow,
        a_worker(rollcall.backend.settings) as other,
        db.writing(other.engine) as holding,
        pausing(slow.engine, after="pg_try_advisory_xact_lock") as holds,
        aside(lambda: draining.work_off(slow)),
    ):
        holding.execute(select(pending_events.c.id).with_for_update())
        holds.wait()
        rollcall.put_in([joined(sid="PA_late", room="RM_a", room_name="a")])
        draining.work_off(rollcall.backend)
        assert statuses(rollcall) == ["pending", "pending"]
        holds.over()
        wait_for(lambda: statuses(rollcall) == ["pending", "applied"])
        holding.rollback()
        wait_for(lambda: statuses(rollcall) == ["applied", "applied"])


def test_after_its_seconds_a_drain_leaves_the_rest_to_another_job(
    rollcall: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "DRAIN_SECONDS", 0)
    rollcall.put_in(joined(sid=f"PA_{n}") for n in range(draining.BATCH + 1))
    draining.work_off(rollcall.backend)
    assert statuses(rollcall).count("pending") == 1
    assert bell.queue(rollcall.backend.redis).count == 1


def test_a_drain_that_is_asked_to_stop_ends_with_the_batch_at_hand(rollcall: Rollcall) -> None:
    rollcall.put_in(joined(sid=f"PA_{n}") for n in range(draining.BATCH + 1))
    stopping = Flag()
    stopping.set()
    draining.work_off(rollcall.backend, stopping)
    assert statuses(rollcall).count("pending") == 1
    assert bell.queue(rollcall.backend.redis).count == 1


def test_without_redis_a_drain_goes_on_to_the_end(
    rollcall: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "DRAIN_SECONDS", 0)
    rollcall.put_in(joined(sid=f"PA_{n}") for n in range(draining.BATCH + 1))
    away = f"redis://127.0.0.1:{free_port()}/0"
    with a_worker(rollcall.backend.settings.model_copy(update={"redis_url": away})) as cut_off:
        draining.work_off(cut_off)
    assert set(statuses(rollcall)) == {"applied"}


@on_postgresql
def test_a_full_batch_rings_for_more_hands_when_other_rooms_wait(rollcall: Rollcall) -> None:
    rollcall.put_in(in_rooms(*["a"] * draining.BATCH, "b"))
    assert batches(rollcall) == [(draining.BATCH, 1), (draining.BATCH + 1, 1)]


def test_a_full_batch_of_the_only_room_rings_for_nobody(rollcall: Rollcall) -> None:
    rollcall.put_in(in_rooms(*["a"] * (draining.BATCH + 1)))
    assert batches(rollcall) == [(draining.BATCH, 0), (draining.BATCH + 1, 0)]


@on_postgresql
def test_workers_that_share_people_and_rooms_come_to_the_same_as_one_alone(
    rollcall: Rollcall, settings: Settings, sqlite_url: str
) -> None:
    day = a_day()
    forth, back = day, list(reversed(day))
    copies = [one._replace(event_id=f"{one.event_id}_again") for one in back]
    rollcall.put_in([*forth, *copies])

    def work() -> None:
        with a_worker(settings) as worker:
            drain_or_retry(worker)

    together(work, work, work)
    assert statuses(rollcall) == ["applied"] * (2 * len(day))
    with serving(settings.model_copy(update={"database_url": sqlite_url})) as alone:
        alone.put_in(in_any_order(day, seed=1))
        alone.drain()
        assert without_ranks(alone.facts()) == without_ranks(rollcall.facts())


def test_a_session_that_one_room_leaves_while_another_comes_stays(rollcall: Rollcall) -> None:
    rollcall.deliver(room_started("10:00", room="RM_A", room_name="a", names="98"))
    rollcall.deliver(
        room_started("11:00", room="RM_B", room_name="b", names="98"),
        joined("09:00", room="RM_A", room_name="a", names="97"),
    )
    facts = rollcall.facts()
    assert {row["sid"]: row["session_id"] for row in facts["rooms"]} == {"RM_A": "97", "RM_B": "98"}
    assert {row["id"] for row in facts["sessions"]} == {"97", "98"}
    seen = [told(rollcall.status(of, of=ops_token(), user_id="5")) for of in ("97", "98")]
    assert [one["session"]["room_name"] for one in seen] == ["a", "b"]


def batches(rollcall: Rollcall) -> list[object]:
    """Drain: after each batch, how many events are applied and how often it rang until then."""

    def look() -> tuple[int, int]:
        bell.answer(rollcall.backend.redis)
        return statuses(rollcall).count("applied"), bell.queue(rollcall.backend.redis).count

    after = AfterEachBatch(look)
    draining.work_off(rollcall.backend, after)
    return after.seen


def drain_or_retry(worker: Backend) -> None:
    try:
        drain(worker)
    except draining.NOBODYS_FAULT:
        drain_or_retry(worker)


def without_ranks(facts: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Ranks carry event ids, and the copies have other ones."""
    return {
        table: [without(row, *(name for name in row if name.endswith("_rank"))) for row in rows]
        for table, rows in facts.items()
    }


# --- any order, any number of times ---------------------------------------------------------------


def test_any_order_in_any_batches_comes_to_the_same(rollcall: Rollcall) -> None:
    day = a_day(rooms=5, people=3, visits=2)
    rollcall.put_in(day)
    rollcall.drain()
    expected = rollcall.facts()
    assert len(expected["cycles"]) == 30
    for seed in range(3):
        rollcall.forget()
        mixed = in_any_order(day, seed)
        for start in range(0, len(mixed), 7):
            rollcall.put_in(mixed[start : start + 7])
            rollcall.drain()
        assert rollcall.facts() == expected


def test_applied_events_folded_again_change_no_table_and_no_answer(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98", scheduled_at=at("14:00").isoformat())
    visit = told(rollcall.join("quran-98", name="Aisha"))["visit"]
    rollcall.leave(visit)
    rollcall.put_in(a_day(rooms=4, people=2, visits=2))
    rollcall.deliver(joined(name="Aisha"), left(), room_finished())
    facts, seen = rollcall.facts(), rollcall.seen("98")
    roster = told(rollcall.roster("98"))
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(webhook_events).values(status="pending"))
    assert rollcall.drain() == len(rollcall.ledger())
    assert rollcall.facts() == facts
    assert rollcall.seen("98") == seen
    assert without(told(rollcall.roster("98")), "as_of") == without(roster, "as_of")
    assert {row["attempts"] for row in rollcall.ledger()} == {2}


def test_a_made_session_has_the_name_of_its_earliest_room_whenever_that_is_learned(
    rollcall: Rollcall,
) -> None:
    learned_late = [
        joined("10:00", sid="PA_a", room="RM_a", room_name="a", room_created="10:00", names="98"),
        joined("11:00", sid="PA_b", room="RM_b", room_name="b", names="98"),
        left("11:30", sid="PA_b", room="RM_b", room_name="b", room_created="09:00", names="98"),
    ]
    for order in permutations(learned_late):
        rollcall.forget()
        for one in order:
            rollcall.put_in([one])
            rollcall.drain()
        [made] = rollcall.facts()["sessions"]
        assert (made["id"], made["room_name"]) == ("98", "b")


LIVES = ("09:00", "10:00", "11:00")


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "three batches"])
def test_a_room_is_superseded_by_the_next_of_its_name_whatever_comes_first(
    rollcall: Rollcall, order: Sequence[int], at_once: bool
) -> None:
    rooms = [room_started(LIVES[n], room=f"RM_{n}", room_created=LIVES[n]) for n in order]
    for batch in [rooms] if at_once else [[one] for one in rooms]:
        rollcall.put_in(batch)
        rollcall.drain()
    superseded = {row["sid"]: row["superseded_at"] for row in rollcall.facts()["rooms"]}
    assert superseded == {"RM_0": at("10:00"), "RM_1": at("11:00"), "RM_2": None}


def test_a_room_whose_creation_is_learned_late_finds_its_place(rollcall: Rollcall) -> None:
    for clock in ("09:00", "11:00"):
        rollcall.deliver(room_started(clock, room=f"RM_{clock}", room_created=clock))
    rollcall.deliver(joined("12:00", room="RM_late"))
    rollcall.deliver(joined("12:30", sid="PA_2", room="RM_late", room_created="10:00"))
    superseded = {row["sid"]: row["superseded_at"] for row in rollcall.facts()["rooms"]}
    assert superseded == {"RM_09:00": at("10:00"), "RM_late": at("11:00"), "RM_11:00": None}


def is_up(engine: Engine) -> bool:
    """Whether the engine's database is held to be up."""
    return not engine.get_execution_options()["breaker"].is_open


# --- what waits -----------------------------------------------------------------------------------


def test_an_event_is_stored_as_one_that_waits_or_not_at_all(rollcall: Rollcall) -> None:
    """Two tables, one transaction: otherwise an acknowledged event might never be applied."""
    renamed = "ALTER TABLE {} RENAME TO {}"
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(text(renamed.format("pending_events", "elsewhere")))
    try:
        with pytest.raises(SQLAlchemyError):
            rollcall.put_in([joined()])
    finally:
        with db.writing(rollcall.backend.engine) as conn:
            conn.execute(text(renamed.format("elsewhere", "pending_events")))
    assert rollcall.ledger() == []
    rollcall.put_in([joined()])
    assert statuses(rollcall) == ["pending"]


def test_what_a_process_of_an_older_version_stores_is_applied_once(
    rollcall: Rollcall, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on during a deployment, and says in the row itself that an event waits."""
    backend = rollcall.backend
    for number, attempts in enumerate((0, 3)):
        event = joined(sid=f"PA_{number}")
        row = webhook_event.pending_row(event, webhook(event), received_at=at("14:00"))
        with db.writing(backend.engine) as conn:
            old = row | {"attempts": attempts}
            bulk.insert_missing(conn, webhook_events, [old], key="event_id")
    assert statuses(rollcall) == ["pending", "pending"]
    with working(settings, monkeypatch):
        jobs.sweep()
    assert bell.queue(backend.redis).count == 1, "the sweep rang"
    assert rollcall.drain() == 2
    assert [(row["status"], row["attempts"]) for row in rollcall.ledger()] == [
        ("applied", 1),
        ("applied", 4),
    ]
    assert rollcall.drain() == 0


@on_postgresql
def test_what_a_drain_of_an_older_version_holds_is_left_to_it(rollcall: Rollcall) -> None:
    event = joined()
    row = webhook_event.pending_row(event, webhook(event), received_at=at("14:00"))
    with db.writing(rollcall.backend.engine) as conn:
        bulk.insert_missing(conn, webhook_events, [row], key="event_id")
    with a_worker(rollcall.backend.settings) as old, db.writing(old.engine) as holding:
        holding.execute(select(webhook_events.c.id).with_for_update())
        assert rollcall.drain() == 0
        holding.execute(update(webhook_events).values(status="applied", attempts=1))
    assert rollcall.drain() == 0
    assert [(row["status"], row["attempts"]) for row in rollcall.ledger()] == [("applied", 1)]


def test_to_apply_a_batch_changes_no_row_of_the_ledger(rollcall: Rollcall) -> None:
    """Neither is it changed by a replay of what was applied: seven indexes would have it anew."""
    rollcall.put_in(a_day(rooms=2, people=2, visits=1))
    with counting(rollcall.backend.engine) as executed:
        rollcall.drain()
        with db.writing(rollcall.backend.engine) as conn:
            ids = conn.execute(select(webhook_events.c.id)).scalars().all()
            assert replays.put_back(conn, ids, now=at("16:00")) == len(ids)
        assert set(statuses(rollcall)) == {"pending"}
        rollcall.drain()
    assert set(statuses(rollcall)) == {"applied"}
    assert not [one for one in executed if one.startswith("UPDATE webhook_events")]


def test_what_was_pruned_while_it_waited_holds_nothing_up(rollcall: Rollcall) -> None:
    rollcall.put_in([joined(sid="PA_1"), joined(sid="PA_2")])
    first = webhook_events.c.participant_sid == "PA_1"
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(delete(webhook_events).where(first))
    rollcall.drain()
    with db.reading(rollcall.backend.engine) as conn:
        assert pending_event.count(conn) == 0
    assert statuses(rollcall) == ["applied"]
