"""Who may see what, and who may change what: what was shown to be open, each with its own test."""

from __future__ import annotations

import pytest
from werkzeug.test import TestResponse

from models.ledger import apply
from models.settings.settings import Settings
from models.storage import db
from tests.build import client_joined, client_left, joined, left
from tests.doors import (
    GROWS,
    GROWS_IN_CLASS,
    Rollcall,
    Row,
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

pytestmark = on_sqlite

MATH_ADMIN = token("teacher-2", "math-7", roomAdmin=True)
MATH_PUPIL = token("7", "math-7")
QURAN_ADMIN = token("teacher-1", "quran-98", roomAdmin=True)


def quran(rollcall: Rollcall) -> None:
    """Person 5 has been in room quran-98 for nine minutes."""
    rollcall.deliver(joined(ago(9), name="Ahmad", room_created=ago(10)))


def math_names(rollcall: Rollcall, session: str) -> None:
    """Whoever administers room math-7 gave it this session; person 7 is in it."""
    rollcall.deliver(
        joined(
            ago(8),
            sid="PA_7",
            user="7",
            name="Sarah",
            room="RM_7",
            room_name="math-7",
            room_created=ago(10),
            names=session,
        )
    )


def people(rollcall: Rollcall, session: str, of: str) -> list[str]:
    return [line["user_id"] for line in told(rollcall.roster(session, of=of))["attendances"]]


# --- metadata gives attendance, never access ------------------------------------------------------


def test_a_room_that_names_a_registered_session_of_another_room_is_not_in_it(
    rollcall: Rollcall,
) -> None:
    rollcall.put("98", room_name="quran-98", expected=[{"user_id": "5", "name": "أحمد"}])
    quran(rollcall)
    math_names(rollcall, "98")
    for ask in (rollcall.roster, rollcall.status, rollcall.join):
        assert problem(ask("98", of=MATH_ADMIN)) == (403, "forbidden")
    assert people(rollcall, "98", QURAN_ADMIN) == ["5"]
    assert told(rollcall.status("math-7", of=MATH_PUPIL))["session_id"].startswith("math-7@")


def test_in_a_session_that_nobody_registered_each_room_sees_its_own_visits(
    rollcall: Rollcall,
) -> None:
    made = "open-class"
    rollcall.deliver(joined(ago(9), name="Ahmad", room_created=ago(10), names=made))
    math_names(rollcall, made)
    rollcall.join("math-7", of=token("8", "math-7"), session_type="group", academy_id="spy")
    assert people(rollcall, made, MATH_ADMIN) == ["7", "8"]
    assert people(rollcall, made, QURAN_ADMIN) == ["5"]
    seen = told(rollcall.roster(made, of=MATH_ADMIN))["session"]
    assert (seen["room_name"], seen["session_type"]) == ("math-7", "group")
    seen = told(rollcall.roster(made, of=QURAN_ADMIN))["session"]
    assert (seen["room_name"], seen["session_type"]) == ("quran-98", None)
    seen = told(rollcall.status(made, of=MATH_ADMIN, user_id="5"))
    assert (seen["attendance_status"], seen["join_count"]) == ("not_joined", 0)
    assert len(told(rollcall.roster(made))["attendances"]) == 3, "an operator sees all of it"


def test_what_is_made_on_the_spot_for_one_room_no_other_room_names(rollcall: Rollcall) -> None:
    quran(rollcall)
    made = told(rollcall.status("quran-98"))["session_id"]
    before = told(rollcall.roster(made, of=QURAN_ADMIN))["session"]
    math_names(rollcall, made)
    for of in (MATH_ADMIN, MATH_PUPIL):
        assert problem(rollcall.roster(made, of=of)) == (403, "forbidden")
    assert told(rollcall.roster(made))["session"] == before, "as an operator sees it"
    assert told(rollcall.status("math-7", of=MATH_PUPIL))["session_id"].startswith("math-7@")
    listed = rollcall.client.get("/api/sessions?room_name=quran-98", headers=bearer(ops_token()))
    assert [each["session_id"] for each in told(listed)["sessions"]] == [made]


def test_a_room_hears_of_its_own_session_though_another_room_named_it_first(
    rollcall: Rollcall,
) -> None:
    made = told(rollcall.join("quran-98"))["session_id"]
    rollcall.forget()
    math_names(rollcall, made)
    assert told(rollcall.status(made))["attendance_status"] == "not_joined"
    assert told(rollcall.join(made))["session_id"] == made
    assert people(rollcall, made, QURAN_ADMIN) == ["5"]


def test_who_named_an_id_before_it_is_registered_has_nothing_of_it_afterwards(
    rollcall: Rollcall,
) -> None:
    math_names(rollcall, "98")
    assert told(rollcall.join("98", of=token("8", "math-7")))["session_id"] == "98"
    quran(rollcall)
    rollcall.put("98", room_name="quran-98")
    assert problem(rollcall.roster("98", of=MATH_ADMIN)) == (403, "forbidden")
    assert problem(rollcall.join("98", of=MATH_PUPIL)) == (403, "forbidden")
    assert people(rollcall, "98", QURAN_ADMIN) == ["5"]
    assert [line["user_id"] for line in told(rollcall.roster("98"))["attendances"]] == ["5"]


def test_a_room_that_is_called_like_another_rooms_session_means_itself(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98")
    quran(rollcall)
    rollcall.deliver(
        joined(ago(5), sid="PA_8", user="8", room="RM_8", room_name="98", room_created=ago(6))
    )
    for of in (token("8", "98"), token("teacher", "98", roomAdmin=True)):
        seen = told(rollcall.status("98", of=of, user_id="8"))
        assert seen["session_id"].startswith("98@")
        assert seen["is_currently_in_meeting"] is True
    assert people(rollcall, "98", token("teacher", "98", roomAdmin=True)) == ["8"]
    assert people(rollcall, "98", QURAN_ADMIN) == ["5"]
    assert told(rollcall.join("98", of=token("9", "98")))["session_id"].startswith("98@")


def test_nobody_takes_a_rooms_name_from_its_people_by_naming_a_session_so(
    rollcall: Rollcall,
) -> None:
    quran(rollcall)
    math_names(rollcall, "quran-98")
    seen = told(rollcall.status("quran-98"))
    assert (seen["session_id"].startswith("quran-98@"), seen["join_count"]) == (True, 1)
    assert people(rollcall, "quran-98", QURAN_ADMIN) == ["5"]


def test_a_room_that_is_no_longer_listed_sees_nothing_more(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98", rooms=["side"])
    quran(rollcall)
    rollcall.deliver(joined(ago(5), sid="PA_8", user="8", room="RM_8", room_name="side"))
    side = token("8", "side", roomAdmin=True)
    assert people(rollcall, "98", side) == ["5", "8"]
    rollcall.put("98", room_name="quran-98")
    assert problem(rollcall.roster("98", of=side)) == (403, "forbidden")


# --- a join by an id changes nothing for others ---------------------------------------------------


def steady(seen: Row) -> Row:
    """What does not grow by itself."""
    return without(seen, *GROWS, *GROWS_IN_CLASS)


@pytest.mark.parametrize(
    ("scheduled_minutes_ago", "why"),
    [(7 * 24 * 60, "last week's"), (200, "over"), (-200, "to come"), (-511_000_000, "of 2998")],
)
def test_a_join_by_id_outside_the_sessions_time_is_refused_and_changes_nothing(
    rollcall: Rollcall, scheduled_minutes_ago: float, why: str
) -> None:
    scheduled_at = ago(scheduled_minutes_ago).isoformat()
    rollcall.put("98", room_name="quran-98", scheduled_at=scheduled_at)
    before = rollcall.seen("98")
    assert problem(rollcall.join("98")) == (409, "not-open"), why
    assert steady(rollcall.seen("98")) == steady(before)
    assert rollcall.ledger() == []


def test_a_join_by_id_changes_neither_what_a_name_means_nor_where_others_are(
    rollcall: Rollcall,
) -> None:
    rollcall.put("98", room_name="quran-98", scheduled_at=ago(10).isoformat())
    rollcall.put("99", room_name="quran-98", scheduled_at=ago(-40).isoformat(), duration_minutes=30)
    others = told(rollcall.join("quran-98", of=token("6")))
    assert others["session_id"] == "98"
    assert told(rollcall.join("99"))["session_id"] == "99"
    assert told(rollcall.status("quran-98", of=token("6")))["session_id"] == "98"
    assert told(rollcall.join("quran-98", of=token("7")))["session_id"] == "98"


def test_who_joins_the_next_class_by_its_id_is_in_both_one_after_the_other(
    rollcall: Rollcall,
) -> None:
    rollcall.put("98", room_name="quran-98", scheduled_at=ago(59).isoformat())
    rollcall.put("99", room_name="quran-98", scheduled_at=ago(-1).isoformat())
    first = told(rollcall.join("98"))
    second = told(rollcall.join("99"))
    assert (second["session_id"], second["is_currently_in_meeting"]) == ("99", True)
    assert second["visit"] != first["visit"]
    seen = told(rollcall.status("98"))
    assert (seen["is_currently_in_meeting"], seen["join_count"]) == (False, 1)
    assert told(rollcall.join("99"))["visit"] == second["visit"], "again is the same visit"


def test_a_room_is_joined_by_its_own_name_at_any_time(rollcall: Rollcall) -> None:
    """Also where a session has the room's name as its id, and is over, or to come."""
    for minutes_ago in (24 * 60, -5 * 60):
        scheduled_at = ago(minutes_ago).isoformat()
        rollcall.put("quran-98", room_name="quran-98", scheduled_at=scheduled_at)
        assert rollcall.join("quran-98").status_code in (200, 201)


def test_a_join_by_id_un_ends_no_other_session_of_the_room(rollcall: Rollcall) -> None:
    rollcall.put("open", room_name="quran-98")
    rollcall.put("98", room_name="quran-98", scheduled_at=ago(10).isoformat())
    with db.writing(rollcall.backend.engine) as conn:
        for event in (
            client_joined(ago(48 * 60), visit="VI_6", user="6", session="open"),
            client_left(ago(47 * 60), visit="VI_6", user="6", session="open"),
        ):
            settings = rollcall.backend.settings
            apply.apply(conn, [event], now=event.created_at, settings=settings)
    before = steady(rollcall.seen("open", user="6"))
    assert (before["attendance_status"], before["final"]) == ("completed", True)
    assert told(rollcall.join("98"))["session_id"] == "98"
    assert steady(rollcall.seen("open", user="6")) == before


def test_a_client_says_nothing_over_what_is_registered(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98", expected=[{"user_id": "5", "name": "سارة"}])
    joined_98 = told(rollcall.join("98", session_type="group", academy_id="spy", name="Batman"))
    assert joined_98["session"]["session_type"] is None
    assert joined_98["session"]["made_by"] == "registered"
    roster = told(rollcall.roster("98"))
    [line] = roster["attendances"]
    assert (line["name"], line["participant_name"]) == ("سارة", "Batman")
    assert line["expected"] is True
    made = told(rollcall.join("math-7", of=MATH_PUPIL, session_type="group"))["session"]
    assert (made["session_type"], made["made_by"]) == ("group", "client")


def test_livekits_name_does_not_stand_over_a_registered_one_either(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98", expected=[{"user_id": "5", "name": "سارة"}])
    rollcall.deliver(
        joined(ago(9), name="Batman", room_created=ago(10)),
        joined(ago(8), sid="PA_6", user="6", name="Robin", room_created=ago(10)),
    )
    lines = told(rollcall.roster("98"))["attendances"]
    said = [(line["name"], line["participant_name"], line["expected"]) for line in lines]
    assert said == [("سارة", "Batman", True), ("Robin", "Robin", False)]


# --- presence by one POST is seen -----------------------------------------------------------------


def test_who_is_there_by_their_own_word_alone_is_not_confirmed(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98")
    rollcall.join("98")
    rollcall.deliver(joined(ago(8), sid="PA_6", user="6", room_created=ago(10)))
    lines = told(rollcall.roster("98"))["attendances"]
    assert [(line["user_id"], line["confirmed"]) for line in lines] == [("5", False), ("6", True)]
    assert [line["confirmed_seconds"] > 0 for line in lines] == [False, True]
    assert rollcall.seen("98", user="nobody")["confirmed"] is None


def test_a_minute_that_livekit_saw_confirms_no_hour(rollcall: Rollcall) -> None:
    rollcall.deliver(
        joined(ago(60), room_created=ago(61)),
        left(ago(59), joined_at=ago(60), room_created=ago(61)),
    )
    told(rollcall.join("quran-98"))
    seen = told(rollcall.status("quran-98"))
    assert (seen["join_count"], seen["confirmed"]) == (2, True)
    assert 59 <= seen["confirmed_seconds"] <= 61
    assert seen["confirmed_seconds"] <= seen["duration_seconds"]


def test_manual_joins_can_be_switched_off(settings: Settings) -> None:
    with serving(settings) as rollcall:
        rollcall.put("98", room_name="quran-98")
        visit = told(rollcall.join("quran-98"))["visit"]
    with serving(settings.model_copy(update={"manual_joins": "off"})) as rollcall:
        assert problem(rollcall.join("quran-98", of=token("6"))) == (409, "manual-joins-off")
        roster = told(with_uncounted(rollcall))
        assert roster["attendances"] == []
        assert [each["reason"] for each in roster["uncounted"]] == ["manual"]
        assert rollcall.leave(visit).status_code == 200, "a leave is never lost"


def test_a_hint_counts_until_livekit_told_of_the_room(settings: Settings) -> None:
    with serving(settings.model_copy(update={"manual_joins": "hint"})) as rollcall:
        assert told(rollcall.join("quran-98"))["is_currently_in_meeting"] is True
        rollcall.deliver(
            joined(ago(8), sid="PA_6", user="6", room_created=ago(9)),
        )
        assert rollcall.seen("quran-98")["attendance_status"] == "not_joined"
        roster = told(with_uncounted(rollcall))
        assert [line["user_id"] for line in roster["attendances"]] == ["6"]
        reasons = [(each["user_id"], each["reason"]) for each in roster["uncounted"]]
        assert reasons == [("5", "unconfirmed")]


def with_uncounted(rollcall: Rollcall) -> TestResponse:
    url = session_url("quran-98", "attendance", uncounted="1")
    return rollcall.client.get(url, headers=bearer(ops_token()))
