"""Statuses and rosters: what a frontend polls and a teacher reads, by every name of a session."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.settings.settings import Settings
from tests.build import aborted, joined, left, room_finished, room_started
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
    without,
)
from webhooks.schemas import fields
from webhooks.schemas.fields import ON_ROSTER

TEACHER = token("teacher", roomAdmin=True)


def rfc3339(instant: datetime) -> str:
    text = fields.instant(instant)
    assert text is not None
    return text


# --- a status -------------------------------------------------------------------------------------


def test_a_status_tells_everything_of_one_person(rollcall: Rollcall) -> None:
    began = ago(30)
    rollcall.put(
        "98",
        room_name="quran-98",
        session_type="individual",
        scheduled_at=began.isoformat(),
        duration_minutes=60,
    )
    first, second = began + timedelta(minutes=12), began + timedelta(minutes=20)
    out = (first + timedelta(minutes=5)).replace(microsecond=0)
    rollcall.deliver(joined(first, sid="PA_1"), left(out, sid="PA_1", joined_at=first))
    rollcall.deliver(joined(second, sid="PA_2"))
    answer = rollcall.status("98")
    seen = told(answer)
    inside_s = (out - first).total_seconds()
    inside_s += (datetime.fromisoformat(seen["as_of"]) - second).total_seconds()
    assert seen == {
        "session_id": "98",
        "user_id": "5",
        "is_currently_in_meeting": True,
        "attendance_status": "present",
        "duration_minutes": int(inside_s // 60),
        "duration_seconds": int(inside_s),
        "join_count": 2,
        "first_joined_at": rfc3339(first),
        "last_left_at": rfc3339(out),
        "is_late": True,
        "left_early": None,
        "attendance_percentage": pytest.approx(inside_s / 36, abs=0.1),
        "scheduled_seconds": int(inside_s),
        "meets_minimum": None,
        "is_host": False,
        "corrected": False,
        "final": False,
        "confirmed": True,
        "confirmed_seconds": int(inside_s),
        "session": {
            "title": None,
            "session_type": "individual",
            "room_name": "quran-98",
            "scheduled_at": rfc3339(began),
            "ends_at": rfc3339(began + timedelta(hours=1)),
            "minimum_percentage": None,
            "made_by": "registered",
        },
        "as_of": seen["as_of"],
    }
    assert abs(datetime.fromisoformat(seen["as_of"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert seen["as_of"].endswith("Z")


def test_a_class_that_was_over_long_ago_is_final(rollcall: Rollcall) -> None:
    began = ago(120)
    rollcall.put("98", room_name="quran-98", scheduled_at=began.isoformat(), minimum_percentage=75)
    rollcall.deliver(joined(began), left(began + timedelta(minutes=40), joined_at=began))
    seen = told(rollcall.status("98"))
    assert (seen["attendance_status"], seen["final"]) == ("completed", True)
    assert (seen["left_early"], seen["meets_minimum"]) == (True, False)
    absent = told(rollcall.status("98", of=token("6")))
    assert (absent["attendance_status"], absent["first_joined_at"]) == ("absent", None)


def test_what_waits_in_the_inbox_is_not_yet_told(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98")
    rollcall.send(joined(ago(3)))
    assert told(rollcall.status("98"))["attendance_status"] == "not_joined"
    rollcall.drain()
    assert told(rollcall.status("98"))["attendance_status"] == "present"


@on_sqlite
def test_what_a_deployment_counts_and_forgives_is_its_own(settings: Settings) -> None:
    own = {"person_kinds": ("AGENT",), "overrun_minutes": 60, "count_hidden": True}
    with serving(settings.model_copy(update=own)) as rollcall:
        rollcall.put("98", room_name="quran-98", scheduled_at=ago(90).isoformat())
        rollcall.deliver(
            joined(ago(85), sid="PA_1", kind="AGENT", hidden=True),
            joined(ago(85), sid="PA_2", user="human"),
        )
        assert told(rollcall.status("98"))["is_currently_in_meeting"] is True
        assert told(rollcall.status("98", of=token("human")))["join_count"] == 0


# --- by every name --------------------------------------------------------------------------------


def test_a_rooms_name_means_the_class_whose_window_holds_now(rollcall: Rollcall) -> None:
    for session_id, began in {"1": ago(1500), "2": ago(50), "3": ago(-55)}.items():
        rollcall.put(session_id, room_name="quran-98", scheduled_at=began.isoformat())
    assert told(rollcall.status("quran-98"))["session_id"] == "2"


def test_a_rooms_name_outside_every_window_means_the_latest_room(rollcall: Rollcall) -> None:
    rollcall.deliver(
        joined(ago(3000), sid="PA_1", room="RM_1", names="first", room_created=ago(3000)),
        joined(ago(1500), sid="PA_2", room="RM_2", names="second", room_created=ago(1500)),
    )
    assert told(rollcall.status("quran-98"))["session_id"] == "second"


def test_an_id_goes_before_a_rooms_name(rollcall: Rollcall) -> None:
    rollcall.put("a", room_name="b")
    rollcall.put("b", room_name="a")
    assert told(rollcall.status("a", of=token("5", "b")))["session"]["room_name"] == "b"


STRANGE = [
    "جلسة القرآن ٩٨",
    "a/b",
    "/",
    "//",
    ".",
    "..",
    "-",
    "a b+c&d=e#f?g%h%2F",
    "é combining \u202e rtl",
    'quote"back\\slash\ttab\nline',
    "meeting",
    "\U0001f469\u200d\U0001f3eb",
    "%00",
    "quran-98@2026-11-3",
]


@pytest.mark.parametrize("strange", STRANGE)
def test_any_unicode_is_an_id_a_room_and_a_person(rollcall: Rollcall, strange: str) -> None:
    mine, teacher = token(strange, strange), token("t", strange, roomAdmin=True)
    assert (
        rollcall.put(strange, room_name=strange, expected=[{"user_id": strange}]).status_code == 201
    )
    rollcall.deliver(joined(ago(3), user=strange, room_name=strange, name=strange))
    seen = told(rollcall.status(strange, of=mine))
    assert (seen["session_id"], seen["user_id"], seen["join_count"]) == (strange, strange, 1)
    assert told(rollcall.status(strange, of=teacher, user_id=strange))["user_id"] == strange
    [line] = told(rollcall.roster(strange, of=teacher))["attendances"]
    assert (line["user_id"], line["name"]) == (strange, strange)
    visit = told(rollcall.join(strange, of=mine))["visit"]
    assert rollcall.leave(visit, strange, of=mine).status_code == 200
    listed = rollcall.client.get(session_url(strange), headers=bearer(ops_token()))
    assert told(listed)["room_name"] == strange
    assert rollcall.delete(strange).status_code == 204


def test_what_a_path_can_carry_may_stand_in_the_query_too(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98")
    url = "/api/sessions/-/attendance-status?session=98"
    assert told(rollcall.client.get(url, headers=bearer(token())))["session_id"] == "98"
    url = "/api/sessions/98/attendance-status?session=99"
    assert told(rollcall.client.get(url, headers=bearer(token())))["session_id"] == "98"


# --- nothing known yet ----------------------------------------------------------------------------


@pytest.mark.parametrize("made", [False, True], ids=["its name", "what it would make"])
def test_of_their_own_room_anybody_hears_that_nothing_is_known(
    rollcall: Rollcall, made: bool
) -> None:
    address = f"quran-98@{datetime.now(UTC).date()}" if made else "quran-98"
    seen = told(rollcall.status(address))
    assert set(seen["session"].values()) == {None}
    assert (seen["attendance_status"], seen["is_currently_in_meeting"]) == ("not_joined", False)
    assert (seen["duration_seconds"], seen["join_count"], seen["final"]) == (0, 0, False)
    nulls = ("first_joined_at", "last_left_at", "is_late", "left_early", "attendance_percentage")
    assert {seen[name] for name in nulls} == {None}
    told_roster = told(rollcall.roster(address, of=TEACHER))
    assert told_roster["attendances"] == []
    assert set(told_roster["session"].values()) == {None}
    assert rollcall.facts()["sessions"] == [], "asking makes nothing"


def test_of_their_own_room_nobody_hears_more_than_their_token_gives(rollcall: Rollcall) -> None:
    assert problem(rollcall.status("quran-98", user_id="6")) == (403, "forbidden")
    assert problem(rollcall.roster("quran-98", of=token())) == (403, "forbidden")
    assert problem(rollcall.status("math-7")) == (403, "forbidden")
    assert told(rollcall.status("quran-98", of=TEACHER, user_id="6"))["user_id"] == "6"


# --- a roster -------------------------------------------------------------------------------------


@pytest.fixture
def a_class(rollcall: Rollcall) -> Rollcall:
    """An hour's class, 50 minutes ago: 1 and 2 inside, 3 left, 4 and 5 expected, an agent."""
    began = ago(50)
    expected = [{"user_id": f"{n}", "name": f"Pupil {n}"} for n in (5, 4, 2)]
    rollcall.put("98", room_name="quran-98", scheduled_at=began.isoformat(), expected=expected)
    rollcall.deliver(
        room_started(began, room_created=began),
        joined(began, sid="PA_1", user="1", name="Aisha"),
        joined(began, sid="PA_2", user="2"),
        joined(began, sid="PA_3a", user="3", name="Before"),
        left(began + timedelta(minutes=5), sid="PA_3a", user="3", joined_at=began),
        joined(began + timedelta(minutes=6), sid="PA_3b", user="3", name="After"),
        left(
            began + timedelta(minutes=9),
            sid="PA_3b",
            user="3",
            joined_at=began + timedelta(minutes=6),
        ),
        joined(began, sid="PA_9", user="9", kind="AGENT"),
        aborted(began, sid="PA_8", user="8"),
    )
    return rollcall


def test_a_roster_has_everyone_expected_or_counted_by_id(a_class: Rollcall) -> None:
    seen = told(a_class.roster("98", of=token("1", roomAdmin=True)))
    assert seen["summary"] == {
        "total": 5,
        "present": 2,
        "completed": 0,
        "absent": 0,
        "excused": 0,
        "left": 1,
        "not_joined": 2,
    }
    lines = seen["attendances"]
    assert [line["user_id"] for line in lines] == ["1", "2", "3", "4", "5"]
    assert [line["name"] for line in lines] == ["Aisha", "Pupil 2", "After", "Pupil 4", "Pupil 5"]
    assert seen["session"]["session_id"] == "98"
    assert seen["session"]["room_name"] == "quran-98"


def test_a_line_is_the_persons_status_and_their_visits_by_join(a_class: Rollcall) -> None:
    line = told(a_class.roster("98"))["attendances"][2]
    status = told(a_class.status("98", of=token("3")))
    more = {field.name for field in ON_ROSTER}
    assert without(line, *more, "cycles") == without(status, "session_id", "session", "as_of")
    assert [cycle["participant_sid"] for cycle in line["cycles"]] == ["PA_3a", "PA_3b"]
    assert line["cycles"][0]["left_at"] == rfc3339(_whole_second(a_class, minutes=5))
    assert {cycle["ended_by"] for cycle in line["cycles"]} == {"left"}
    assert {cycle["disconnect_reason"] for cycle in line["cycles"]} == {"CLIENT_INITIATED"}


def test_an_open_visit_has_no_end(a_class: Rollcall) -> None:
    [cycle] = told(a_class.roster("98"))["attendances"][0]["cycles"]
    assert (cycle["left_at"], cycle["ended_by"], cycle["estimated"]) == (None, None, False)


def test_when_the_room_finishes_everybody_is_out(a_class: Rollcall) -> None:
    a_class.deliver(room_finished(ago(1), room_created=ago(50)))
    summary = told(a_class.roster("98"))["summary"]
    assert (summary["present"], summary["left"], summary["not_joined"]) == (0, 3, 2)


def _whole_second(a_class: Rollcall, *, minutes: int) -> datetime:
    began = told(a_class.status("98"))["session"]["scheduled_at"]
    at: datetime = datetime.fromisoformat(began) + timedelta(minutes=minutes)
    return at.replace(microsecond=0)
