"""Hosts: who holds a class is shown as such, and is never late, absent, or in a total."""

from __future__ import annotations

from tests.build import Words, joined, left
from tests.doors import Rollcall, ago, bearer, on_sqlite, ops_token, problem, token, told

pytestmark = on_sqlite


def with_host(rollcall: Rollcall, *, began_minutes_ago: float, minutes: int = 60) -> None:
    answer = rollcall.put(
        "98",
        room_name="quran-98",
        title="Quran, week 3",
        course_id=7,
        hosts=["teacher"],
        labels=["online", "بنات"],
        minimum_percentage=75,
        scheduled_at=ago(began_minutes_ago).isoformat(),
        duration_minutes=minutes,
        expected=[{"user_id": "5"}],
    )
    assert answer.status_code == 201


def line(rollcall: Rollcall, user: str) -> dict[str, object]:
    [found] = [
        each for each in told(rollcall.roster("98"))["attendances"] if each["user_id"] == user
    ]
    return dict(found)


def test_a_session_keeps_its_title_course_hosts_and_labels(rollcall: Rollcall) -> None:
    with_host(rollcall, began_minutes_ago=10)
    listed = told(rollcall.client.get("/api/sessions", headers=bearer(ops_token())))["sessions"]
    [kept] = listed
    assert (kept["title"], kept["course_id"]) == ("Quran, week 3", "7")
    assert (kept["hosts"], kept["labels"]) == (["teacher"], ["online", "بنات"])
    assert told(rollcall.status("98"))["session"]["title"] == "Quran, week 3"
    rollcall.put("98", room_name="quran-98")
    [kept] = told(rollcall.client.get("/api/sessions", headers=bearer(ops_token())))["sessions"]
    assert (kept["title"], kept["hosts"], kept["labels"]) == (None, [], [])


def test_a_host_who_comes_late_and_goes_early_is_neither(rollcall: Rollcall) -> None:
    with_host(rollcall, began_minutes_ago=100)
    words = Words(sid="PA_T", user="teacher", room_created=ago(101), joined_at=ago(70))
    rollcall.deliver(joined(ago(70), **words), left(ago(60), **words))
    host = line(rollcall, "teacher")
    assert (host["is_host"], host["is_late"], host["left_early"]) == (True, None, None)
    assert (host["attendance_status"], host["final"]) == ("completed", True)
    assert host["meets_minimum"] is None
    summary = told(rollcall.roster("98"))["summary"]
    assert (summary["total"], summary["completed"], summary["absent"]) == (1, 0, 1)


def test_a_host_who_never_came_is_on_the_roster_and_not_absent(rollcall: Rollcall) -> None:
    with_host(rollcall, began_minutes_ago=100)
    assert line(rollcall, "teacher")["attendance_status"] == "not_joined"
    assert line(rollcall, "5")["attendance_status"] == "absent"
    seen = told(rollcall.status("98", of=token("teacher")))
    assert (seen["attendance_status"], seen["is_host"]) == ("not_joined", True)


def test_a_host_between_two_classes_is_in_their_own(rollcall: Rollcall) -> None:
    """As whoever is expected: the class of a host is theirs, also before it begins."""
    rollcall.put("97", room_name="quran-98", scheduled_at=ago(50).isoformat())
    rollcall.put("98", room_name="quran-98", scheduled_at=ago(-10).isoformat(), hosts=["teacher"])
    rollcall.deliver(joined(ago(5), sid="PA_T", user="teacher", room_created=ago(55)))
    assert told(rollcall.status("quran-98", of=token("teacher")))["session_id"] == "98"


def test_a_bad_host_or_label_is_named(rollcall: Rollcall) -> None:
    for field, value in (("hosts", [""]), ("hosts", "teacher"), ("labels", ["x" * 65])):
        answer = rollcall.put("98", **{field: value})
        assert problem(answer) == (400, "invalid")
        assert (answer.json or {})["errors"][0]["field"].startswith(field)


def test_a_host_can_be_erased(rollcall: Rollcall) -> None:
    with_host(rollcall, began_minutes_ago=10)
    rollcall.deliver(joined(ago(9), sid="PA_T", user="teacher", room_created=ago(11)))
    erased = rollcall.client.delete("/api/users/teacher", headers=bearer(ops_token()))
    assert erased.status_code == 200
    [kept] = told(rollcall.client.get("/api/sessions", headers=bearer(ops_token())))["sessions"]
    [pseudonym] = kept["hosts"]
    assert pseudonym.startswith("erased-")
    assert line(rollcall, pseudonym)["is_host"] is True
    assert line(rollcall, pseudonym)["join_count"] == 1
    assert b"teacher" not in rollcall.roster("98").data
