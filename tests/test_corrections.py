"""Corrections: what a teacher or an operator says beside the facts. They count at once, everywhere,
in whatever order they come, and are undone by a further event."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from models.domain.corrections import Correction, effective
from models.domain.event import Event
from models.settings.settings import Settings
from models.storage import bulk, db
from models.tables import correction
from models.tables.correction import corrections
from models.tables.session import sessions
from models.tables.webhook_event import webhook_events
from tests.build import Words, joined, left, room_finished
from tests.doors import (
    Rollcall,
    a_worker,
    aside,
    bearer,
    on_postgresql,
    on_sqlite,
    ops_token,
    problem,
    session_url,
    token,
    told,
    wait_for,
    waits_for_a_lock,
)
from tests.terminal import Terminal
from webhooks.api.correction_checks import MOST_CORRECTIONS
from worker.operations import erase

Row = dict[str, Any]
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """One moment for all of a test, of whole seconds, as those at which LiveKit says who left."""
    monkeypatch.setattr("tests.test_corrections.NOW", datetime.now(UTC).replace(microsecond=0))


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


@pytest.fixture
def a_class(rollcall: Rollcall) -> Rollcall:
    """A class of an hour that ended 40 minutes ago: 5 came late, 6 and 7 never, and a phone did."""
    rollcall.put(
        "98",
        room_name="quran-98",
        scheduled_at=ago(100).isoformat(),
        late_after_minutes=5,
        minimum_percentage=50,
        expected=[{"user_id": user} for user in "567"],
    )
    rollcall.deliver(
        *stay("5", began=80, ended=41, sid="PA_5"),
        *stay("+49 30 1", began=95, ended=65, sid="PA_P", kind="SIP"),
        room_finished(ago(40), room_created=ago(101)),
    )
    return rollcall


def stay(user: str, *, began: float, ended: float, sid: str, kind: str = "STANDARD") -> list[Event]:
    words = Words(sid=sid, user=user, room_created=ago(101), joined_at=ago(began), kind=kind)
    return [joined(ago(began), **words), left(ago(ended), **words)]


def teacher(room: str = "quran-98") -> str:
    return token("teacher", room, roomAdmin=True)


def correct(
    rollcall: Rollcall, user: str, kind: str, *, of: str | None = None, on: str = "98", **more: Any
) -> TestResponse:
    body = {"user_id": user, "kind": kind, "reason": "She called."} | more
    url = session_url(on, "corrections")
    return rollcall.client.post(url, json=body, headers=bearer(of or teacher()))


def undo(rollcall: Rollcall, made: Row, *, of: str | None = None) -> TestResponse:
    url = session_url("98", f"corrections/{made['correction_id']}")
    return rollcall.client.delete(url, headers=bearer(of or teacher()))


def history(rollcall: Rollcall, *, of: str | None = None) -> list[Row]:
    url = session_url("98", "corrections")
    answer = told(rollcall.client.get(url, headers=bearer(of or teacher())))
    return list(answer["corrections"])


def lines(rollcall: Rollcall, session: str = "98") -> dict[str, Row]:
    roster = told(rollcall.roster(session))["attendances"]
    return {each["user_id"]: each for each in roster}


# --- kinds ----------------------------------------------------------------------------------------


def test_who_is_excused_is_not_absent(a_class: Rollcall) -> None:
    assert told(a_class.status("98", of=token("6")))["attendance_status"] == "absent"
    made = told(correct(a_class, "6", "excused"))
    assert (made["author"], made["undone_at"]) == ("teacher", None)
    status = told(a_class.status("98", of=token("6")))
    assert (status["attendance_status"], status["corrected"]) == ("excused", True)
    line = lines(a_class)["6"]
    assert (line["attendance_status"], line["uncorrected_status"]) == ("excused", "absent")
    assert line["meets_minimum"] is None
    summary = told(a_class.roster("98"))["summary"]
    assert (summary["absent"], summary["excused"]) == (1, 1)


def test_an_excuse_of_somebody_who_came_after_all_takes_nothing_away(a_class: Rollcall) -> None:
    correct(a_class, "6", "excused")
    a_class.deliver(*stay("6", began=80, ended=50, sid="PA_6"))
    line = lines(a_class)["6"]
    assert (line["attendance_status"], line["corrected"]) == ("completed", True)


@on_sqlite
def test_an_absence_is_excused_ahead_of_a_class_and_while_it_runs(rollcall: Rollcall) -> None:
    """Who tests their link before the class, or looks in after it, may be absent all the same."""
    expected = [{"user_id": "6"}, {"user_id": "7"}]
    for session, began in (("98", -30), ("99", 30), ("100", 100)):
        rollcall.put(
            session, room_name=f"r{session}", scheduled_at=ago(began).isoformat(), expected=expected
        )
        words = Words(sid=f"PA_{session}", user="7", room=f"RM_{session}", joined_at=ago(began + 9))
        words |= {"room_name": f"r{session}", "room_created": ago(began + 10)}
        rollcall.deliver(joined(ago(began + 9), **words), left(ago(began + 8), **words))
        for user in ("6", "7"):
            made = correct(rollcall, user, "excused", on=session, of=ops_token())
            assert made.status_code == 201, (session, user)


@on_sqlite
def test_an_excuse_of_who_was_there_or_of_a_host_changes_nothing(a_class: Rollcall) -> None:
    a_class.put("99", room_name="r", scheduled_at=ago(30).isoformat(), hosts=["teacher"])
    words = Words(sid="PA_R", user="5", room="RM_R", room_name="r", room_created=ago(31))
    a_class.deliver(joined(ago(20), **words | {"joined_at": ago(20)}))
    for session, user in (("98", "5"), ("99", "5"), ("99", "teacher")):
        refused = correct(a_class, user, "excused", on=session, of=ops_token())
        assert problem(refused) == (400, "invalid"), (session, user)
    correct(a_class, "5", "not_a_visit", participant_sid="PA_5")
    assert correct(a_class, "5", "excused").status_code == 201


def test_a_time_that_is_added_counts_like_any_other(a_class: Rollcall) -> None:
    correct(a_class, "7", "present", **{"from": ago(100).isoformat(), "to": ago(70).isoformat()})
    line = lines(a_class)["7"]
    assert line["attendance_status"] == "completed"
    assert (line["duration_minutes"], line["attendance_percentage"]) == (30, 50.0)
    assert (line["is_late"], line["meets_minimum"], line["confirmed"]) == (False, True, True)
    assert (line["uncorrected_status"], line["uncorrected_seconds"]) == ("absent", 0)
    [visit] = line["cycles"]
    assert (visit["source"], visit["ended_by"]) == ("operator", "corrected")


def test_a_time_that_was_added_last_week_counts_for_nothing_this_week(rollcall: Rollcall) -> None:
    """One id for every week."""
    words: Row = {"room_name": "quran-98", "expected": [{"user_id": "6"}, {"user_id": "7"}]}
    last_week = ago(60 * 24 * 7 + 100)
    rollcall.put("98", scheduled_at=last_week.isoformat(), **words)
    span = {"from": last_week, "to": last_week + timedelta(hours=1)}
    for user in ("6", "8"):
        correct(rollcall, user, "present", **{key: at.isoformat() for key, at in span.items()})
    correct(rollcall, "7", "excused")
    assert lines(rollcall)["6"]["attendance_percentage"] == 100
    rollcall.put("98", scheduled_at=ago(100).isoformat(), **words)
    roster = lines(rollcall)
    assert roster.keys() == {"6", "7"}
    absent = roster["6"]
    assert (absent["attendance_status"], absent["duration_seconds"]) == ("absent", 0)
    assert (absent["first_joined_at"], absent["corrected"]) == (None, False)
    assert roster["7"]["attendance_status"] == "excused"  # this stays with the id
    assert {each["kind"] for each in told(rollcall.roster("98"))["corrections"]} == {"excused"}
    assert len(history(rollcall)) == 3
    rollcall.put("98", scheduled_at=last_week.isoformat(), **words)
    assert lines(rollcall)["8"]["attendance_status"] == "completed"


def test_of_a_time_that_was_added_only_what_the_class_may_own_counts(rollcall: Rollcall) -> None:
    words: Row = {"room_name": "quran-98", "duration_minutes": 30}
    rollcall.put("98", scheduled_at=ago(180).isoformat(), **words)
    span = {"from": ago(180).isoformat(), "to": ago(150).isoformat()}
    correct(rollcall, "6", "present", **span)
    rollcall.put("98", scheduled_at=ago(100).isoformat(), **words)
    line = lines(rollcall)["6"]
    assert (line["attendance_status"], line["duration_minutes"]) == ("absent", 10)


def test_a_time_that_is_added_overlaps_nothing_twice(a_class: Rollcall) -> None:
    correct(a_class, "5", "present", **{"from": ago(90).isoformat(), "to": ago(70).isoformat()})
    line = lines(a_class)["5"]
    assert line["duration_minutes"] == 49
    assert line["uncorrected_seconds"] == 39 * 60


def test_who_was_added_is_on_the_roster_though_nobody_expected_them(a_class: Rollcall) -> None:
    correct(a_class, "8", "present", **{"from": ago(99).isoformat(), "to": ago(90).isoformat()})
    assert lines(a_class)["8"]["duration_minutes"] == 9


def test_what_is_no_visit_does_not_count(a_class: Rollcall) -> None:
    correct(a_class, "5", "not_a_visit", participant_sid="PA_5")
    line = lines(a_class)["5"]
    assert (line["attendance_status"], line["cycles"]) == ("absent", [])
    assert line["uncorrected_status"] == "completed"
    url = session_url("98", "attendance", uncounted="1")
    listed = told(a_class.client.get(url, headers=bearer(ops_token())))["uncounted"]
    assert [(each["participant_sid"], each["reason"]) for each in listed] == [("PA_5", "corrected")]


def test_a_phone_that_is_somebody_counts_as_them(a_class: Rollcall) -> None:
    correct(a_class, "+49 30 1", "same_person", **{"as": "6"})
    assert "+49 30 1" not in lines(a_class)
    line = lines(a_class)["6"]
    assert (line["attendance_status"], line["duration_minutes"]) == ("completed", 30)
    assert [visit["participant_sid"] for visit in line["cycles"]] == ["PA_P"]
    status = told(a_class.status("98", of=token("6")))
    assert (status["attendance_status"], status["duration_minutes"]) == ("completed", 30)


def test_two_devices_at_once_count_once_and_end_nothing_of_each_other(a_class: Rollcall) -> None:
    a_class.deliver(*stay("6", began=80, ended=50, sid="PA_6"))
    correct(a_class, "+49 30 1", "same_person", **{"as": "6"})
    line = lines(a_class)["6"]
    assert (line["join_count"], line["duration_minutes"]) == (2, 45)
    assert [visit["ended_by"] for visit in line["cycles"]] == ["left", "left"]


def test_for_always_counts_in_later_classes_of_the_room_only(a_class: Rollcall) -> None:
    for session, began in (("97", 60 * 24 * 7), ("99", 30)):
        words = {"scheduled_at": ago(began).isoformat(), "expected": [{"user_id": "6"}]}
        a_class.put(session, room_name="quran-98", **words)
        phone = Words(sid=f"PA_{session}", user="+49 30 1", room=f"RM_{session}")
        phone["room_created"] = ago(began)
        a_class.deliver(joined(ago(began - 1), **phone))
    assert "+49 30 1" in lines(a_class, "99")
    correct(a_class, "+49 30 1", "same_person", always=True, **{"as": "6"})
    assert "+49 30 1" in lines(a_class, "97")
    assert "+49 30 1" not in lines(a_class, "99")
    assert lines(a_class, "99")["6"]["is_currently_in_meeting"] is True


def test_what_would_lead_in_a_circle_is_refused(a_class: Rollcall) -> None:
    correct(a_class, "5", "same_person", **{"as": "6"})
    correct(a_class, "6", "same_person", **{"as": "7"})
    before = lines(a_class).keys()
    circle = correct(a_class, "7", "same_person", **{"as": "5"})
    assert problem(circle) == (400, "invalid")
    assert (circle.json or {})["errors"][0]["field"] == "as"
    assert lines(a_class).keys() == before == {"+49 30 1", "7"}


def test_an_identity_is_one_persons_until_that_is_undone(a_class: Rollcall) -> None:
    made = told(correct(a_class, "+49 30 1", "same_person", **{"as": "6"}))
    another = correct(a_class, "+49 30 1", "same_person", **{"as": "7"})
    assert problem(another) == (409, "same-person-already")
    assert made["correction_id"] in (another.json or {})["detail"]
    assert lines(a_class)["6"]["duration_minutes"] == 30
    undo(a_class, made)
    assert correct(a_class, "+49 30 1", "same_person", **{"as": "7"}).status_code == 201
    assert lines(a_class)["7"]["duration_minutes"] == 30


def test_of_what_is_for_always_one_class_may_say_otherwise(a_class: Rollcall) -> None:
    """The roster lists what counts there alone."""
    expected = [{"user_id": each} for each in ("+49 30 1", "6", "7")]
    a_class.put("99", room_name="quran-98", scheduled_at=ago(30).isoformat(), expected=expected)
    correct(a_class, "+49 30 1", "same_person", always=True, **{"as": "6"})
    once_more = correct(a_class, "+49 30 1", "same_person", on="99", **{"as": "6"})
    assert problem(once_more) == (409, "same-person-already")
    made = told(correct(a_class, "+49 30 1", "same_person", on="99", always=True, **{"as": "7"}))
    [counts] = told(a_class.roster("99"))["corrections"]
    assert counts["correction_id"] == made["correction_id"]
    [counts] = told(a_class.roster("98"))["corrections"]
    assert counts["as"] == "6"


AGAIN: dict[str, Row] = {
    "excused": {"user_id": "6"},
    "present": {"user_id": "6"},
    "not_a_visit": {"user_id": "5", "participant_sid": "PA_5"},
    "same_person": {"user_id": "+49 30 1", "as": "6", "always": True},
    "note": {"user_id": "6"},
}


@pytest.mark.parametrize("kind", AGAIN)
def test_what_counts_already_is_not_made_again(a_class: Rollcall, kind: str) -> None:
    """A retry after a lost answer, also when several come at once, and undone by undoing it."""
    more = dict(AGAIN[kind])
    if kind == "present":
        more |= {"from": ago(99).isoformat(), "to": ago(90).isoformat()}
    user = more.pop("user_id")
    before = lines(a_class)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: correct(a_class, user, kind, **more), range(4)))
    assert sorted(each.status_code for each in answers) == [200, 200, 200, 201]
    [made] = {(each.json or {})["correction_id"] for each in answers}
    assert len(history(a_class)) == 1
    undo(a_class, {"correction_id": made})
    assert lines(a_class) == before
    assert correct(a_class, user, kind, **more).status_code == 201


@on_sqlite
def test_notes_that_say_something_else_are_all_kept(a_class: Rollcall) -> None:
    for reason in ("Helped the others.", "Had no camera."):
        assert correct(a_class, "6", "note", reason=reason).status_code == 201


@on_sqlite
def test_without_a_schedule_a_time_is_added_near_what_is_known_of_it(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98")
    rollcall.deliver(*stay("5", began=80, ended=60, sid="PA_5"))
    two_days = Words(sid="PA_O", user="5", room="RM_O", room_created=ago(2881))
    rollcall.deliver(joined(ago(2880), **two_days | {"joined_at": ago(2880)}))
    for began, status in ((60 * 11, 201), (60 * 38, 201), (60 * 24, 400), (60 * 24 * 365, 400)):
        span = {"from": ago(began).isoformat(), "to": ago(began - 5).isoformat()}
        made = correct(rollcall, "6", "present", of=ops_token(), **span)
        assert made.status_code == status, began


def test_a_note_changes_nothing(a_class: Rollcall) -> None:
    before = lines(a_class)
    correct(a_class, "5", "note", reason="استأذنت")
    assert lines(a_class) == before
    [noted] = told(a_class.roster("98"))["corrections"]
    assert noted["reason"] == "استأذنت"


# --- undone, replayed, rebuilt --------------------------------------------------------------------


def test_what_is_undone_leaves_the_facts_and_its_history(a_class: Rollcall) -> None:
    before = lines(a_class)
    made = told(correct(a_class, "6", "excused"))
    assert lines(a_class) != before
    for _ in range(2):  # again changes nothing
        assert told(undo(a_class, made))["undone_by"] == "teacher"
    assert lines(a_class) == before
    assert told(a_class.roster("98"))["corrections"] == []
    [kept] = history(a_class)
    assert (kept["undone_by"], kept["reason"]) == ("teacher", "She called.")
    assert [row["event"] for row in a_class.ledger() if row["source"] == "operator"] == [
        "corrected",
        "correction_undone",
    ]


def test_it_survives_a_replay_and_a_rebuild(a_class: Rollcall, terminal: Terminal) -> None:
    correct(a_class, "+49 30 1", "same_person", **{"as": "6"})
    undone = told(correct(a_class, "7", "excused"))
    undo(a_class, undone)
    before = told(a_class.roster("98"))["attendances"]
    url = "/api/events/replay"
    a_class.client.post(url, json={"status": "any"}, headers=bearer(ops_token()))
    a_class.drain()
    assert told(a_class.roster("98"))["attendances"] == before
    assert terminal.json("events", "verify")["differences"] == []


def test_what_the_ledger_has_and_the_table_lost_is_rebuilt(
    a_class: Rollcall, terminal: Terminal
) -> None:
    made = told(correct(a_class, "6", "excused"))
    undo(a_class, told(correct(a_class, "7", "excused")))
    before = history(a_class)
    with db.writing(a_class.backend.engine) as conn:
        conn.execute(delete(corrections))
    found = terminal.json("events", "verify", "--session=98", exits=1)["differences"]
    assert {each["what"] for each in found} == {"correction"}
    assert made["correction_id"] in {each["key"] for each in found}
    terminal("sessions", "rebuild", "--all", "--yes")
    assert history(a_class) == before
    assert terminal.json("events", "verify")["differences"] == []


def test_an_undoing_that_comes_before_what_it_undoes_ends_the_same(a_class: Rollcall) -> None:
    undo(a_class, told(correct(a_class, "6", "excused")))
    before = history(a_class)
    for first in ("correction_undone", "corrected"):
        with db.writing(a_class.backend.engine) as conn:
            conn.execute(delete(corrections))
            theirs = webhook_events.c.event == first
            conn.execute(update(webhook_events).where(theirs).values(status="pending"))
        a_class.drain()
        assert history(a_class)[0]["kind"] == "excused"
        with db.writing(a_class.backend.engine) as conn:
            theirs = webhook_events.c.source == "operator"
            conn.execute(update(webhook_events).where(theirs).values(status="pending"))
        a_class.drain()
        assert history(a_class) == before


# --- erased ---------------------------------------------------------------------------------------


def test_who_is_erased_leaves_no_name_in_corrections(a_class: Rollcall) -> None:
    correct(a_class, "6", "excused", reason="Lina is ill.")
    correct(a_class, "+49 30 1", "same_person", **{"as": "6"})
    undo(a_class, told(correct(a_class, "5", "note")))
    for user in ("6", "teacher"):
        url = f"/api/users/{user}"
        assert told(a_class.client.delete(url, headers=bearer(ops_token())))["corrections"]
    kept = [*history(a_class), *a_class.ledger()]
    words = {value for each in kept for value in _values(each) if isinstance(value, str)}
    assert not {"6", "teacher", "Lina is ill."} & words
    assert sum(line["attendance_status"] == "completed" for line in lines(a_class).values()) == 2


def _values(row: Row) -> list[object]:
    payload = row.get("payload") or {}
    return [*row.values(), *payload.values()]


def test_a_rebuild_after_an_erasure_brings_nobody_back(
    a_class: Rollcall, terminal: Terminal
) -> None:
    correct(a_class, "6", "excused")
    a_class.client.delete("/api/users/6", headers=bearer(ops_token()))
    assert terminal.json("events", "verify")["differences"] == []


# --- for always, and erased --------------------------------------------------------------------


@pytest.fixture
def three_weeks(a_class: Rollcall) -> Rollcall:
    """Two classes of a room that are over and one to come, which expect 6; in both a phone was
    6, beside their own tablet in the second."""
    expected = [{"user_id": "6", "name": "Lina"}]
    for session, began in (("99", 30), ("100", -60 * 24)):
        words: Row = {"scheduled_at": ago(began).isoformat(), "duration_minutes": 20}
        a_class.put(session, room_name="quran-98", expected=expected, **words)
    for user, sid in (("+49 30 1", "PA_P99"), ("6", "PA_699")):
        told_of = Words(sid=sid, user=user, room="RM_99", room_created=ago(31), joined_at=ago(29))
        a_class.deliver(joined(ago(29), **told_of), left(ago(15), **told_of))
    correct(a_class, "+49 30 1", "same_person", always=True, **{"as": "6"})
    return a_class


def anonymous(rollcall: Rollcall, session: str) -> list[Row]:
    """The lines of a roster without who they are."""
    who = {"user_id", "name", "participant_name", "as_of"}
    found = lines(rollcall, session).values()
    return sorted(
        ({name: value for name, value in each.items() if name not in who} for each in found),
        key=str,
    )


@pytest.mark.parametrize("erased", [("6",), ("+49 30 1",), ("6", "+49 30 1"), ("+49 30 1", "6")])
def test_who_is_somebody_for_always_is_so_after_either_was_erased(
    three_weeks: Rollcall, terminal: Terminal, erased: tuple[str, ...]
) -> None:
    sessions = ("98", "99", "100")
    before = [anonymous(three_weeks, each) for each in sessions]
    assert [len(each) for each in before] == [3, 1, 1]
    for user in erased:
        url = f"/api/users/{user}"
        told(three_weeks.client.delete(url, headers=bearer(ops_token())))
    assert [anonymous(three_weeks, each) for each in sessions] == before
    url = "/api/events/replay"
    three_weeks.client.post(url, json={"status": "any"}, headers=bearer(ops_token()))
    three_weeks.drain()
    assert [anonymous(three_weeks, each) for each in sessions] == before
    assert terminal.json("events", "verify")["differences"] == []


def test_the_phone_of_somebody_erased_is_theirs_in_later_classes_too(three_weeks: Rollcall) -> None:
    three_weeks.client.delete("/api/users/6", headers=bearer(ops_token()))
    [pseudonym] = lines(three_weeks, "100")
    later = Words(sid="PA_P100", user="+49 30 1", room="RM_100", room_created=ago(-60 * 23.9))
    later["joined_at"] = ago(-60 * 23.9)
    three_weeks.deliver(joined(ago(-60 * 23.9), **later))
    assert lines(three_weeks, "100").keys() == {pseudonym} == lines(three_weeks, "99").keys()


def test_sessions_before_a_correction_for_always_keep_their_own_pseudonym(
    three_weeks: Rollcall,
) -> None:
    week = 60 * 24 * 7
    words: Row = {"scheduled_at": ago(week).isoformat(), "expected": [{"user_id": "6"}]}
    three_weeks.put("97", room_name="quran-98", **words)
    three_weeks.client.delete("/api/users/6", headers=bearer(ops_token()))
    [before], [after] = lines(three_weeks, "97"), lines(three_weeks, "99")
    assert before.startswith("erased-")
    assert before != after


@on_postgresql
def test_an_erasure_waits_for_no_drain_that_waits_for_it(
    three_weeks: Rollcall, settings: Settings, postgres_url: str
) -> None:
    """A replay put their corrections back; a drain took them, and would look up who was erased."""
    replayed = update(webhook_events).values(status="pending")
    with db.writing(three_weeks.backend.engine) as conn:
        conn.execute(replayed.where(webhook_events.c.source == "operator"))
    with a_worker(settings) as other, db.writing(other.engine) as holding:
        holding.execute(select(sessions).with_for_update())
        with a_worker(settings) as third, aside(lambda: erase.erase(third, "6")) as done:
            wait_for(lambda: waits_for_a_lock(postgres_url) == 1)
            with aside(three_weeks.drain) as drained:
                wait_for(lambda: waits_for_a_lock(postgres_url) == 2)
                assert len(takable(three_weeks)) == 1
                holding.rollback()
                assert done.result(20).corrections == 1
                assert drained.result(20) == 1
    assert {row["status"] for row in three_weeks.ledger()} == {"applied"}


def takable(rollcall: Rollcall) -> list[str]:
    """The ids of the operators' events that nobody holds."""
    column = webhook_events.c
    theirs = select(column.event_id).where(column.source == "operator").order_by(column.id)
    with db.writing(rollcall.backend.engine) as conn:
        return list(conn.execute(theirs.with_for_update(skip_locked=True)).scalars())


# --- who may, and what is refused -----------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    "of", [token("5"), token("5", "quran-99", roomAdmin=True), token("teacher", "breakout")]
)
def test_nobody_else_corrects_or_reads_corrections(a_class: Rollcall, of: str) -> None:
    made = told(correct(a_class, "6", "excused"))
    url = session_url("98", "corrections")
    assert problem(correct(a_class, "5", "note", of=of)) == (403, "forbidden")
    assert problem(undo(a_class, made, of=of)) == (403, "forbidden")
    assert problem(a_class.client.get(url, headers=bearer(of))) == (403, "forbidden")


@on_sqlite
def test_the_admin_of_a_further_room_reads_and_does_not_correct(a_class: Rollcall) -> None:
    a_class.put("98", room_name="quran-98", rooms=["group-*"], expected=[{"user_id": "6"}])
    of = teacher("group-1")
    assert a_class.roster("98", of=of).status_code == 200
    assert problem(correct(a_class, "6", "excused", of=of)) == (403, "forbidden")


@on_sqlite
def test_an_operators_token_corrects_too(a_class: Rollcall) -> None:
    assert told(correct(a_class, "6", "excused", of=ops_token()))["author"] == "operator"


@on_sqlite
@pytest.mark.parametrize(
    ("kind", "more", "field"),
    [
        ("excused", {"user_id": "nobody"}, "user_id"),
        ("excused", {"reason": ""}, "reason"),
        ("excused", {"reason": " \u00a0\n"}, "reason"),
        ("excused", {"as": "5"}, "as"),
        ("excused", {"user_id": "ü" * 129}, "user_id"),
        ("praised", {}, "kind"),
        ("present", {}, "from"),
        ("present", {"from": ago(90).isoformat()}, "to"),
        ("present", {"from": ago(90).isoformat(), "to": ago(95).isoformat()}, "to"),
        ("present", {"from": ago(-30).isoformat(), "to": ago(-60).isoformat()}, "from"),
        ("present", {"from": ago(90).isoformat(), "to": ago(-600).isoformat()}, "to"),
        ("present", {"from": ago(60 * 20).isoformat(), "to": ago(60).isoformat()}, "to"),
        ("present", {"from": ago(60 * 9).isoformat(), "to": ago(60 * 8).isoformat()}, "from"),
        ("not_a_visit", {}, "participant_sid"),
        ("not_a_visit", {"participant_sid": "PA_P"}, "participant_sid"),
        ("same_person", {}, "as"),
        ("same_person", {"as": "6"}, "as"),
        ("same_person", {"as": "x" * 257}, "as"),
        ("note", {"always": True}, "always"),
        ("note", {"user_id": "nobody"}, "user_id"),
        ("note", {"reason": "x" * 1001}, "reason"),
    ],
)
def test_what_is_wrong_is_named(a_class: Rollcall, kind: str, more: Row, field: str) -> None:
    answer = correct(a_class, more.pop("user_id", "6"), kind, **more)
    assert problem(answer) == (400, "invalid")
    assert (answer.json or {})["errors"][0]["field"] == field
    assert history(a_class) == []


@on_sqlite
def test_a_session_takes_so_many_corrections_and_no_more(
    a_class: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.api.correction_checks.MOST_CORRECTIONS", 2)
    for reason in ("1", "2"):
        assert correct(a_class, "6", "note", reason=reason).status_code == 201
    assert problem(correct(a_class, "6", "note")) == (409, "too-many-corrections")


@on_sqlite
def test_a_room_takes_so_many_corrections_for_always(
    a_class: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.api.correction_checks.MOST_ALWAYS", 2)
    more: Row = {"always": True, "as": "6"}
    made = [told(correct(a_class, phone, "same_person", **more)) for phone in ("a", "b")]
    another = correct(a_class, "c", "same_person", **more)
    assert problem(another) == (409, "too-many-corrections")
    assert correct(a_class, "6", "note").status_code == 201
    undo(a_class, made[0])
    assert correct(a_class, "c", "same_person", **more).status_code == 201


@on_sqlite
def test_who_was_in_the_next_class_alone_is_not_corrected_in_this(a_class: Rollcall) -> None:
    """It would change nothing, though both classes are of one room and one hour."""
    a_class.put("99", room_name="quran-98", scheduled_at=ago(39).isoformat(), duration_minutes=30)
    words = Words(sid="PA_G", user="guest", room="RM_2", room_created=ago(38), joined_at=ago(30))
    a_class.deliver(joined(ago(30), **words), left(ago(20), **words))
    for kind, more in (
        ("excused", {}),
        ("same_person", {"as": "6"}),
        ("not_a_visit", {"participant_sid": "PA_G"}),
    ):
        assert problem(correct(a_class, "guest", kind, **more)) == (400, "invalid"), kind
    assert correct(a_class, "guest", "same_person", on="99", **{"as": "6"}).status_code == 201


@on_sqlite
def test_what_was_taken_away_or_added_can_be_judged_again(a_class: Rollcall) -> None:
    correct(a_class, "5", "not_a_visit", participant_sid="PA_5")
    assert correct(a_class, "5", "note").status_code == 201
    span = {"from": ago(99).isoformat(), "to": ago(90).isoformat()}
    made = told(correct(a_class, "8", "present", **span))
    assert correct(a_class, "8", "note").status_code == 201
    added = correct(a_class, "8", "not_a_visit", participant_sid=made["correction_id"])
    assert problem(added) == (400, "invalid")
    assert "undo that correction" in (added.json or {})["detail"]


@on_sqlite
def test_what_is_not_there_is_not_corrected(a_class: Rollcall) -> None:
    unknown = correct(a_class, "6", "note", of=ops_token(), on="nothing")
    assert problem(unknown) == (404, "no-session")
    gone = undo(a_class, {"correction_id": "CO_none"})
    assert problem(gone) == (404, "no-correction")


@on_sqlite
def test_who_sees_one_room_of_a_session_reads_no_correction_of_others(rollcall: Rollcall) -> None:
    """Any room's metadata can name a session that nobody registered."""
    for room in ("a", "b"):
        words = Words(sid=f"PA_{room}", user=room, room=f"RM_{room}", room_name=room, names="u")
        words["room_created"] = ago(30)
        rollcall.deliver(joined(ago(20), **words))
    correct(rollcall, "b", "note", of=ops_token(), on="u", reason="of b alone")
    seen = rollcall.roster("u", of=token("teacher", "a", roomAdmin=True))
    assert told(seen)["corrections"] == []
    assert "of b alone" in rollcall.roster("u").text


def test_the_longest_ids_are_corrected_and_rebuilt(rollcall: Rollcall, terminal: Terminal) -> None:
    user = "ü" * 128
    rollcall.put("98", scheduled_at=ago(100).isoformat(), expected=[{"user_id": user}])
    assert correct(rollcall, user, "excused", of=ops_token()).status_code == 201
    assert terminal.json("events", "verify")["differences"] == []


def test_who_is_somebody_else_has_no_line_though_expected(a_class: Rollcall) -> None:
    correct(a_class, "7", "same_person", **{"as": "6"})
    assert "7" not in lines(a_class)
    assert told(a_class.roster("98"))["summary"]["total"] == 3
    listed = a_class.client.get("/api/users/7/attendance", headers=bearer(ops_token()))
    assert told(listed)["attendances"] == []


def test_what_counts_for_always_is_undone_where_it_counts(a_class: Rollcall) -> None:
    expected = [{"user_id": "6"}]
    a_class.put("99", room_name="quran-98", scheduled_at=ago(30).isoformat(), expected=expected)
    made = told(correct(a_class, "+49 30 1", "same_person", always=True, **{"as": "6"}))
    a_class.delete("98")
    url = session_url("99", f"corrections/{made['correction_id']}")
    answer = a_class.client.delete(url, headers=bearer(teacher()))
    assert told(answer)["undone_by"] == "teacher"
    assert told(a_class.roster("99"))["corrections"] == []


def test_who_lost_their_only_visit_can_have_it_back(rollcall: Rollcall) -> None:
    visit = told(rollcall.join("quran-98"))["visit"]
    made = told(correct(rollcall, "5", "not_a_visit", on="quran-98", participant_sid=visit))
    url = session_url("quran-98", f"corrections/{made['correction_id']}")
    assert rollcall.client.delete(url, headers=bearer(teacher())).status_code == 200
    assert lines(rollcall, "quran-98")["5"]["join_count"] == 1


# --- held -----------------------------------------------------------------------------------------


def test_held_is_the_time_in_which_anybody_was_there(a_class: Rollcall) -> None:
    """From 95 to 41 minutes ago, somebody was: 54 minutes, of which 5 had 39."""
    assert lines(a_class)["5"]["held_percentage"] == pytest.approx(72.2)
    assert lines(a_class)["6"]["held_percentage"] == 0


def test_with_hosts_held_is_their_time(a_class: Rollcall) -> None:
    a_class.put("98", room_name="quran-98", scheduled_at=ago(100).isoformat(), hosts=["teacher"])
    a_class.deliver(*stay("teacher", began=90, ended=60, sid="PA_T"))
    roster = lines(a_class)
    assert roster["teacher"]["held_percentage"] == 100
    assert roster["5"]["held_percentage"] == pytest.approx(66.7)
    url = session_url("98", "attendance", format="csv")
    text = a_class.client.get(url, headers=bearer(ops_token()), buffered=True).text
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert {row["user_id"]: row["held_percentage"] for row in rows}["5"] == "66.7"


def in_file(rollcall: Rollcall, **query: str) -> dict[str, Row]:
    """The roster as CSV, by user id."""
    url = session_url("98", "attendance", format="csv", **query)
    text = rollcall.client.get(url, headers=bearer(ops_token()), buffered=True).text
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    return {row["user_id"].removeprefix("'"): row for row in rows}


@pytest.mark.parametrize(
    ("user", "owner"), [("Mr. X", "teacher"), ("teacher", "Mr. X"), ("teacher", "substitute")]
)
def test_a_host_is_one_under_whichever_of_their_identities(
    a_class: Rollcall, user: str, owner: str
) -> None:
    expected = [{"user_id": each} for each in "567"]
    hosted: Row = {"hosts": ["teacher"], "expected": expected, "course_id": "quran"}
    a_class.put("98", room_name="quran-98", scheduled_at=ago(100).isoformat(), **hosted)
    a_class.deliver(
        *stay("teacher", began=100, ended=80, sid="PA_T"),
        *stay("Mr. X", began=80, ended=60, sid="PA_X"),
    )
    correct(a_class, user, "same_person", **{"as": owner})
    roster, rows = lines(a_class), in_file(a_class)
    minutes = 20 if owner == "substitute" else 40
    assert (roster[owner]["is_host"], roster[owner]["duration_minutes"]) == (True, minutes)
    assert roster[owner]["held_percentage"] == 100
    assert roster["5"]["held_percentage"] == {20: 0, 40: 50}[minutes]
    for each, line in roster.items():
        assert rows[each]["held_percentage"] == str(line["held_percentage"]), each
        assert rows[each]["is_host"] == str(line["is_host"]).lower(), each
    statuses = [told(a_class.status("98", of=token(each))) for each in (user, owner)]
    assert [each["is_host"] for each in statuses] == [True, True]
    report = told(a_class.client.get("/api/reports/attendance", headers=bearer(ops_token())))
    pupils = {each["user_id"] for each in report["people"]}
    assert pupils & {"teacher", "Mr. X", "substitute"} == {"Mr. X"} - {owner, user}
    url = f"/api/users/{owner}/attendance"
    theirs = told(a_class.client.get(url, headers=bearer(ops_token())))
    assert theirs["summary"]["sessions"] == 0


def test_who_is_expected_under_another_id_is_on_the_roster(a_class: Rollcall) -> None:
    """The class expects an id of before; nobody came. Their absence does not vanish with it."""
    expected = [{"user_id": "old", "name": "Lina"}, {"user_id": "5"}]
    a_class.put("98", room_name="quran-98", scheduled_at=ago(100).isoformat(), expected=expected)
    correct(a_class, "old", "same_person", **{"as": "new"})
    line = lines(a_class)["new"]
    assert (line["attendance_status"], line["expected"], line["name"]) == ("absent", True, "Lina")
    assert "old" not in lines(a_class)
    assert (in_file(a_class)["new"]["name"], in_file(a_class)["new"]["expected"]) == (
        "Lina",
        "true",
    )
    listed = a_class.client.get("/api/users/new/attendance", headers=bearer(ops_token()))
    assert told(listed)["summary"]["absent"] == 1
    report = told(a_class.client.get("/api/reports/attendance", headers=bearer(ops_token())))
    assert {each["user_id"]: each["name"] for each in report["people"]}["new"] == "Lina"


def test_later_classes_that_expect_another_id_are_in_the_persons_list(a_class: Rollcall) -> None:
    expected = [{"user_id": "old", "name": "Lina"}]
    for session, began in (("99", 30), ("100", 10)):
        scheduled = ago(began).isoformat()
        a_class.put(session, room_name="quran-98", scheduled_at=scheduled, expected=expected)
    correct(a_class, "old", "same_person", always=True, **{"as": "new"})
    for path in ("/api/users/new/attendance", "/api/sessions?user_id=new"):
        said = told(a_class.client.get(path, headers=bearer(ops_token())))
        listed = said.get("attendances") or said["sessions"]
        assert {each["session_id"] for each in listed} == {"99", "100"}, path


def test_a_visit_stays_in_the_class_that_expects_them_under_another_id(rollcall: Rollcall) -> None:
    """Of two classes at the same time the one that began last would own it for anybody else."""
    for session, began, user in (("98", 100, "old"), ("99", 99, "8")):
        expected = [{"user_id": user}]
        scheduled = ago(began).isoformat()
        rollcall.put(session, room_name="quran-98", scheduled_at=scheduled, expected=expected)
    rollcall.deliver(*stay("old", began=90, ended=60, sid="PA_O"))
    assert lines(rollcall)["old"]["duration_minutes"] == 30
    correct(rollcall, "old", "same_person", **{"as": "new"})
    assert lines(rollcall)["new"]["duration_minutes"] == 30
    assert told(rollcall.status("98", of=token("new")))["duration_minutes"] == 30
    assert lines(rollcall, "99").keys() == {"8"}


def test_held_without_a_schedule(rollcall: Rollcall) -> None:
    rollcall.deliver(*stay("5", began=80, ended=60, sid="PA_5"))
    rollcall.deliver(*stay("6", began=70, ended=60, sid="PA_6"))
    roster = lines(rollcall, "quran-98")
    assert (roster["5"]["held_percentage"], roster["6"]["held_percentage"]) == (100, 50)


def test_what_was_never_held_has_no_share(rollcall: Rollcall) -> None:
    rollcall.put("98", scheduled_at=ago(100).isoformat(), expected=[{"user_id": "5"}])
    assert lines(rollcall)["5"]["held_percentage"] is None


def test_a_chain_as_long_as_a_session_takes_is_followed_at_once(a_class: Rollcall) -> None:
    """A room's admin can make one: everybody's page must still be there, and be right."""
    ids = [f"phone {number:03}" for number in range(MOST_CORRECTIONS)]
    made = [
        Correction(
            f"CO_{number:04}", "98", "quran-98", user, "same_person", ago(30), "x", same_as=owner
        )
        for number, (user, owner) in enumerate(zip(["+49 30 1", *ids], [*ids, "6"], strict=True))
    ]
    with db.writing(a_class.backend.engine) as conn:
        bulk.upsert(conn, corrections, [correction.as_row(each) for each in made])
    assert lines(a_class)["6"]["duration_minutes"] == 30
    assert effective(made).identities("6") == ["6", "+49 30 1", *ids]
    assert effective([*made, replace(made[0], id="CO_", user_id="6", same_as=ids[0])]).same_as == {}
    listed = told(a_class.client.get("/api/users/6/attendance", headers=bearer(ops_token())))
    assert listed["attendances"][0]["duration_minutes"] == 30


# --- one person over time -------------------------------------------------------------------------


def test_who_is_somebody_else_in_a_class_has_it_in_no_list(a_class: Rollcall) -> None:
    """Neither a phone that visited it, nor somebody whom it expects: as its roster has them."""
    correct(a_class, "+49 30 1", "same_person", **{"as": "6"})
    correct(a_class, "5", "same_person", **{"as": "7"})
    for user in ("+49 30 1", "5"):
        theirs = own_list(a_class, user)
        assert (theirs["attendances"], theirs["summary"]["sessions"]) == ([], 0), user
        assert listed_of(a_class, user) == [], user
    for user in ("6", "7"):
        assert own_list(a_class, user)["summary"]["attended"] == 1, user
        assert listed_of(a_class, user) == ["98"], user


def test_an_export_has_the_visits_that_count_as_anothers(a_class: Rollcall) -> None:
    correct(a_class, "+49 30 1", "same_person", **{"as": "6"})
    kept = own_list(a_class, "+49 30 1", export="1")
    [status] = kept["attendances"]
    assert [visit["participant_sid"] for visit in status["cycles"]] == ["PA_P"]
    assert kept["summary"]["sessions"] == 0


def own_list(rollcall: Rollcall, user: str, **query: str) -> Row:
    """The person's statuses over time."""
    url = f"/api/users/{quote(user)}/attendance"
    return told(rollcall.client.get(url, query_string=query, headers=bearer(ops_token())))


def listed_of(rollcall: Rollcall, user: str) -> list[str]:
    """The ids of the sessions that are listed as this person's."""
    query = {"user_id": user}
    answer = rollcall.client.get("/api/sessions", query_string=query, headers=bearer(ops_token()))
    return [each["session_id"] for each in told(answer)["sessions"]]
