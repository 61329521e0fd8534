"""Erasure: a person is forgotten everywhere, for good, and what they were part of still adds up."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from sqlalchemy import select, update

from models.domain import event as events
from models.ledger import erasure
from models.ledger.identities import Identity
from models.settings.settings import Settings
from models.storage import db
from models.tables.pending_event import pending_events
from models.tables.room import rooms
from models.tables.webhook_event import pending_row, webhook_events
from tests.build import DAY, aborted, at, joined, left, room_finished, room_started, webhook
from tests.doors import (
    Rollcall,
    Row,
    a_worker,
    ago,
    aside,
    bearer,
    on_postgresql,
    on_sqlite,
    ops_token,
    problem,
    rows,
    serving,
    token,
    told,
    wait_for,
    waits_for_a_lock,
    without,
)
from tests.faults import free_port
from tests.terminal import Terminal
from worker.inbox import spool
from worker.operations import erase

SOMEBODY, NAME = "maryam-7f3a", "Maryam al-Idrisi"
THEIR: Any = {"user": SOMEBODY, "name": NAME}


def delete(rollcall: Rollcall, user: str = SOMEBODY, **query: str) -> Any:
    url = f"/api/users/{user}"
    return rollcall.client.delete(url, query_string=query, headers=bearer(ops_token()))


def counts(cycles: int, events: int, sessions: int) -> Row:
    """What an erasure of so much answers."""
    return {
        "cycles": cycles,
        "events": events,
        "sessions": sessions,
        "corrections": 0,
        "copies_left": [],
    }


def everything(rollcall: Rollcall) -> dict[str, list[Row]]:
    return {table.name: rows(rollcall.backend, table) for table in db.metadata.sorted_tables}


def cached(rollcall: Rollcall) -> str:
    """All that Redis holds of facts and events."""
    redis: Redis = rollcall.backend.redis
    keys = sorted(redis.scan_iter("rc:*-facts"))
    return str([redis.hgetall(key) for key in keys]) + str(redis.xrange(spool.SPOOL))


def is_gone(rollcall: Rollcall) -> bool:
    said = str(everything(rollcall)) + cached(rollcall)
    return SOMEBODY not in said and NAME not in said


@pytest.fixture
def a_class(rollcall: Rollcall) -> Rollcall:
    """A class that expects two people; one of them comes three times, once by hand."""
    expected = [{"user_id": SOMEBODY, "name": NAME}, {"user_id": "6", "name": "Zayd"}]
    rollcall.put("98", room_name="quran-98", expected=expected)
    told(rollcall.join("98", of=token(SOMEBODY), name=NAME))
    rollcall.deliver(
        room_started("13:50"),
        joined("14:00", **THEIR),
        left("14:10", **THEIR),
        joined("14:12", sid="PA_2", **THEIR),
        joined("14:00", sid="PA_6", user="6", name="Zayd"),
        aborted("13:59", sid="PA_0", user=SOMEBODY),
    )
    return rollcall


def test_nothing_of_a_person_stays_anywhere(a_class: Rollcall) -> None:
    a_class.status(of=token(SOMEBODY))
    assert SOMEBODY in cached(a_class)
    before = a_class.facts()
    assert told(delete(a_class)) == counts(4, 5, 1)
    assert is_gone(a_class)
    after = a_class.facts()
    assert [row["cycle_id"] for row in after["cycles"]] == [
        row["cycle_id"] for row in before["cycles"]
    ]
    assert [row["name"] for row in after["cycles"] if row["user_id"] == "6"] == ["Zayd"]
    assert {row["user_id"]: row["name"] for row in after["sessions"][0]["expected"]}["6"] == "Zayd"


def test_in_a_session_one_pseudonym_takes_their_place_and_their_attendance_adds_up(
    a_class: Rollcall,
) -> None:
    a_class.deliver(left("14:20", sid="PA_2", **THEIR), room_finished("15:00"))
    told(a_class.leave(by_hand(a_class), of=token(SOMEBODY)))  # what is open grows while we look
    [line] = [one for one in roster(a_class) if one["user_id"] == SOMEBODY]
    delete(a_class)
    [other] = [one for one in roster(a_class) if one["user_id"] != "6"]
    assert other["user_id"].startswith("erased-")
    assert other["name"] is None
    assert other["duration_seconds"] == line["duration_seconds"]
    assert other["join_count"] == line["join_count"]
    ledger = {row["user_id"] for row in a_class.ledger() if row["user_id"] is not None}
    assert ledger == {other["user_id"], "6"}
    assert a_class.seen("98", user=SOMEBODY)["attendance_status"] in ("not_joined", "absent")


def by_hand(rollcall: Rollcall) -> str:
    """The visit of the manual join."""
    [visit] = [row["cycle_id"] for row in rollcall.facts()["cycles"] if row["room_sid"] is None]
    return str(visit)


def roster(rollcall: Rollcall) -> list[Row]:
    found: list[Row] = told(rollcall.roster("98"))["attendances"]
    return found


def test_neither_replay_nor_rebuild_brings_them_back(a_class: Rollcall, terminal: Terminal) -> None:
    delete(a_class)
    before = without(everything(a_class), "revisions")
    terminal.json("events", "replay", "--status=applied")
    a_class.drain()
    assert without(everything(a_class), "revisions") == before
    assert terminal.json("events", "verify")["differences"] == []
    terminal.json("sessions", "rebuild", "--all", "--yes")
    assert without(everything(a_class), "revisions") == before


def test_what_comes_later_for_a_visit_of_theirs_takes_the_pseudonym(a_class: Rollcall) -> None:
    delete(a_class)
    a_class.deliver(left("14:40", sid="PA_2", **THEIR), left("14:41", sid="PA_6", user="6"))
    assert is_gone(a_class)
    by_id = {row["cycle_id"]: row for row in a_class.facts()["cycles"]}
    assert by_id["PA_2"]["user_id"] == by_id["PA_1"]["user_id"]
    assert by_id["PA_2"]["left_at"] is not None
    assert by_id["PA_6"]["user_id"] == "6"


def test_what_waits_failed_or_was_spooled_takes_the_pseudonym_too(a_class: Rollcall) -> None:
    a_class.send(joined("14:30", sid="PA_3", **THEIR), joined("14:31", sid="PA_4", **THEIR))
    failed = webhook_events.c.participant_sid == "PA_4"
    broken: Row = {"participant": {"identity": SOMEBODY, "name": NAME, "sid": "PA_4"}}
    words = {"status": "failed", "payload": broken, "error": f"DataError: no such {NAME}"}
    with db.writing(a_class.backend.engine) as conn:
        conn.execute(update(webhook_events).where(failed).values(**words))
        theirs = select(webhook_events.c.id).where(failed)
        conn.execute(pending_events.delete().where(pending_events.c.id.in_(theirs)))
    late = left("14:32", sid="PA_5", user=SOMEBODY)
    payload = {"participant": {"identity": SOMEBODY}}
    spool.add(a_class.backend.redis, pending_row(late, payload, received_at=late.created_at))
    delete(a_class)
    assert is_gone(a_class)
    [row] = [row for row in a_class.ledger() if row["status"] == "failed"]
    assert row["error"] == "DataError"
    a_class.drain()
    assert is_gone(a_class)


def test_whoever_was_erased_and_comes_again_is_somebody_new(a_class: Rollcall) -> None:
    delete(a_class)
    a_class.deliver(joined("14:50", sid="PA_9", **THEIR))
    by_id = {row["cycle_id"]: row["user_id"] for row in a_class.facts()["cycles"]}
    assert by_id["PA_9"] == SOMEBODY
    first = by_id["PA_1"]
    delete(a_class)
    by_id = {row["cycle_id"]: row["user_id"] for row in a_class.facts()["cycles"]}
    assert is_gone(a_class)
    assert by_id["PA_1"] == first != by_id["PA_9"]


def test_an_open_visit_by_hand_is_theirs_no_more(a_class: Rollcall) -> None:
    visit = by_hand(a_class)
    delete(a_class)
    assert problem(a_class.leave(visit, of=token(SOMEBODY))) == (404, "no-visit")
    assert is_gone(a_class)


def test_an_erasure_that_was_cut_short_is_finished_with_the_same_pseudonym(
    a_class: Rollcall,
) -> None:
    with db.writing(a_class.backend.engine) as conn:
        theirs = frozenset(each.cycle_id for each in erasure.cycles_of(conn, SOMEBODY))
        hidden = erasure.remember(conn, [Identity(theirs, frozenset({"98"}))])
        [begun] = set(hidden.values())
        erasure.rename_cycles(conn, {"PA_1": begun})
    delete(a_class)
    assert is_gone(a_class)
    assert {row["pseudonym"] for row in everything(a_class)["erasures"]} == {begun}
    assert {row["user_id"] for row in a_class.facts()["cycles"]} == {begun, "6"}


# --- a pseudonym for each session -----------------------------------------------------------------


@pytest.fixture
def two_classes(rollcall: Rollcall) -> Rollcall:
    """Two classes of one room, a day apart, that expect two people, who come to both; and an open
    room that one of them came to."""
    expected = [{"user_id": SOMEBODY, "name": NAME}, {"user_id": "6", "name": "Zayd"}]
    rollcall.put(
        "98", room_name="quran-98", scheduled_at=at("14:00").isoformat(), expected=expected
    )
    rollcall.put(
        "99", room_name="quran-98", scheduled_at=at("14:00 +1").isoformat(), expected=expected
    )
    second: Any = {"room": "RM_2", "room_created": "13:50 +1"}
    cafe: Any = {"room": "RM_3", "room_name": "cafe", "room_created": "18:00"}
    rollcall.deliver(
        joined("14:00", **THEIR),
        left("15:00", **THEIR),
        joined("14:00", sid="PA_6", user="6"),
        left("15:00", sid="PA_6", user="6"),
        room_finished("15:01"),
        joined("14:05 +1", sid="PA_2", joined_at="14:05 +1", **THEIR, **second),
        left("15:00 +1", sid="PA_2", joined_at="14:05 +1", **THEIR, **second),
        joined("18:00", sid="PA_3", joined_at="18:00", **THEIR, **cafe),
        left("18:10", sid="PA_3", joined_at="18:00", **THEIR, **cafe),
    )
    return rollcall


def lines(rollcall: Rollcall, session: str) -> list[Row]:
    """The roster of a session, without who it is."""
    listed: list[Row] = told(rollcall.roster(session))["attendances"]
    who = ("user_id", "name", "participant_name", "as_of")
    return sorted((without(line, *who) for line in listed), key=str)


def test_each_session_has_a_pseudonym_of_its_own_and_tells_the_same(two_classes: Rollcall) -> None:
    sessions = ("98", "99", f"cafe@{DAY.date()}")
    before = {each: lines(two_classes, each) for each in sessions}
    assert [len(before[each]) for each in sessions] == [2, 2, 1]
    delete(two_classes)
    assert is_gone(two_classes)
    assert {each: lines(two_classes, each) for each in sessions} == before
    by_id = {row["cycle_id"]: row["user_id"] for row in two_classes.facts()["cycles"]}
    assert len({by_id[key] for key in ("PA_1", "PA_2", "PA_3")}) == 3
    expected = {
        row["id"]: {each["user_id"] for each in row["expected"]}
        for row in two_classes.facts()["sessions"]
    }
    assert expected["98"] == {by_id["PA_1"], "6"}
    assert expected["99"] == {by_id["PA_2"], "6"}


def test_the_ledger_tells_the_same_of_several_pseudonyms(
    two_classes: Rollcall, terminal: Terminal
) -> None:
    delete(two_classes)
    two_classes.deliver(left("15:00 +1", sid="PA_2", joined_at="14:05 +1", **THEIR))
    by_id = {row["cycle_id"]: row["user_id"] for row in two_classes.facts()["cycles"]}
    ledger = {(row["participant_sid"], row["user_id"]) for row in two_classes.ledger()}
    assert ledger - {(None, None)} == set(by_id.items())
    before = without(everything(two_classes), "revisions")
    terminal.json("events", "replay", "--status=applied")
    two_classes.drain()
    assert without(everything(two_classes), "revisions") == before
    assert terminal.json("events", "verify")["differences"] == []
    terminal.json("sessions", "rebuild", "--all", "--yes")
    assert without(everything(two_classes), "revisions") == before


def test_a_visit_that_two_sessions_share_has_one_pseudonym_in_both(rollcall: Rollcall) -> None:
    expected = [{"user_id": SOMEBODY, "name": NAME}]
    for session, start in (("98", "14:00"), ("99", "15:00")):
        rollcall.put(
            session, room_name="quran-98", scheduled_at=at(start).isoformat(), expected=expected
        )
    rollcall.deliver(joined("14:00", **THEIR), left("15:30", **THEIR))
    before = lines(rollcall, "98"), lines(rollcall, "99")
    delete(rollcall)
    assert (lines(rollcall, "98"), lines(rollcall, "99")) == before
    assert len({row["user_id"] for row in rollcall.facts()["cycles"]}) == 1
    assert is_gone(rollcall)


def test_whoever_came_and_is_not_folded_yet_is_no_guest_beside_an_absent_one(
    two_classes: Rollcall,
) -> None:
    """Their events wait, or failed, while they are erased."""
    later: Any = {"room": "RM_4", "room_created": "13:50 +2", "joined_at": "14:01 +2"}
    expected = [{"user_id": SOMEBODY, "name": NAME}]
    two_classes.put(
        "100", room_name="quran-98", scheduled_at=at("14:00 +2").isoformat(), expected=expected
    )
    two_classes.send(
        joined("14:01 +2", sid="PA_4", **THEIR, **later),
        left("14:50 +2", sid="PA_4", **THEIR, **later),
    )
    delete(two_classes)
    two_classes.drain()
    [line] = told(two_classes.roster("100"))["attendances"]
    assert line["join_count"] == 1
    by_id = {row["cycle_id"]: row["user_id"] for row in two_classes.facts()["cycles"]}
    assert by_id["PA_4"] == line["user_id"] != by_id["PA_1"]
    assert is_gone(two_classes)


def test_what_the_cache_knows_of_whom_a_class_expects_goes_too(rollcall: Rollcall) -> None:
    """It stands with the name of the class's room, which means that class for them."""
    expected = [{"user_id": SOMEBODY, "name": NAME}]
    rollcall.put("98", room_name="quran-98", scheduled_at=ago(5).isoformat(), expected=expected)
    rollcall.status("quran-98", of=token(SOMEBODY))
    assert SOMEBODY in in_redis(rollcall)
    assert told(delete(rollcall)) == counts(0, 0, 1)
    assert SOMEBODY not in in_redis(rollcall)
    assert is_gone(rollcall)


def in_redis(rollcall: Rollcall) -> str:
    """All that Redis holds."""
    redis: Redis = rollcall.backend.redis
    return str([redis.dump(key) for key in redis.scan_iter("*")])


def test_verify_names_an_event_that_still_names_somebody_and_rebuild_mends_it(
    a_class: Rollcall, terminal: Terminal
) -> None:
    delete(a_class)
    theirs = webhook_events.c.participant_sid == "PA_1"
    with db.writing(a_class.backend.engine) as conn:
        conn.execute(update(webhook_events).where(theirs).values(user_id=SOMEBODY))
    said = terminal.json("events", "verify", exits=1)
    assert {one["told"] for one in said["differences"]} == {
        "it still names somebody who was erased"
    }
    terminal.json("sessions", "rebuild", "--all")
    assert is_gone(a_class)


@on_postgresql
def test_a_drain_that_has_their_events_in_hand_brings_nobody_back(
    a_class: Rollcall, settings: Settings, postgres_url: str
) -> None:
    """It read them before the erasure, which waits for it."""
    a_class.send(joined("14:30", sid="PA_3", **THEIR), left("14:35", sid="PA_2", **THEIR))
    with a_worker(settings) as other, db.writing(other.engine) as holding:
        holding.execute(select(rooms).with_for_update())
        with aside(a_class.drain) as drained:
            wait_for(lambda: waits_for_a_lock(postgres_url))
            with a_worker(settings) as third, aside(lambda: erase.erase(third, SOMEBODY)) as done:
                wait_for(lambda: waits_for_a_lock(postgres_url) == 2)
                holding.rollback()
                assert drained.result(20) == 2
                assert done.result(20).cycles == 5
    assert {row["status"] for row in a_class.ledger()} == {"applied"}
    assert is_gone(a_class)


def spooled(rollcall: Rollcall) -> None:
    """Somebody of whom nothing is known came while the database was away."""
    came = joined("14:32", sid="PA_5", **THEIR)
    payload = events.redact(webhook(came))
    spool.add(rollcall.backend.redis, pending_row(came, payload, received_at=came.created_at))


@on_sqlite
def test_whoever_is_only_in_the_spool_is_erased(rollcall: Rollcall, terminal: Terminal) -> None:
    spooled(rollcall)
    assert terminal.json("users", "erase", SOMEBODY, "--dry-run")["events"] == 1
    assert terminal.json("users", "erase", SOMEBODY, "--yes")["events"] == 1
    rollcall.drain()
    assert is_gone(rollcall)


@on_sqlite
def test_the_api_erases_whoever_is_only_in_the_spool(rollcall: Rollcall) -> None:
    spooled(rollcall)
    assert told(delete(rollcall)) == counts(1, 1, 0)
    rollcall.drain()
    assert is_gone(rollcall)


@on_sqlite
def test_without_redis_an_erasure_says_that_it_is_not_all(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}"})
    with serving(gone) as rollcall:
        terminal = Terminal(rollcall.client.application)
        result = terminal("users", "erase", SOMEBODY, "--yes")
        assert result.exit_code == 1
        assert "Redis does not answer" in result.stderr
        rollcall.put_in([joined(**THEIR)])
        answer = delete(rollcall)
        assert problem(answer) == (503, "redis-down")
        assert answer.headers["Retry-After"]
        assert rollcall.ledger()[0]["user_id"] == SOMEBODY
        result = terminal("users", "erase", SOMEBODY, "--yes")
        assert result.exit_code == 1
        assert "Erased them from 1 visit, 1 event" in result.stdout
        assert "run this again when it answers" in result.stderr
        assert SOMEBODY not in str(everything(rollcall))


@on_sqlite
def test_a_dry_run_changes_nothing(a_class: Rollcall, terminal: Terminal) -> None:
    before = everything(a_class)
    assert told(delete(a_class, dry_run="true")) == counts(4, 5, 1)
    assert terminal.json("users", "erase", SOMEBODY, "--dry-run") == counts(4, 5, 1)
    assert problem(delete(a_class, **{"dry-run": "true"})) == (400, "invalid")
    assert everything(a_class) == before


@on_sqlite
def test_nobody_is_erased_without_somebodys_word(a_class: Rollcall, terminal: Terminal) -> None:
    assert "Say so with --yes" in terminal.refused("users", "erase", SOMEBODY)
    assert not is_gone(a_class)
    result = terminal("users", "erase", SOMEBODY, "--yes")
    assert "4 visits, 5 events, 0 corrections and 1 list of expected people" in result.stdout
    assert SOMEBODY not in result.output
    assert NAME not in result.output
    assert is_gone(a_class)


@on_sqlite
def test_whom_nobody_knows_is_said_to_be_unknown(rollcall: Rollcall, terminal: Terminal) -> None:
    assert problem(delete(rollcall)) == (404, "unknown-user")
    result = terminal("users", "erase", SOMEBODY, "--yes")
    assert result.exit_code == 1
    assert "Nothing is kept" in result.stderr


@on_sqlite
def test_only_operators_erase(a_class: Rollcall) -> None:
    theirs = bearer(token(SOMEBODY, roomAdmin=True))
    answer = a_class.client.delete(f"/api/users/{SOMEBODY}", headers=theirs)
    assert problem(answer) == (403, "forbidden")
    assert not is_gone(a_class)


@on_sqlite
def test_an_id_that_no_path_carries_can_be_erased(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(user="a/b"))
    assert told(delete(rollcall, "-", user_id="a/b"))["cycles"] == 1
