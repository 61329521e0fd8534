"""Manual joins and leaves: what a frontend may say of its own person, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from werkzeug.test import TestResponse

from models.settings.settings import Settings
from models.storage import db
from models.tables.webhook_event import webhook_events
from tests.build import joined, left, room_finished
from tests.doors import (
    CHUNKED,
    Rollcall,
    ago,
    bearer,
    on_postgresql,
    on_sqlite,
    ops_token,
    problem,
    serving,
    session_url,
    together,
    token,
    told,
    wait_for,
    without,
)
from tests.faults import free_port
from tests.terminal import Terminal

LEAVE = "/api/sessions/meeting/leave"
JOIN = "/api/sessions/meeting/join"


def today() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.fixture
def planned(rollcall: Rollcall) -> Rollcall:
    """Session 98, in room quran-98, began nine minutes ago and lasts an hour."""
    rollcall.put("98", room_name="quran-98", scheduled_at=ago(9).isoformat())
    return rollcall


# --- join -----------------------------------------------------------------------------------------


def test_a_join_is_a_new_visit_with_the_status_after_it(planned: Rollcall) -> None:
    answer = planned.join("98")
    assert answer.status_code == 201
    seen = told(answer)
    assert seen["visit"].startswith("VI_")
    assert (seen["session_id"], seen["user_id"]) == ("98", "5")
    assert (seen["is_currently_in_meeting"], seen["attendance_status"]) == (True, "present")
    assert (seen["join_count"], seen["is_late"]) == (1, False)
    assert seen["session"]["room_name"] == "quran-98"
    assert told(planned.status("98"))["is_currently_in_meeting"] is True


def test_a_join_while_inside_is_the_same_visit_from_its_first_join(planned: Rollcall) -> None:
    first = told(planned.join("98"))
    again = planned.join("98", name="Aisha", participant_sid="PA_1")
    assert again.status_code == 200
    assert told(again)["visit"] == first["visit"]
    assert told(again)["first_joined_at"] == first["first_joined_at"]
    assert told(again)["join_count"] == 1
    [line] = told(planned.roster("98"))["attendances"]
    assert line["name"] == "Aisha"


def test_an_empty_name_is_none_and_takes_none_away(planned: Rollcall, terminal: Terminal) -> None:
    planned.put("98", room_name="quran-98", expected=[{"user_id": "9", "name": ""}])
    planned.join("98", name="Aisha")
    planned.join("98", name="")
    names = [line["name"] for line in told(planned.roster("98"))["attendances"]]
    assert names == ["Aisha", None]
    assert terminal("events", "verify").exit_code == 0


def test_a_join_after_the_leave_is_another_visit(planned: Rollcall) -> None:
    first = told(planned.join("98"))["visit"]
    planned.leave(first)
    second = planned.join("98")
    assert second.status_code == 201
    assert told(second)["visit"] != first
    assert told(second)["join_count"] == 2


def test_a_visit_is_made_even_when_livekit_already_has_the_person(planned: Rollcall) -> None:
    planned.deliver(joined(ago(1)))
    answer = planned.join("98")
    assert answer.status_code == 201
    assert told(answer)["visit"].startswith("VI_")
    assert told(answer)["join_count"] == 1, "it is the visit that LiveKit told of"


def test_ids_may_be_numbers(planned: Rollcall) -> None:
    assert told(planned.join(98, participant_sid=7, academy_id=3))["session_id"] == "98"


def test_a_session_may_be_named_by_its_room(planned: Rollcall) -> None:
    assert told(planned.join("quran-98"))["session_id"] == "98"


def test_a_join_is_in_the_ledger_and_not_in_the_inbox(planned: Rollcall) -> None:
    visit = told(planned.join("98", name="Aisha", participant_sid="PA_1"))["visit"]
    planned.leave(visit)
    rows = planned.ledger()
    assert [row["event"] for row in rows] == ["client_joined", "client_left"]
    assert {row["source"] for row in rows} == {"client"}
    assert {(row["status"], row["attempts"]) for row in rows} == {("applied", 1)}
    assert {(row["user_id"], row["session_id"], row["room_name"]) for row in rows} == {
        ("5", "98", "quran-98")
    }
    assert planned.drain() == 0


def test_the_longest_words_that_a_door_takes_can_be_folded_again(rollcall: Rollcall) -> None:
    user, room = "ع" * 128, "غ" * 128
    mine = token(user, room)
    words = {"name": "ن" * 256, "participant_sid": "س" * 133}
    visit = told(rollcall.join(room, of=mine, **words))["visit"]
    rollcall.leave(visit, room, of=mine)
    facts = rollcall.facts()
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(webhook_events).values(status="pending"))
    assert rollcall.drain() == 2
    assert [(row["status"], row["error"]) for row in rollcall.ledger()] == [("applied", None)] * 2
    assert rollcall.facts() == facts


# --- sessions made on the spot --------------------------------------------------------------------


def test_an_unregistered_rooms_session_is_made_with_type_and_academy(rollcall: Rollcall) -> None:
    seen = told(rollcall.join("quran-98", session_type="individual", academy_id=7))
    assert seen["session_id"] == f"quran-98@{today()}"
    assert seen["session"]["session_type"] == "individual"
    assert seen["session"]["scheduled_at"] is None
    [made] = rollcall.facts()["sessions"]
    assert (made["made_by"], made["room_name"]) == ("client", "quran-98")
    assert (made["duration_minutes"], made["late_after_minutes"]) == (60, 10)
    seen = told(rollcall.client.get(session_url(made["id"]), headers=bearer(ops_token())))
    assert seen["academy_id"] == "7"


def test_type_and_academy_are_the_first_joins_and_never_over_what_is_registered(
    rollcall: Rollcall,
) -> None:
    rollcall.join("quran-98", session_type="individual")
    again = told(rollcall.join("quran-98", of=token("6"), session_type="group", academy_id="7"))
    assert again["session"]["session_type"] == "individual"
    rollcall.put("98", room_name="math-7", session_type="academic")
    seen = told(rollcall.join("98", of=token("5", "math-7"), session_type="group"))
    assert seen["session"]["session_type"] == "academic"


def test_the_id_that_the_room_would_make_may_be_asked_for(rollcall: Rollcall) -> None:
    made = f"quran-98@{today()}"
    assert told(rollcall.join(made))["session_id"] == made


@pytest.mark.parametrize("session", ["98", "math-7", "quran-98@2020-02-02", "quran-98@", "quran"])
def test_a_rooms_token_makes_no_session_of_another_kind(rollcall: Rollcall, session: str) -> None:
    assert problem(rollcall.join(session)) == (403, "forbidden")
    assert rollcall.facts()["sessions"] == []
    assert rollcall.ledger() == []


def test_the_rooms_webhooks_come_into_the_session_that_a_join_made(rollcall: Rollcall) -> None:
    made = told(rollcall.join("quran-98", session_type="group"))["session_id"]
    rollcall.deliver(joined(ago(0), room_created=ago(0)))
    seen = told(rollcall.status("quran-98"))
    assert (seen["session_id"], seen["join_count"]) == (made, 1)
    assert seen["session"]["session_type"] == "group"


def test_a_join_by_the_rooms_name_after_its_class_is_over_begins_anew(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98", scheduled_at=ago(600).isoformat())
    assert told(rollcall.join("quran-98"))["session_id"] == f"quran-98@{today()}"


# --- leave ----------------------------------------------------------------------------------------


def test_a_leave_ends_its_visit_exactly(planned: Rollcall) -> None:
    visit = told(planned.join("98"))["visit"]
    answer = planned.leave(visit)
    assert answer.status_code == 200
    seen = told(answer)
    assert "visit" not in seen
    assert (seen["is_currently_in_meeting"], seen["attendance_status"]) == (False, "left")
    [line] = told(planned.roster("98"))["attendances"]
    [cycle] = line["cycles"]
    assert cycle["left_at"] == seen["last_left_at"]
    assert without(cycle, "joined_at", "left_at") == {
        "participant_sid": None,
        "visit": visit,
        "source": "client",
        "kind": "STANDARD",
        "disconnect_reason": None,
        "estimated": False,
        "ended_by": "client_left",
        "room_end_reason": None,
    }


def test_leaving_again_changes_nothing(planned: Rollcall) -> None:
    visit = told(planned.join("98"))["visit"]
    first = told(planned.leave(visit))
    facts = planned.facts()
    for _ in range(2):
        again = planned.leave(visit)
        assert again.status_code == 200
        assert without(told(again), "as_of") == without(first, "as_of")
    assert planned.facts() == facts
    assert len(planned.ledger()) == 2


def test_a_late_leave_ends_only_the_visit_that_it_names(planned: Rollcall) -> None:
    first = told(planned.join("98"))["visit"]
    planned.leave(first)
    planned.join("98")
    assert told(planned.leave(first))["is_currently_in_meeting"] is True


@pytest.mark.parametrize("visit", ["VI_unknown", "PA_1", "5", "x" * 267])
def test_a_visit_that_is_none_of_mine_is_a_404(planned: Rollcall, visit: str) -> None:
    planned.deliver(joined(ago(1)))
    assert problem(planned.leave(visit)) == (404, "no-visit")


def test_the_visit_of_somebody_else_is_as_unknown_as_any(planned: Rollcall) -> None:
    visit = told(planned.join("98"))["visit"]
    theirs, unknown = planned.leave(visit, of=token("6")), planned.leave("VI_1", of=token("6"))
    assert problem(theirs) == (404, "no-visit")
    assert theirs.data == unknown.data
    assert told(planned.status("98"))["is_currently_in_meeting"] is True


def test_my_visit_in_another_room_takes_that_rooms_token(planned: Rollcall) -> None:
    visit = told(planned.join("98"))["visit"]
    assert problem(planned.leave(visit, of=token("5", "math-7"))) == (403, "forbidden")
    assert told(planned.status("98"))["is_currently_in_meeting"] is True


# --- beacons --------------------------------------------------------------------------------------


def beacon(
    rollcall: Rollcall,
    visit: str,
    *,
    content_type: str | None = "text/plain;charset=UTF-8",
    access_token: str | None = None,
    header: str | None = None,
) -> TestResponse:
    """What `navigator.sendBeacon` posts: no header of ours, and a content type of its own."""
    body = {"session_id": "98", "visit": visit, "access_token": access_token}
    headers = {} if header is None else bearer(header)
    data = json.dumps(body).encode()
    return rollcall.client.post(LEAVE, data=data, headers=headers, content_type=content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain;charset=UTF-8",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        None,
    ],
)
@on_sqlite
def test_a_beacon_carries_its_token_in_the_body_whatever_its_type(
    planned: Rollcall, content_type: str | None
) -> None:
    visit = told(planned.join("98"))["visit"]
    answer = beacon(planned, visit, content_type=content_type, access_token=token())
    assert told(answer)["is_currently_in_meeting"] is False


@on_sqlite
def test_a_beacons_token_is_checked_like_any(planned: Rollcall) -> None:
    visit = told(planned.join("98"))["visit"]
    assert problem(beacon(planned, visit)) == (401, "missing")
    assert problem(beacon(planned, visit, access_token="garbage")) == (401, "malformed")
    assert problem(beacon(planned, visit, access_token=ops_token())) == (403, "forbidden")
    assert problem(beacon(planned, visit, access_token=token("6"))) == (404, "no-visit")
    assert told(planned.status("98"))["is_currently_in_meeting"] is True


@on_sqlite
def test_two_different_tokens_are_a_400_and_the_same_one_twice_is_good(planned: Rollcall) -> None:
    visit = told(planned.join("98"))["visit"]
    two = beacon(planned, visit, access_token=token("6"), header=token())
    assert problem(two) == (400, "two-tokens")
    assert beacon(planned, visit, access_token=token(), header=token()).status_code == 200


@on_sqlite
def test_a_join_takes_no_token_from_its_body(planned: Rollcall) -> None:
    body = {"session_id": "98", "access_token": token()}
    assert problem(planned.client.post(JOIN, json=body)) == (401, "missing")


# --- bad bodies -----------------------------------------------------------------------------------

BAD: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("no JSON", b"session_id=98"),
    ("no object", b'["98"]'),
    ("not UTF-8", b'{"session_id": "\xff"}'),
    ("no session", b"{}"),
    ("null", b'{"session_id": null, "visit": null}'),
    ("empty", b'{"session_id": "", "visit": ""}'),
    ("a list", b'{"session_id": ["98"], "visit": ["VI_1"]}'),
    ("a truth", b'{"session_id": true, "visit": true}'),
    ("a fraction", b'{"session_id": 9.8, "visit": 9.8}'),
    ("too long", b'{"session_id": "%b", "visit": "%b"}' % (b"x" * 268, b"x" * 268)),
    ("longer with its NULs replaced", rb'{"session_id": "%b", "visit": 1}' % (rb"\u0000" * 90)),
]  # fmt: skip


@pytest.mark.parametrize("url", [JOIN, LEAVE])
@pytest.mark.parametrize("body", [body for _, body in BAD], ids=[why for why, _ in BAD])
@on_sqlite
def test_a_bad_body_is_a_400_that_names_the_field(planned: Rollcall, url: str, body: bytes) -> None:
    answer = planned.client.post(url, data=body, headers=bearer(token()))
    status, reason = problem(answer)
    assert (status, reason) in {(400, "not-json"), (400, "invalid")}
    if reason == "invalid":
        assert (answer.json or {})["errors"][0]["field"] == "session_id"
    assert planned.ledger() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_type", "lecture"),
        ("session_type", 5),
        ("academy_id", ""),
        ("name", 5),
        ("name", "x" * 257),
        ("participant_sid", {}),
        ("participant_sid", "x" * 268),
    ],
)
@on_sqlite
def test_a_bad_field_of_a_join_is_named(planned: Rollcall, field: str, value: Any) -> None:
    answer = planned.join("98", **{field: value})
    assert problem(answer) == (400, "invalid")
    assert [error["field"] for error in (answer.json or {})["errors"]] == [field]


@on_sqlite
def test_the_id_that_one_room_makes_is_registered_for_no_other(rollcall: Rollcall) -> None:
    made = f"quran-98@{today()}"
    assert problem(rollcall.put(made, room_name="math-7")) == (400, "invalid")
    assert told(rollcall.join("quran-98"))["session_id"] == made
    assert rollcall.put(made, room_name="quran-98").status_code == 201
    assert len(told(rollcall.roster(made, of=ops_token()))["attendances"]) == 1


@on_sqlite
def test_unknown_fields_are_ignored_and_null_means_left_out(planned: Rollcall) -> None:
    nothing = dict.fromkeys(("participant_sid", "session_type", "academy_id", "name"))
    assert planned.join("98", future="field", **nothing).status_code == 201


@pytest.mark.parametrize("url", [JOIN, LEAVE])
@on_sqlite
def test_a_body_larger_than_any_beacon_is_a_413(planned: Rollcall, url: str) -> None:
    body = {"session_id": "98", "visit": "VI_1", "padding": "x" * 74_000}
    answer = planned.client.post(url, json=body, headers=bearer(token()))
    assert problem(answer) == (413, "request-entity-too-large")


@on_sqlite
def test_a_chunked_body_is_read_to_its_end_or_refused_never_cut(planned: Rollcall) -> None:
    body = json.dumps({"session_id": "98"})

    def joined_with(size: int) -> int:
        return planned.client.post(
            JOIN, data=body.ljust(size), headers=bearer(token()), environ_overrides=CHUNKED
        ).status_code

    assert [joined_with(size) for size in (100, 80_000)] == [201, 413]


# --- at the same moment ---------------------------------------------------------------------------


@on_postgresql
def test_two_joins_of_one_person_at_the_same_moment_make_one_visit(rollcall: Rollcall) -> None:
    def joining(of: str) -> Callable[[], TestResponse]:
        tab = rollcall.another()
        return lambda: tab.join("quran-98", of=of)

    for user in ("5", "6"):
        answers = together(*(joining(token(user)) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
        assert len({told(answer)["visit"] for answer in answers}) == 1
    assert len(rollcall.facts()["cycles"]) == 2
    assert len(rollcall.facts()["sessions"]) == 1


@on_postgresql
def test_a_whole_class_may_join_at_the_same_moment(rollcall: Rollcall) -> None:
    def joining(number: int) -> Callable[[], TestResponse]:
        tab = rollcall.another()
        return lambda: tab.join("quran-98", of=token(f"pupil-{number}"))

    answers = together(*map(joining, range(8)))
    assert [answer.status_code for answer in answers] == [201] * 8
    summary = told(rollcall.roster("quran-98"))["summary"]
    assert (summary["total"], summary["present"]) == (8, 8)


# --- together with LiveKit ------------------------------------------------------------------------


def test_a_visit_from_the_first_word_to_the_last(planned: Rollcall) -> None:
    """The page says "joined"; LiveKit confirms; the page's beacon is a hint; LiveKit decides."""
    visit = told(planned.join("98"))["visit"]
    began = datetime.now(UTC)
    planned.deliver(joined(began, room_created=began))
    assert told(planned.status("98"))["join_count"] == 1

    beacon(planned, visit, access_token=token())
    seen = told(planned.status("98"))
    assert seen["is_currently_in_meeting"] is True, "pages hide without leaving"

    ended = began + timedelta(seconds=3)
    planned.deliver(left(ended, joined_at=began))
    [line] = told(planned.roster("98"))["attendances"]
    [cycle] = line["cycles"]
    assert (cycle["participant_sid"], cycle["source"]) == ("PA_1", "livekit")
    assert (cycle["ended_by"], cycle["estimated"]) == ("left", False)
    assert line["attendance_status"] == "left"


def test_a_hint_ends_a_visit_whose_leave_livekit_lost(planned: Rollcall) -> None:
    began = ago(0, seconds=1)
    planned.deliver(joined(began, room_created=began))
    visit = told(planned.join("98", participant_sid="PA_1"))["visit"]
    planned.leave(visit)
    wait_for(lambda: datetime.now(UTC) > began + timedelta(seconds=2))
    planned.deliver(room_finished(datetime.now(UTC), room_created=began))
    [line] = told(planned.roster("98"))["attendances"]
    [cycle] = line["cycles"]
    assert (cycle["ended_by"], cycle["estimated"]) == ("client_left", True)


def test_a_join_again_voids_an_earlier_hint(planned: Rollcall) -> None:
    began = ago(0, seconds=1)
    planned.deliver(joined(began, room_created=began))
    planned.leave(told(planned.join("98", participant_sid="PA_1"))["visit"])
    planned.join("98", participant_sid="PA_1")
    finished = datetime.now(UTC) + timedelta(seconds=1)
    planned.deliver(room_finished(finished, room_created=began))
    [line] = told(planned.roster("98"))["attendances"]
    [cycle] = line["cycles"]
    assert cycle["ended_by"] == "room_finished"


def test_livekit_alone_knows_of_a_guest_whose_page_says_nothing(planned: Rollcall) -> None:
    planned.deliver(joined(ago(3), user="guest", sid="PA_2"))
    planned.join("98")
    summary = told(planned.roster("98"))["summary"]
    assert (summary["total"], summary["present"]) == (2, 2)


@on_sqlite
def test_without_redis_a_join_is_recorded_and_seen(settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    with serving(away) as rollcall:
        visit = told(rollcall.join("quran-98"))["visit"]
        assert told(rollcall.status("quran-98"))["is_currently_in_meeting"] is True
        rollcall.leave(visit)
        assert told(rollcall.status("quran-98"))["is_currently_in_meeting"] is False
