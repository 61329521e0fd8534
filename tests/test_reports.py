"""Reports over many sessions, and one person over time: they say what the rosters say."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from models.domain.event import Event
from models.domain.facts import Person, Session
from models.storage import db
from models.tables import session
from models.tables.session import sessions
from tests.build import Words, joined, left, room_finished, room_started
from tests.doors import Rollcall, ago, bearer, ops_token, problem, rows, token, told
from tests.memory import peak_mib
from tests.test_exports import count_lines, everything_on_disk
from webhooks.sheets.form import Format

Json = dict[str, Any]


def get(rollcall: Rollcall, path: str, *, of: str | None = None, **query: Any) -> Any:
    return rollcall.client.get(path, query_string=query, headers=bearer(of or ops_token()))


def report(rollcall: Rollcall, *, of: str | None = None, **query: Any) -> Json:
    return told(get(rollcall, "/api/reports/attendance", of=of, **query))


def person(rollcall: Rollcall, user: str = "5", *, of: str | None = None, **query: Any) -> Json:
    return told(get(rollcall, f"/api/users/{user}/attendance", of=of, **query))


def visit(user: str, came: float, went: float, *, room: str = "quran-98") -> list[Event]:
    """Somebody was in the room from so many minutes ago until so many minutes ago."""
    words: Words = {
        "sid": f"PA_{room}_{user}_{came:.0f}",
        "user": user,
        "room": f"RM_{room}",
        "room_name": room,
        "room_created": ago(10_000),
        "joined_at": ago(came),
        "name": f"called {user}",
    }
    return [joined(ago(came), **words), left(ago(went), **words)]


def course(rollcall: Rollcall) -> None:
    """Three classes of an hour that are over, and one to come, of one teacher and three pupils."""
    expected = [{"user_id": each, "name": f"name of {each}"} for each in ("5", "6", "7")]
    for number, begins in enumerate((3000, 2000, 1000, -1000)):
        body: Json = {"room_name": "quran-98", "course_id": "quran", "title": f"week {number}"}
        body |= {"hosts": ["teacher"], "duration_minutes": 60, "minimum_percentage": 75}
        at = ago(begins).replace(microsecond=0).isoformat()
        assert rollcall.put(f"c{number}", **body, scheduled_at=at, expected=expected)
    visits = [("teacher", 3000, 2940), ("5", 3000, 2940), ("5", 1985, 1940), ("6", 1000, 970)]
    rollcall.put_in(event for user, came, went in visits for event in visit(user, came, went))
    rollcall.put_in(visit("guest", 1000, 940))
    rollcall.drain()


def test_a_course_adds_up_what_its_rosters_say(rollcall: Rollcall) -> None:
    course(rollcall)
    said = report(rollcall, course_id="quran")
    assert [each["session_id"] for each in said["sessions"]] == ["c0", "c1", "c2"]
    people = {each["user_id"]: each for each in said["people"]}
    assert list(people) == ["5", "6", "7", "guest"]
    five = people["5"]
    assert five["name"] == "name of 5"
    assert (five["sessions"], five["attended"], five["late"], five["absent"]) == (3, 2, 1, 1)
    assert five["scheduled_seconds"] == 3 * 3600
    assert (people["7"]["absent"], people["7"]["attendance_percentage"]) == (3, 0.0)
    assert people["guest"]["sessions"] == 1
    assert people["guest"]["name"] == "called guest"
    assert [people[each]["below_minimum"] for each in people] == [True, True, True, False]


def test_one_person_over_time_is_their_statuses(rollcall: Rollcall) -> None:
    course(rollcall)
    said = person(rollcall)
    assert [each["session_id"] for each in said["attendances"]] == ["c3", "c2", "c1", "c0"]
    for each in said["attendances"]:
        assert {**each, "as_of": None} == {
            **told(rollcall.status(each["session_id"], of=ops_token(), user_id="5")),
            "as_of": None,
        }
    in_report = next(each for each in report(rollcall)["people"] if each["user_id"] == "5")
    assert said["summary"] == {name: in_report[name] for name in said["summary"]}


def test_a_teacher_hosts_and_is_in_no_report(rollcall: Rollcall) -> None:
    course(rollcall)
    assert person(rollcall, "teacher")["summary"]["sessions"] == 0
    assert len(person(rollcall, "teacher")["attendances"]) == 4


def test_pages_of_people_and_of_sessions_have_all_of_them(rollcall: Rollcall) -> None:
    course(rollcall)
    whole, people = report(rollcall), []
    after: dict[str, str] = {}
    while True:
        page = report(rollcall, limit=1, **after)
        people += page["people"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert people == whole["people"]
    listed, after = [], {}
    while True:
        page = person(rollcall, limit=3, **after)
        listed += [each["session_id"] for each in page["attendances"]]
        assert page["summary"]["sessions"] == 3
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert listed == ["c3", "c2", "c1", "c0"]


def test_a_grid_has_each_person_in_each_session(rollcall: Rollcall) -> None:
    course(rollcall)
    [five, *_] = report(rollcall, grid=1)["people"]
    statuses = [(each["session_id"], each["attendance_status"]) for each in five["attendances"]]
    assert statuses == [("c0", "completed"), ("c1", "completed"), ("c2", "absent")]


def test_a_report_is_a_file_for_spreadsheets_too(rollcall: Rollcall) -> None:
    course(rollcall)
    answer = get(rollcall, "/api/reports/attendance", format="csv")
    lines = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert [each["user_id"] for each in lines] == ["5", "6", "7", "guest"]
    assert lines[0]["attended"] == "2"
    answer = get(rollcall, "/api/reports/attendance", format="csv", grid=1)
    lines = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert len(lines) == 10
    assert {each["session_id"] for each in lines} == {"c0", "c1", "c2"}


def test_the_sessions_of_a_person_are_listed(rollcall: Rollcall) -> None:
    course(rollcall)
    rollcall.put("other", room_name="elsewhere")
    ids = {
        user: [each["session_id"] for each in _sessions(rollcall, user_id=user)]
        for user in ("5", "teacher", "guest", "nobody")
    }
    all_four = ["c0", "c1", "c2", "c3"]
    assert ids == {"5": all_four, "teacher": all_four, "guest": ["c2"], "nobody": []}


def _sessions(rollcall: Rollcall, **query: Any) -> list[Json]:
    listed: list[Json] = told(get(rollcall, "/api/sessions", **query))["sessions"]
    return listed


def test_a_token_reads_what_is_its_own(rollcall: Rollcall) -> None:
    course(rollcall)
    rollcall.put("other", room_name="elsewhere", expected=[{"user_id": "5"}], course_id="quran")
    own, admin = token("5", "quran-98"), token("x", "quran-98", roomAdmin=True)
    ids = [each["session_id"] for each in person(rollcall, of=own)["attendances"]]
    assert ids == ["c3", "c2", "c1", "c0"]
    assert len(person(rollcall)["attendances"]) == 5
    assert len(report(rollcall, of=admin, course_id="quran")["sessions"]) == 3
    assert report(rollcall, of=token("x", "elsewhere", roomAdmin=True))["people"] == []
    for refused in (
        get(rollcall, "/api/users/6/attendance", of=own),
        get(rollcall, "/api/reports/attendance", of=own),
    ):
        assert problem(refused) == (403, "forbidden")


def test_an_operator_gets_all_that_is_kept_of_a_person_as_a_file(rollcall: Rollcall) -> None:
    course(rollcall)
    answer = get(rollcall, "/api/users/5/attendance", export=1, limit=1, course_id="another")
    said = told(answer)
    assert answer.headers["Content-Disposition"] == "attachment; filename=person.json"
    assert [each["session_id"] for each in said["attendances"]] == ["c3", "c2", "c1", "c0"]
    assert [len(each["cycles"]) for each in said["attendances"]] == [0, 0, 1, 1]
    assert said["names"] == ["called 5", "name of 5"]
    assert {each["user_id"] for each in said["events"]} == {"5"}
    assert len(said["events"]) == 4
    assert said["events"][0]["payload"] is not None
    own = get(rollcall, "/api/users/5/attendance", of=token("5"), export=1)
    assert problem(own) == (403, "forbidden")
    nobodys = get(rollcall, "/api/users/nobody/attendance", export=1)
    assert problem(nobodys) == (404, "unknown-user")


def correct(rollcall: Rollcall, user: str, *, on: str = "c2", of: str, **more: Any) -> Json:
    body = {"kind": "note", "reason": f"of {user}", "user_id": user} | more
    url = f"/api/sessions/{on}/corrections"
    return told(rollcall.client.post(url, json=body, headers=bearer(of)))


def test_what_is_kept_of_a_person_has_corrections_of_them_and_by_them(rollcall: Rollcall) -> None:
    course(rollcall)
    teacher = token("teacher", "quran-98", roomAdmin=True)
    of_them = correct(rollcall, "5", of=teacher)
    as_them = correct(rollcall, "guest", of=teacher, kind="same_person", **{"as": "5"})
    of_another = correct(rollcall, "6", of=ops_token())
    url = f"/api/sessions/c2/corrections/{of_another['correction_id']}"
    undone = told(rollcall.client.delete(url, headers=bearer(teacher)))
    somebody = {"user_id": "", "as": None, "participant_sid": None, "reason": None}
    whose = {
        "5": [of_them, as_them],
        "guest": [as_them],
        "6": [undone],
        "teacher": [each | somebody for each in (of_them, as_them, undone)],
    }
    for user, made in whose.items():
        assert person(rollcall, user, export=1)["corrections"] == made, user
    always: Json = {"kind": "same_person", "as": "8", "always": True}
    only_a_correction = correct(rollcall, "nobody", of=ops_token(), **always)
    assert person(rollcall, "nobody", export=1)["corrections"] == [only_a_correction]
    assert "corrections" not in person(rollcall, "5")


def test_pages_have_each_session_once_though_a_row_is_made_anew_between_them(
    rollcall: Rollcall,
) -> None:
    """An earlier event of a room that comes late makes the row of its session anew."""
    for number in range(5):
        came, went = ago(100 * number + 90), ago(100 * number + 20)
        words = Words(sid=f"PA_{number}", room=f"RM_{number}", room_name=f"open-{number}")
        words |= Words(room_created=NOON, joined_at=came)
        rollcall.put_in([joined(came, **words), left(went, **words)])
    rollcall.drain()
    whole = [each["session_id"] for each in person(rollcall)["attendances"]]
    assert whole == [f"open-{number}@{NOON.date()}" for number in range(5)]
    seen, after = list[str](), dict[str, str]()
    for late in (0, 4, 2, 1, 3):
        page = person(rollcall, limit=1, **after)
        seen += [each["session_id"] for each in page["attendances"]]
        after = {"after": page["next"]} if page["next"] else {}
        make_anew(rollcall, late)
    assert (seen, after) == (whole, {})
    assert [each["session_id"] for each in person(rollcall)["attendances"]] == whole


NOON = (ago(0) - timedelta(days=7)).replace(hour=12, minute=0, second=0, microsecond=0)


def make_anew(rollcall: Rollcall, number: int) -> None:
    """Register what was made on the spot and take that back, and hear of an earlier life of it."""
    room, earlier = f"open-{number}", NOON - timedelta(seconds=1)
    rollcall.put(f"{room}@{NOON.date()}", room_name=room)
    rollcall.delete(f"{room}@{NOON.date()}")
    words = Words(room=f"RM_{number}_0", room_name=room, room_created=earlier)
    rollcall.put_in([room_started(earlier, **words), room_finished(earlier, **words)])
    rollcall.drain()
    made = {row["id"]: row["created_at"] for row in rows(rollcall.backend, sessions)}
    assert made[f"{room}@{NOON.date()}"] == earlier


def test_a_page_of_a_grid_has_as_many_people_as_fit(
    rollcall: Rollcall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is made whole in memory, of people and sessions; the others are on the next."""
    course(rollcall)
    whole = report(rollcall, grid=1)
    assert (len(whole["people"]), whole["next"]) == (4, None)
    monkeypatch.setattr("webhooks.api.reports.MOST_CELLS", 4)
    sizes, people, after = list[int](), list[Json](), dict[str, str]()
    while True:
        page = report(rollcall, grid=1, limit=1000, **after)
        sizes.append(len(page["people"]))
        people += page["people"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert people == whole["people"]
    assert max(sizes) < 4
    assert [each["user_id"] for each in report(rollcall, limit=1000)["people"]] == [
        each["user_id"] for each in people
    ]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
def test_memory_does_not_grow_with_the_sessions_of_a_grid(
    rollcall: Rollcall, file_format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept as objects, the rows of a hundred more sessions would take 0.8 MiB."""
    monkeypatch.setattr("models.lookup.batches.AT_ONCE", 10)
    monkeypatch.setattr("models.lookup.reach.ROWS_AT_ONCE", 100)
    everything_on_disk(monkeypatch)
    _fill(rollcall, "few", sessions_over=20)
    _fill(rollcall, "many", sessions_over=120)
    _grid(rollcall, "many", file_format, 120)
    small_mib = peak_mib(lambda: _grid(rollcall, "few", file_format, 20))
    large_mib = peak_mib(lambda: _grid(rollcall, "many", file_format, 120))
    assert large_mib - small_mib < 0.4, (small_mib, large_mib)


PUPILS = 20


def _fill(rollcall: Rollcall, course: str, *, sessions_over: int) -> None:
    """Classes of a course that are over, one a day, each of which expects some pupils."""
    expected = tuple(Person(f"user{number}", "a name") for number in range(PUPILS))
    with db.writing(rollcall.backend.engine) as conn:
        for number in range(sessions_over):
            begins = ago(120 + 24 * 60 * number)
            made = Session(f"{course}{number}", course, scheduled_at=begins, course_id=course)
            session.store(conn, replace(made, expected=expected), now=begins)


def _grid(rollcall: Rollcall, course: str, file_format: Format, sessions_over: int) -> None:
    query = {"course_id": course, "grid": "1", "format": file_format}
    url = f"/api/reports/attendance?{urlencode(query)}"
    assert count_lines(rollcall, url, file_format) == sessions_over * PUPILS + 1


def test_a_correction_counts_in_reports_and_in_a_persons_list(rollcall: Rollcall) -> None:
    course(rollcall)
    body = {"kind": "excused", "reason": "ill", "user_id": "5"}
    told(
        rollcall.client.post("/api/sessions/c2/corrections", json=body, headers=bearer(ops_token()))
    )
    five = report(rollcall)["people"][0]
    assert (five["absent"], five["excused"], five["scheduled_seconds"]) == (0, 1, 2 * 3600)
    assert person(rollcall)["summary"]["excused"] == 1


def test_who_is_erased_is_in_no_list_and_the_numbers_stay(rollcall: Rollcall) -> None:
    course(rollcall)
    before = report(rollcall)["sessions"]
    erased = rollcall.client.delete("/api/users/5", headers=bearer(ops_token()))
    assert told(erased)["sessions"] == 4
    assert person(rollcall)["attendances"] == []
    assert _sessions(rollcall, user_id="5") == []
    after = report(rollcall)
    assert after["sessions"] == before
    pseudonyms = [one for one in after["people"] if one["user_id"].startswith("erased-")]
    assert sum(each["attended"] for each in pseudonyms) == 2
    assert {each["name"] for each in pseudonyms} == {None}
    for each in pseudonyms:
        assert len(person(rollcall, each["user_id"])["attendances"]) >= 1


def test_what_nobody_registered_is_reported_when_its_room_finished(rollcall: Rollcall) -> None:
    rollcall.put_in([*visit("5", 100, 50, room="open"), *visit("6", 90, 50, room="open")])
    rollcall.put_in([room_finished(ago(40), room="RM_open", room_name="open")])
    rollcall.drain()
    [five, six] = report(rollcall)["people"]
    assert (five["attended"], five["attendance_percentage"], six["sessions"]) == (1, None, 1)


def test_words_that_are_no_filter_are_refused(rollcall: Rollcall) -> None:
    for path, query in (
        ("/api/reports/attendance", {"academy": "7"}),
        ("/api/reports/attendance", {"limit": "0"}),
        ("/api/reports/attendance", {"from": "yesterday"}),
        ("/api/reports/attendance", {"format": "pdf"}),
        ("/api/users/5/attendance", {"room_name": "a"}),
        ("/api/users/5/attendance", {"after": "98"}),
        ("/api/users/5/attendance", {"after": "9" * 30 + "_98"}),
    ):
        assert problem(get(rollcall, path, **query)) == (400, "invalid"), query
