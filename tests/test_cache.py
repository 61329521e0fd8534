"""The cache: makes a status fast and never wrong, whatever happens at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from inspect import signature
from time import monotonic
from typing import Any, cast

import pytest
from sqlalchemy import event as hooks
from sqlalchemy import text

from models.domain.facts import Cycle, Person, Room, Session
from models.lookup import places
from models.lookup.places import Places
from models.settings.settings import Settings
from models.storage import db
from models.tables import cycle, room, session
from tests.build import at, joined, left, room_started
from tests.doors import (
    GROWS,
    Rollcall,
    ago,
    aside,
    counting,
    on_postgresql,
    pausing,
    serving,
    together,
    token,
    told,
    wait_for,
    without,
)
from tests.faults import free_port
from worker.cache import cache, entry
from worker.process.quick_redis import QuickRedis

CYCLES = "ORDER BY cycles_in_reach.cycle_id"
ROOMS = "FROM rooms WHERE"


@pytest.fixture
def begun(rollcall: Rollcall) -> Rollcall:
    """Person 5 is in room quran-98, whose class is session 98."""
    rollcall.put("98", room_name="quran-98")
    rollcall.deliver(joined(ago(12), room_created=ago(15)))
    return rollcall


def outcome(rollcall: Rollcall, address: str = "98", *, user: str = "5", **query: str) -> str:
    return rollcall.status(address, of=token(user), **query).headers["X-Cache"]


def present(rollcall: Rollcall, address: str = "98", *, user: str = "5") -> bool:
    seen: bool = told(rollcall.status(address, of=token(user)))["is_currently_in_meeting"]
    return seen


# --- hits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["98", "quran-98"])
def test_a_hit_is_the_same_answer_without_a_query(begun: Rollcall, address: str) -> None:
    first = begun.status(address)
    with counting(begun.backend.engine) as statements:
        second = begun.status(address)
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("miss", "hit")
    assert statements == []
    assert without(told(first), *GROWS) == without(told(second), *GROWS)
    assert told(second)["is_currently_in_meeting"] is True


def test_one_miss_serves_the_whole_class_even_who_never_came(begun: Rollcall) -> None:
    begun.deliver(*(joined(ago(9), sid=f"PA_pupil-{n}", user=f"pupil-{n}") for n in range(9)))
    assert outcome(begun) == "miss"
    with counting(begun.backend.engine) as statements:
        assert [outcome(begun, user=f"pupil-{n}") for n in range(9)] == ["hit"] * 9
        nobody = begun.status("98", of=token("nobody"))
    assert statements == []
    assert nobody.headers["X-Cache"] == "hit"
    assert told(nobody)["attendance_status"] == "not_joined"


def test_a_room_that_is_called_like_a_session_changes_nothing_for_the_session(
    begun: Rollcall,
) -> None:
    """What the room's name means is kept for those who ask for the room: it outlives the session's
    facts when it was asked for later."""
    begun.deliver(joined(ago(9), sid="PA_2", room="RM_2", room_name="98", user="6"))
    by_id = begun.status()
    of_room = [begun.status(of=token("6", "98")) for _ in range(2)]
    begun.backend.redis.delete(entry.place("fresh-facts", "98"))
    by_id_again = begun.status()
    assert (by_id.status_code, by_id_again.status_code) == (200, 200)
    assert told(by_id_again)["session"] == told(by_id)["session"]
    assert told(by_id_again)["is_currently_in_meeting"] is True
    for each in of_room:
        assert told(each)["session"]["room_name"] == "98"
        assert told(each)["is_currently_in_meeting"] is True


def test_ages_are_counted_at_each_read(begun: Rollcall) -> None:
    begun.status()
    first = told(begun.status())
    wait_for(lambda: told(begun.status())["duration_seconds"] > first["duration_seconds"])
    assert outcome(begun) == "hit"


def test_that_nothing_is_known_yet_is_remembered_too(rollcall: Rollcall) -> None:
    assert outcome(rollcall, "quran-98") == "miss"
    with counting(rollcall.backend.engine) as statements:
        assert outcome(rollcall, "quran-98") == "hit"
    assert statements == []


def test_no_answer_may_be_kept_by_a_browser_or_a_proxy(begun: Rollcall) -> None:
    for _ in range(2):
        assert begun.status().headers["Cache-Control"] == "private, no-store"


# --- cleared after each commit --------------------------------------------------------------------


@pytest.mark.parametrize("address", ["98", "quran-98"])
def test_whoever_polls_after_a_drain_sees_it(begun: Rollcall, address: str) -> None:
    assert present(begun, address)
    begun.deliver(left(ago(1), joined_at=ago(12)))
    assert outcome(begun, address) == "miss"
    assert not present(begun, address)


def test_whoever_polls_after_a_manual_join_or_leave_sees_it(begun: Rollcall) -> None:
    guest = token("guest")
    assert not present(begun, user="guest")
    visit = told(begun.join("98", of=guest))["visit"]
    assert present(begun, user="guest")
    begun.leave(visit, of=guest)
    assert not present(begun, user="guest")


def test_whoever_polls_after_a_registration_sees_it(rollcall: Rollcall) -> None:
    assert told(rollcall.status("quran-98"))["session_id"] == "quran-98"
    rollcall.put("98", room_name="quran-98")
    assert told(rollcall.status("quran-98"))["session_id"] == "98"
    rollcall.put("98", room_name="quran-98", session_type="group")
    assert told(rollcall.status("98"))["session"]["session_type"] == "group"
    rollcall.put("98", room_name="elsewhere")
    assert told(rollcall.status("quran-98"))["session"]["room_name"] is None
    rollcall.put("98", room_name="quran-98")
    assert told(rollcall.status("quran-98"))["session_id"] == "98"
    rollcall.delete("98")
    assert told(rollcall.status("quran-98"))["session"]["room_name"] is None


def test_a_session_that_begins_in_a_room_is_seen_by_the_rooms_name_at_once(
    rollcall: Rollcall,
) -> None:
    assert not present(rollcall, "quran-98")
    rollcall.deliver(joined(ago(1), room_created=ago(2)))
    assert present(rollcall, "quran-98")


def test_a_later_life_of_the_room_is_what_its_name_means_at_once(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(ago(1500), names="97", room_created=ago(1501)))
    assert told(rollcall.status("quran-98"))["session_id"] == "97"
    rollcall.deliver(joined(ago(1), sid="PA_2", room="RM_2", names="98", room_created=ago(2)))
    assert told(rollcall.status("quran-98"))["session_id"] == "98"


def test_the_session_of_a_room_that_was_superseded_is_seen_anew(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(ago(60), names="97", room_created=ago(61)))
    assert present(rollcall, "97")
    rollcall.deliver(room_started(ago(5), room="RM_2", names="98", room_created=ago(5)))
    assert not present(rollcall, "97"), "the first room is over, since there is a next one"


def test_a_session_that_a_room_left_is_seen_anew(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(ago(60), names="97", room_created=ago(61)))
    assert present(rollcall, "97")
    rollcall.deliver(room_started(ago(61), names="98", room_created=ago(61)))
    assert problem_of(rollcall, "97") == 403
    assert present(rollcall, "98")


def problem_of(rollcall: Rollcall, address: str) -> int:
    return rollcall.status(address).status_code


# --- slow readers ---------------------------------------------------------------------------------


def test_a_slow_reader_cannot_put_old_facts_over_new(begun: Rollcall, settings: Settings) -> None:
    with (
        serving(settings) as slow,
        pausing(slow.backend.engine, after=CYCLES) as pause,
        aside(lambda: present(slow)) as old_answer,
    ):
        pause.wait()
        begun.deliver(left(ago(1), joined_at=ago(12)))
        pause.over()
        assert old_answer.result(20) is True, "it asked before the commit"
    assert not present(begun)
    assert outcome(begun) == "hit"


def test_a_slow_reader_cannot_put_old_facts_into_an_empty_cache_after_another_filled_it(
    begun: Rollcall, settings: Settings
) -> None:
    with (
        serving(settings) as slow,
        pausing(slow.backend.engine, after=CYCLES) as pause,
        aside(lambda: present(slow)),
    ):
        pause.wait()
        begun.deliver(left(ago(1), joined_at=ago(12)))
        assert not present(begun)
        pause.over()
    assert not present(begun)


def test_a_reader_who_was_slow_to_find_the_session_cannot_put_old_facts_over_new(
    begun: Rollcall, settings: Settings
) -> None:
    """SQLite shows a transaction one moment only: that of its first look."""
    with (
        serving(settings) as slow,
        pausing(slow.backend.engine, after="FROM sessions WHERE sessions.id") as pause,
        aside(lambda: present(slow)),
    ):
        pause.wait()
        begun.deliver(left(ago(1), joined_at=ago(12)))
        pause.over()
    assert not present(begun)


def test_a_slow_reader_cannot_put_an_old_meaning_of_a_rooms_name_over_the_new_one(
    rollcall: Rollcall, settings: Settings
) -> None:
    with (
        serving(settings) as slow,
        pausing(slow.backend.engine, after="sessions.scheduled_at, sessions.id") as pause,
        aside(lambda: present(slow, "quran-98")) as old_answer,
    ):
        pause.wait()
        rollcall.deliver(joined(ago(1), room_created=ago(2)))
        pause.over()
        assert old_answer.result(20) is False
    assert present(rollcall, "quran-98")


def test_a_reader_who_is_not_disturbed_does_fill_the_cache(
    begun: Rollcall, settings: Settings
) -> None:
    """The tests above would pass with a cache that never keeps anything."""
    with (
        serving(settings) as slow,
        pausing(slow.backend.engine, after=CYCLES) as pause,
        aside(lambda: present(slow)),
    ):
        pause.wait()
        begun.deliver(joined(ago(1), sid="PA_2", room="RM_2", room_name="b", room_created=ago(2)))
        pause.over()
    assert outcome(begun) == "hit"


def test_a_second_reader_does_not_wait_for_a_filler_who_is_gone(begun: Rollcall) -> None:
    begun.backend.redis.flushall()
    begun.backend.redis.set(entry.place("filler", "98"), b"1")
    assert present(begun)
    assert entry.is_filled(begun.backend.redis, "98"), "and leaves it the right to fill"


def test_many_who_ask_at_once_all_hear_the_truth(begun: Rollcall, settings: Settings) -> None:
    begun.deliver(*(joined(ago(9), sid=f"PA_pupil-{n}", user=f"pupil-{n}") for n in range(8)))
    with serving(settings) as other:

        def asker(number: int) -> Callable[[], bool]:
            asking = other.another()
            return lambda: present(asking, user=f"pupil-{number}")

        assert together(*map(asker, range(8))) == [True] * 8


# --- life -----------------------------------------------------------------------------------------


def life_ms(rollcall: Rollcall, what: str, name: str) -> int:
    return int(str(rollcall.backend.redis.pttl(entry.place(what, name))))


@pytest.mark.parametrize(("address", "what"), [("98", "fresh-facts"), ("quran-98", "fresh-name")])
def test_facts_live_for_ten_seconds_from_when_they_were_read(
    begun: Rollcall, settings: Settings, address: str, what: str
) -> None:
    with (
        serving(settings) as slow,
        pausing(slow.backend.engine, after=CYCLES if what == "fresh-facts" else ROOMS) as pause,
        aside(lambda: present(slow, address)),
    ):
        pause.wait()
        began = monotonic()
        wait_for(lambda: monotonic() - began > 0.3)
        pause.over()
    assert 0 < life_ms(begun, what, address) <= 9_700


def test_reading_facts_does_not_prolong_their_life(begun: Rollcall) -> None:
    present(begun)
    before = life_ms(begun, "fresh-facts", "98")
    wait_for(lambda: life_ms(begun, "fresh-facts", "98") < before)
    present(begun)
    assert life_ms(begun, "fresh-facts", "98") < before


def test_facts_that_another_version_of_rollcall_packed_are_read_anew(begun: Rollcall) -> None:
    assert present(begun)
    for key in begun.backend.redis.scan_iter("rc:*-facts"):
        begun.backend.redis.hset(key, "u:5", '[["PA_1", "5", "a field less"]]')
    assert [outcome(begun) for _ in range(2)] == ["miss", "hit"]
    assert present(begun)


def test_all_keys_of_a_session_share_a_hash_tag(begun: Rollcall) -> None:
    present(begun)
    keys = [key.decode() for key in cast("list[bytes]", begun.backend.redis.keys("rc:*"))]
    assert keys
    assert all(key.count("{") == key.count("}") == 1 for key in keys)
    assert len({key.partition("}")[0] for key in keys if "-facts" in key or ":ticket" in key}) <= 2


# --- large sessions -------------------------------------------------------------------------------


def test_a_large_session_is_filled_person_by_person(
    rollcall: Rollcall,
) -> None:
    people = [f"pupil-{n}" for n in range(cache.WHOLE_UP_TO + 1)]
    rollcall.put("98", room_name="quran-98")
    rollcall.put_in(joined(ago(9), sid=f"PA_{user}", user=user) for user in people)
    rollcall.drain()
    for user in (people[0], people[-1], "nobody"):
        assert outcome(rollcall, user=user) == "miss"
        assert outcome(rollcall, user=user) == "hit"
        assert present(rollcall, user=user) is (user != "nobody")
    kept = cast("list[bytes]", rollcall.backend.redis.hkeys(entry.place("fresh-facts", "98")))
    assert len([one for one in kept if one.startswith(b"u:")]) == 3
    rollcall.deliver(left(ago(1), sid="PA_pupil-0", user="pupil-0", joined_at=ago(9)))
    assert not present(rollcall, user="pupil-0")
    assert present(rollcall, user="pupil-500")


# --- how much is asked of the database ------------------------------------------------------------


@on_postgresql
@pytest.mark.parametrize(
    ("address", "first", "again"),
    [("98", 2, 1), ("scheduled", 2, 1), ("quran-98", 4, 3)],
    ids=["by its id", "by its id, with a schedule", "by its room's name"],
)
def test_a_miss_is_few_statements_and_one_less_where_the_session_was_read_before(
    begun: Rollcall, address: str, first: int, again: int
) -> None:
    begun.put("scheduled", room_name="quran-98", scheduled_at="2026-03-01T09:00:00Z")
    begun.status(address)  # which rooms may ask for it is remembered
    for session_id in ("98", "scheduled"):  # whose place nobody remembers
        begun.backend.places.note(Session(id=session_id, room_name="", rooms=("a*",)))
    assert [statements_of_a_miss(begun, address) for _ in range(2)] == [first, again]


def statements_of_a_miss(rollcall: Rollcall, address: str = "98") -> int:
    rollcall.backend.redis.flushdb()
    with counting(rollcall.backend.engine) as statements:
        assert rollcall.status(address).headers["X-Cache"] == "miss"
    return len(statements)


@on_postgresql
@pytest.mark.parametrize(
    "moved",
    [
        {"room_name": "elsewhere"},
        {"room_name": "quran-98", "rooms": ["elsewhere"]},
        {"room_name": "quran-98", "rooms": ["else*"]},
        {"room_name": "quran-98", "scheduled_at": "2026-03-01T09:00:00Z"},
    ],
    ids=["another room", "one more room", "rooms by their beginning", "a schedule"],
)
def test_a_session_that_is_not_where_it_was_read_last_is_read_anew(
    begun: Rollcall, moved: dict[str, Any]
) -> None:
    begun.deliver(joined(ago(9), sid="PA_2", room="RM_2", room_name="elsewhere", user="6"))
    begun.status()
    begun.put("98", **moved)
    of = token("5", moved["room_name"])
    missed = begun.status(of=of)
    begun.backend.redis.flushdb()
    begun.backend.places.note(Session(id="98", room_name="nowhere"))
    asked_elsewhere = begun.status(of=of)
    assert missed.headers["X-Cache"] == asked_elsewhere.headers["X-Cache"] == "miss"
    assert without(told(missed), *GROWS) == without(told(asked_elsewhere), *GROWS)
    if "*" not in str(moved):
        assert begun.backend.places.session("98") is not None


def test_what_is_remembered_of_sessions_has_a_bound() -> None:
    remembered = Places()
    for number in range(places.MOST + 1):
        remembered.note(Session(id=str(number), room_name="quran-98"))
    assert remembered.session("0") is None
    assert remembered.session("1") == Session(id="1", room_name="quran-98")


# --- how often Redis is asked ---------------------------------------------------------------------


def test_a_miss_is_three_round_trips_to_redis(
    begun: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun.status()
    begun.backend.redis.flushdb()
    sent: list[Any] = []
    whole = QuickRedis.execute_command

    def counted(self: QuickRedis, *words: Any, **options: Any) -> Any:
        sent.append(words[0])
        return whole(self, *words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(QuickRedis, "execute_command", counted)
        assert outcome(begun) == "miss"
    assert sent == ["HMGET", "EVAL", "EVAL"]


@pytest.mark.parametrize("address", ["98", "quran-98"])
def test_whoever_filled_the_cache_lets_others_fill_it_at_once(
    begun: Rollcall, address: str
) -> None:
    for _ in ("it is read", "it is read anew"):
        assert outcome(begun, address) == "miss"
        assert not entry.is_filled(begun.backend.redis, address)
        assert not entry.is_filled(begun.backend.redis, "98")
        cache.clear(begun.backend.redis, [address, "98"])


# --- many sessions --------------------------------------------------------------------------------

MANY_VISITS = text(
    "INSERT INTO cycles (cycle_id, room_sid, user_id, name_rank, hidden, joined_rank, left_rank,"
    " claimed_rank) SELECT 'PA_other_' || n, 'RM_' || n / 20, '5', '', false, '', '', ''"
    " FROM generate_series(1, 10000) n"
)


@on_postgresql
def test_a_miss_reads_the_visits_of_its_own_session_however_many_others_there_are(
    begun: Rollcall,
) -> None:
    asked: list[tuple[str, Any]] = []

    def executed(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    engine = begun.backend.engine
    with db.writing(engine) as conn:
        conn.execute(MANY_VISITS)
        conn.execute(text("ANALYZE cycles"))
    hooks.listen(engine, "before_cursor_execute", executed)
    assert outcome(begun) == "miss"
    hooks.remove(engine, "before_cursor_execute", executed)
    assert asked
    with engine.connect() as conn:
        for statement, parameters in asked:
            explained = conn.exec_driver_sql(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
            )
            assert read_in_vain(explained.scalar_one()[0]["Plan"]) < 100, statement


def read_in_vain(plan: dict[str, Any]) -> int:
    """Rows that PostgreSQL read and did not want."""
    own: int = plan.get("Rows Removed by Filter", 0)
    return own + sum(map(read_in_vain, plan.get("Plans", ())))


# --- without Redis --------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["98", "quran-98"])
def test_without_redis_the_database_answers_and_the_header_says_so(
    begun: Rollcall, settings: Settings, address: str
) -> None:
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    with serving(away) as rollcall:
        answers = [rollcall.status(address) for _ in range(2)]
        assert [one.headers["X-Cache"] for one in answers] == ["bypass", "bypass"]
        expected = without(told(begun.status(address)), *GROWS)
        assert without(told(answers[1]), *GROWS) == expected
        visit = told(rollcall.join("98", of=token("guest")))["visit"]
        assert rollcall.leave(visit, of=token("guest")).status_code == 200


# --- nothing is lost on the way -------------------------------------------------------------------

FULL_SESSION = Session(
    id="جلسة ٩٨",
    room_name="room \u202e /?#%",
    made_by="registered",
    session_type="academic",
    academy_id="7",
    scheduled_at=at("14:00:00.000001"),
    duration_minutes=61,
    late_after_minutes=11,
    minimum_percentage=66.7,
    expected=(Person('quote"back\\slash\ttab', "Aisha"),),
    rooms=("side-*",),
    title="Quran, week 3",
    course_id="quran-autumn",
    hosts=("teacher", 'quote"'),
    labels=("online", "بنات"),
)
FULL_ROOM = Room(
    sid="RM_1",
    name="room \u202e /?#%",
    created_at=at("13:50:00.123"),
    last_event_at=at("15:00"),
    started_at=at("13:50"),
    finished_at=at("15:00"),
    named_session="جلسة ٩٨",
    named_rank="3|1",
    starts=(at("13:50:02"), at("14:05")),
    end_reason="ROOM_END_API_DELETE",
    end_rank="5",
    superseded_at=at("15:30:00.999999"),
)
NEXT_ROOM = Room("RM_2", FULL_ROOM.name, at("15:30:00.999999"), at("15:31"))
FULL_CYCLE = Cycle(
    cycle_id="PA_1",
    user_id='quote"back\\slash\ttab',
    room_sid="RM_1",
    named_session="98",
    room_name=FULL_ROOM.name,
    name="عائشة",
    name_rank="1",
    kind="SIP",
    hidden=True,
    joined_at=at("14:00:00.000001"),
    joined_rank="2",
    left_at=at("14:30"),
    left_rank="3",
    aborted_at=at("14:31"),
    client_joined_at=at("14:32"),
    client_left_at=at("14:33"),
    last_seen_at=at("14:34"),
    disconnect_reason="CLIENT_INITIATED",
    source="import",
    claimed_sid="PA_2",
    claimed_rank="4",
    session_type="academic",
    academy_id="7",
)
BARE_CYCLE = Cycle("VI_1", FULL_CYCLE.user_id, named_session=FULL_SESSION.id, joined_at=at("14:10"))


@pytest.mark.parametrize(
    "one", [FULL_SESSION, FULL_ROOM, FULL_CYCLE], ids=lambda one: type(one).__name__
)
def test_the_fact_has_a_value_of_its_own_in_every_field(one: Any) -> None:
    of_type = signature(type(one)).parameters.values()
    same = [it.name for it in of_type if getattr(one, it.name) == it.default]
    assert same == (["made_by"] if isinstance(one, Session) else [])


def test_every_field_of_every_fact_comes_out_of_the_cache_as_it_went_in(
    rollcall: Rollcall,
) -> None:
    with db.writing(rollcall.backend.engine) as conn:
        session.store(conn, FULL_SESSION, now=datetime.now(UTC))
        conn.execute(room.rooms.insert(), [room.as_row(one) for one in (FULL_ROOM, NEXT_ROOM)])
        for one in (FULL_CYCLE, BARE_CYCLE):
            conn.execute(cycle.cycles.insert(), cycle.as_row(one))
    stored, kept = (
        cache.read(rollcall.backend, FULL_SESSION.id, FULL_CYCLE.user_id) for _ in range(2)
    )
    assert (stored.outcome, kept.outcome) == ("miss", "hit")
    assert stored.meeting is not None
    assert kept.meeting is not None
    assert stored.meeting.session == FULL_SESSION
    assert kept.meeting.session == replace(FULL_SESSION, expected=())
    assert stored.meeting.rooms == kept.meeting.rooms == (FULL_ROOM, NEXT_ROOM)
    assert list(stored.cycles) == list(kept.cycles) == [FULL_CYCLE, BARE_CYCLE]
    assert stored.meeting.calendars == kept.meeting.calendars != {}
    assert stored.expecting == kept.expecting == {FULL_SESSION.id}
