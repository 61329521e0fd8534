"""Sessions: registered, looked up, listed and taken back by operators."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from models.settings.settings import Settings
from tests.build import joined
from tests.doors import (
    Rollcall,
    ago,
    bearer,
    on_sqlite,
    ops_token,
    problem,
    serving,
    session_url,
    token,
    told,
)

FULL: dict[str, Any] = {
    "room_name": "quran-98",
    "title": "Quran, week 3",
    "session_type": "individual",
    "academy_id": "7",
    "course_id": "quran-autumn",
    "hosts": ["teacher"],
    "labels": ["online"],
    "scheduled_at": "2026-11-23T14:10:00Z",
    "duration_minutes": 45,
    "late_after_minutes": 0,
    "minimum_percentage": 66.7,
    "expected": [{"user_id": "5", "name": "أحمد"}, {"user_id": "6", "name": None}],
}
DEFAULTS: dict[str, Any] = {
    "room_name": "98",
    "title": None,
    "session_type": None,
    "academy_id": None,
    "course_id": None,
    "hosts": [],
    "labels": [],
    "scheduled_at": None,
    "duration_minutes": 60,
    "late_after_minutes": 10,
    "minimum_percentage": None,
    "expected": [],
}


def get(rollcall: Rollcall, session: str = "98") -> TestResponse:
    return rollcall.client.get(session_url(session), headers=bearer(ops_token()))


def listed(rollcall: Rollcall, **query: str) -> TestResponse:
    return rollcall.client.get("/api/sessions", query_string=query, headers=bearer(ops_token()))


def ids(answer: TestResponse) -> list[str]:
    return [one["session_id"] for one in told(answer)["sessions"]]


# --- put, get, delete -----------------------------------------------------------------------------


def test_what_is_put_is_what_is_got(rollcall: Rollcall) -> None:
    put = rollcall.put("98", **FULL)
    assert put.status_code == 201
    expected = {**FULL, "session_id": "98", "ends_at": "2026-11-23T14:55:00Z"}
    assert told(put) == {
        **expected,
        "made_by": "registered",
        "rooms": [],
        "status": "over",
        "overlaps": [],
    }
    assert told(get(rollcall)) == told(put)


def test_putting_again_changes_nothing_and_is_a_200(rollcall: Rollcall) -> None:
    first = told(rollcall.put("98", **FULL))
    facts = rollcall.facts()
    again = rollcall.put("98", **FULL)
    assert again.status_code == 200
    assert told(again) == first
    assert rollcall.facts() == facts


@pytest.mark.parametrize("body", [{}, dict.fromkeys(DEFAULTS)], ids=["left out", "null"])
def test_what_is_left_out_or_null_is_the_default(rollcall: Rollcall, body: dict[str, Any]) -> None:
    rollcall.put("98", **FULL)
    seen = told(rollcall.put("98", **body))
    assert {name: seen[name] for name in DEFAULTS} == DEFAULTS


@on_sqlite
def test_the_defaults_are_the_deployments_and_stay_when_those_change(settings: Settings) -> None:
    own = {"default_duration_minutes": 45, "late_after_minutes": 3, "minimum_percentage": 80.0}
    with serving(settings.model_copy(update=own)) as rollcall:
        rollcall.put("98")
    with serving(settings) as rollcall:
        seen = told(get(rollcall))
    assert (seen["duration_minutes"], seen["late_after_minutes"]) == (45, 3)
    assert seen["minimum_percentage"] == 80


def test_ids_may_be_numbers_and_times_of_any_zone(rollcall: Rollcall) -> None:
    body = {"room_name": 98, "academy_id": 7, "expected": [{"user_id": 5}]}
    seen = told(rollcall.put("98", **body, scheduled_at="2026-11-23T17:10:00.25+03:00"))
    assert (seen["room_name"], seen["academy_id"]) == ("98", "7")
    assert seen["expected"] == [{"user_id": "5", "name": None}]
    assert seen["scheduled_at"] == "2026-11-23T14:10:00.250Z"


def test_registering_a_session_that_a_room_made_is_a_201(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(ago(3), names="98"))
    assert told(get(rollcall))["made_by"] == "room"
    assert rollcall.put("98", room_name="quran-98").status_code == 201
    assert told(get(rollcall))["made_by"] == "registered"


def test_what_is_taken_back_is_gone(rollcall: Rollcall) -> None:
    rollcall.put("98")
    answer = rollcall.delete("98")
    assert (answer.status_code, answer.data) == (204, b"")
    assert problem(rollcall.delete("98")) == (404, "no-session")
    assert problem(get(rollcall)) == (404, "no-session")


def test_what_was_never_registered_cannot_be_taken_back(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(ago(3), names="98"))
    assert problem(rollcall.delete("98")) == (404, "no-session")
    assert told(get(rollcall))["made_by"] == "room"


def test_a_large_class_fits(rollcall: Rollcall) -> None:
    expected = [{"user_id": f"pupil-{n}", "name": "ن" * 100} for n in range(2_000)]
    assert len(told(rollcall.put("98", expected=expected))["expected"]) == 2_000
    assert told(rollcall.roster("98"))["summary"]["not_joined"] == 2_000


BAD: list[tuple[str, dict[str, Any]]] = [
    ("room_name", {"room_name": ""}),
    ("room_name", {"room_name": ["quran-98"]}),
    ("room_name", {"room_name": "x" * 268}),
    ("session_type", {"session_type": "lecture"}),
    ("academy_id", {"academy_id": True}),
    ("scheduled_at", {"scheduled_at": "tomorrow"}),
    ("scheduled_at", {"scheduled_at": "2026-11-23T14:10:00"}),
    ("scheduled_at", {"scheduled_at": "2026-11-23"}),
    ("scheduled_at", {"scheduled_at": 1795443042}),
    ("scheduled_at", {"scheduled_at": "1969-12-31T00:00:00Z"}),
    ("scheduled_at", {"scheduled_at": "9999-12-31T23:59:59Z"}),
    ("duration_minutes", {"duration_minutes": 0}),
    ("duration_minutes", {"duration_minutes": 10_081}),
    ("duration_minutes", {"duration_minutes": 1.5}),
    ("duration_minutes", {"duration_minutes": "60"}),
    ("late_after_minutes", {"late_after_minutes": -1}),
    ("minimum_percentage", {"minimum_percentage": 101}),
    ("minimum_percentage", {"minimum_percentage": -0.1}),
    ("expected", {"expected": {"user_id": "5"}}),
    ("expected.0.user_id", {"expected": [{}]}),
    ("expected.1.name", {"expected": [{"user_id": "5"}, {"user_id": "6", "name": "x" * 257}]}),
    ("expected", {"expected": [{"user_id": "5"}] * 10_001}),
]


@pytest.mark.parametrize(
    ("field", "body"), BAD, ids=[f"{n} {field}" for n, (field, _) in enumerate(BAD)]
)
@on_sqlite
def test_what_does_not_fit_is_a_400_that_names_the_field(
    rollcall: Rollcall, field: str, body: dict[str, Any]
) -> None:
    answer = rollcall.put("98", **body)
    assert problem(answer) == (400, "invalid")
    assert [error["field"] for error in (answer.json or {})["errors"]] == [field]
    assert rollcall.facts()["sessions"] == []


@on_sqlite
def test_every_bad_field_is_told_at_once(rollcall: Rollcall) -> None:
    answer = rollcall.put("98", duration_minutes=0, session_type="lecture")
    assert {error["field"] for error in (answer.json or {})["errors"]} == {
        "duration_minutes",
        "session_type",
    }


@pytest.mark.parametrize("body", [b"", b"98", b"[]", b"{", b"\xff"])
@on_sqlite
def test_what_is_no_json_object_is_a_400(rollcall: Rollcall, body: bytes) -> None:
    answer = rollcall.client.put(session_url("98"), data=body, headers=bearer(ops_token()))
    assert problem(answer) == (400, "not-json")


@on_sqlite
@pytest.mark.parametrize("user", ["x" * 257, "ü" * 129])
def test_a_user_id_longer_than_any_is_a_400(rollcall: Rollcall, user: str) -> None:
    for words in ({"expected": [{"user_id": user}]}, {"hosts": [user]}):
        assert problem(rollcall.put("98", **words)) == (400, "invalid")
    as_long_as_any = user[: 256 // len(user[0].encode())]
    expected = [{"user_id": as_long_as_any}]
    assert rollcall.put("98", expected=expected, hosts=[as_long_as_any]).status_code == 201


@on_sqlite
def test_an_id_longer_than_any_is_a_400(rollcall: Rollcall) -> None:
    assert problem(rollcall.put("é" * 134)) == (400, "invalid")
    assert rollcall.put("é" * 128).status_code == 201


# --- the list -------------------------------------------------------------------------------------


@pytest.fixture
def timetable(rollcall: Rollcall) -> Rollcall:
    """Ten classes in two rooms, one after the other by the hour; ids sort otherwise."""
    for hour in range(10):
        scheduled = f"2026-11-23T{hour + 8:02}:00:00Z"
        rollcall.put(f"class {9 - hour}", room_name=f"room-{hour % 2}", scheduled_at=scheduled)
    return rollcall


def test_sessions_come_by_id_a_page_at_a_time(timetable: Rollcall) -> None:
    found, after = [], None
    for _ in range(10):
        page = told(listed(timetable, limit="3", **({"after": after} if after else {})))
        found += [one["session_id"] for one in page["sessions"]]
        after = page["next"]
        if after is None:
            break
    assert found == [f"class {n}" for n in range(10)]


def test_a_full_last_page_is_followed_by_an_empty_one(timetable: Rollcall) -> None:
    first = told(listed(timetable, limit="10"))
    assert len(first["sessions"]) == 10
    last = told(listed(timetable, after=first["next"]))
    assert (last["sessions"], last["next"]) == ([], None)


def test_a_list_is_of_a_room_and_of_a_time(timetable: Rollcall) -> None:
    assert ids(listed(timetable, room_name="room-1")) == [f"class {n}" for n in (0, 2, 4, 6, 8)]
    morning = {"from": "2026-11-23T08:00:00Z", "to": "2026-11-23T10:00:00Z"}
    assert ids(listed(timetable, **morning)) == ["class 8", "class 9"]
    assert ids(listed(timetable, room_name="room-0", **morning)) == ["class 9"]
    assert ids(listed(timetable, room_name="nowhere")) == []


def test_a_list_is_of_an_academy_a_course_and_a_label(rollcall: Rollcall) -> None:
    rollcall.put("1", academy_id=7, course_id="quran", labels=["online", "بنات"])
    rollcall.put("2", academy_id=7, course_id="math", labels=["online"])
    rollcall.put("3", academy_id=8, course_id="quran")
    assert ids(listed(rollcall, academy_id="7")) == ["1", "2"]
    assert ids(listed(rollcall, course_id="quran")) == ["1", "3"]
    assert ids(listed(rollcall, label="بنات")) == ["1"]
    assert ids(listed(rollcall, label="online", course_id="math")) == ["2"]
    assert ids(listed(rollcall, academy_id="nobody's")) == []


def test_a_list_is_of_what_is_to_come_what_runs_and_what_is_over(rollcall: Rollcall) -> None:
    for session, minutes_ago in (("over", 61), ("running", 59), ("upcoming", -1)):
        rollcall.put(session, course_id="7", scheduled_at=ago(minutes_ago).isoformat())
    rollcall.put("unscheduled", course_id="7")
    rollcall.put("another course", course_id="8", scheduled_at=ago(500).isoformat())
    everything = told(listed(rollcall, course_id="7"))
    statuses = {one["session_id"]: one["status"] for one in everything["sessions"]}
    assert statuses == {
        "over": "over",
        "running": "running",
        "unscheduled": None,
        "upcoming": "upcoming",
    }
    for status in ("over", "running", "upcoming"):
        answer = listed(rollcall, course_id="7", status=status)
        assert ids(answer) == [status]
        assert told(answer)["counts"] == {"upcoming": 1, "running": 1, "over": 1}
    assert told(listed(rollcall))["counts"]["over"] == 2


def test_moving_a_class_moves_its_end(rollcall: Rollcall) -> None:
    rollcall.put("98", scheduled_at=ago(61).isoformat(), duration_minutes=60)
    rollcall.put("98", scheduled_at=ago(61).isoformat(), duration_minutes=90)
    assert ids(listed(rollcall, status="running")) == ["98"]
    rollcall.put("98")
    assert told(listed(rollcall))["counts"] == {"upcoming": 0, "running": 0, "over": 0}


def test_a_teacher_lists_the_sessions_of_their_own_room(rollcall: Rollcall) -> None:
    rollcall.put("1", room_name="quran-98", expected=[{"user_id": "5"}])
    rollcall.put("2", room_name="main", rooms=["quran-*"])
    rollcall.put("3", room_name="math-7")
    rollcall.deliver(
        joined(ago(9), room="RM_7", room_name="math-7", names="4", room_created=ago(10)),
        joined(ago(8), sid="PA_8", room="RM_8", names="5", room_created=ago(9)),
    )
    teacher = bearer(token("teacher", "quran-98", roomAdmin=True))
    seen = rollcall.client.get("/api/sessions", headers=teacher)
    assert ids(seen) == ["1", "2", "5"]
    seen = rollcall.client.get("/api/sessions?room_name=math-7", headers=teacher)
    assert ids(seen) == []
    pupil = rollcall.client.get("/api/sessions", headers=bearer(token()))
    assert problem(pupil) == (403, "forbidden")


@pytest.mark.parametrize(
    "url",
    [
        "/api/sessions?acadamy_id=7",
        session_url("98", "attendance-status", user_id="5", sesion="99"),
        session_url("98", "attendance", formats="csv"),
        session_url("98", _="1764369000"),
    ],
)
@on_sqlite
def test_a_word_in_the_query_that_nobody_knows_is_refused(rollcall: Rollcall, url: str) -> None:
    rollcall.put("98")
    answer = rollcall.client.get(url, headers=bearer(ops_token()))
    assert problem(answer) == (400, "invalid")


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "1001"), ("limit", "ten"), ("from", "now"), ("after", "")],
)
@on_sqlite
def test_a_bad_query_is_a_400_that_names_the_parameter(
    rollcall: Rollcall, name: str, value: str
) -> None:
    answer = listed(rollcall, **{name: value})
    assert problem(answer) == (400, "invalid")
    assert [error["field"] for error in (answer.json or {})["errors"]] == [name]
