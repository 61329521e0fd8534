"""The right class: what schools do with their rooms, and what each class then says.

One room, "quran-98", whose classes' ids are not its name, unless a case says otherwise.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Unpack

import pytest

from models.domain import visit
from models.domain.attendance import Attendance
from models.domain.event import Event
from models.domain.facts import Session
from models.ledger import apply
from models.lookup import named_room, session_facts
from models.lookup import reach as reaching
from models.storage import db
from tests.build import (
    Folded,
    Words,
    aborted,
    at,
    client_joined,
    client_left,
    folded,
    joined,
    left,
    room_finished,
    room_started,
    seen,
)
from tests.build import session as registered
from tests.doors import Rollcall, ago, bearer, ops_token, session_url, token, told

L1 = registered("L1", scheduled="09:00")
L2 = registered("L2", scheduled="10:00")
C = registered("C", scheduled="09:00")
LATER = "12:30"


def stay(sid: str, begin: str, end: str | None = None, /, **words: Unpack[Words]) -> list[Event]:
    """A visit as LiveKit tells it."""
    own = words | Words(sid=sid, joined_at=begin)
    events = [joined(begin, **own)]
    if end is not None:
        events.append(left(end, **own))
    return events


def parts(seen: Attendance) -> list[str]:
    """Begin and end of each part, and what ended it."""
    return [
        f"{_clock(part.joined_at)}-{_clock(part.ended_at)} {part.ended_by or 'open'}"
        for part in seen.visits
    ]


def _clock(instant: datetime | None) -> str:
    return instant.strftime("%H:%M") if instant else ""


def word(known: Folded, of: str, now: str, user: str = "5") -> str:
    return known.attendance(user, of, now=now).attendance_status


def by(now: str, events: Sequence[Event], *registered: Session) -> Folded:
    """What is known at that moment."""
    return folded([each for each in events if each.created_at <= at(now)], registered=registered)


# --- 1: a room that is dropped, and classes that follow each other --------------------------------

DROPPED = [
    room_started("08:58", room="RM_1", room_created="08:58"),
    *stay("PA_1", "09:00", "09:40", room="RM_1", room_created="08:58"),
    room_finished("09:40", room="RM_1", room_created="08:58"),
    room_started("09:42", room="RM_2", room_created="09:42"),
    *stay("PA_2", "09:42", "10:05", room="RM_2", room_created="09:42"),
]


def test_the_second_half_of_a_dropped_lesson_counts_for_the_same_lesson() -> None:
    known = folded(DROPPED, registered=[L1, L2])
    first = known.attendance(session_id="L1", now=LATER)
    assert parts(first) == ["09:00-09:40 left", "09:42-10:00 next_session"]
    assert first.scheduled_duration == timedelta(minutes=58)
    assert parts(known.attendance(session_id="L2", now=LATER)) == ["10:00-10:05 left"]


def test_who_stays_on_after_their_class_is_not_in_a_class_that_does_not_expect_them() -> None:
    known = folded(
        DROPPED, registered=[replace(L1, expected=registered(expected=["5"]).expected), L2]
    )
    first = known.attendance(session_id="L1", now=LATER)
    assert parts(first) == ["09:00-09:40 left", "09:42-10:05 left"]
    assert first.scheduled_duration == timedelta(minutes=58), "what is after class counts not"
    assert parts(known.attendance(session_id="L2", now=LATER)) == []


# --- 2: who comes early for the next class --------------------------------------------------------


def test_who_only_the_next_class_expects_is_early_there_and_not_in_the_one_that_runs() -> None:
    second = replace(L2, expected=registered(expected=["5"]).expected)
    known = folded(stay("PA_1", "09:55", "11:00"), registered=[L1, second])
    early = by("09:57", stay("PA_1", "09:55"), L1, second).attendance(session_id="L2", now="09:57")
    assert (early.attendance_status, early.is_late) == ("present", None)
    whole = known.attendance(session_id="L2", now=LATER)
    assert (whole.is_late, whole.attendance_percentage) == (False, 100.0)
    assert parts(known.attendance(session_id="L1", now=LATER)) == []


# --- 3: a room that is old ------------------------------------------------------------------------


@pytest.mark.parametrize("created", ["07:55", "00:00"])
def test_a_room_that_was_opened_long_before_is_the_classs_all_the_same(created: str) -> None:
    words: Words = {"room_created": created}
    told_of = [
        room_started(created, **words),
        *stay("PA_agent", created, **(words | Words(user="agent", kind="AGENT"))),
        *stay("PA_1", "09:00", "10:00", **words),
    ]
    known = folded(told_of, registered=[C])
    assert word(by("09:30", told_of, C), "C", "09:30") == "present"
    whole = known.attendance(session_id="C", now=LATER)
    assert (whole.attendance_status, whole.attendance_percentage) == ("completed", 100.0)


def test_a_room_of_yesterday_too() -> None:
    words: Words = {"room_created": "08:00"}
    tomorrow = replace(C, scheduled_at=at("09:00 +1"))
    told_of = [room_started("08:00", **words), *stay("PA_1", "09:00 +1", "10:00 +1", **words)]
    whole = folded(told_of, registered=[tomorrow]).attendance(session_id="C", now="12:00 +1")
    assert (whole.attendance_status, whole.attendance_percentage) == ("completed", 100.0)


# --- 4: a gap between two classes -----------------------------------------------------------------

AFTER_A_GAP = registered("L2", scheduled="10:30")


def test_in_a_gap_the_nearest_edge_decides() -> None:
    told_of = [
        *stay("PA_1", "09:00", "10:05"),
        *stay("PA_2", "10:10", "10:12"),
        *stay("PA_3", "10:20", "11:30"),
    ]
    known = folded(told_of, registered=[L1, AFTER_A_GAP])
    assert parts(known.attendance(session_id="L1", now=LATER)) == [
        "09:00-10:05 left",
        "10:10-10:12 left",
    ]
    assert parts(known.attendance(session_id="L2", now=LATER)) == ["10:20-11:30 left"]


def test_a_visit_over_both_classes_is_cut_once_and_adds_up() -> None:
    known = folded(stay("PA_1", "08:50", "11:40"), registered=[L1, AFTER_A_GAP])
    first, second = (known.attendance(session_id=one, now=LATER) for one in ("L1", "L2"))
    assert parts(first) == ["08:50-10:15 next_session"]
    assert parts(second) == ["10:15-11:40 left"]
    assert first.duration + second.duration == timedelta(minutes=170)
    assert {part.cycle.cycle_id for part in (*first.visits, *second.visits)} == {"PA_1"}
    assert not any(part.estimated for part in first.visits)


# --- 6: what counts -------------------------------------------------------------------------------


def test_a_link_test_makes_nobody_punctual() -> None:
    told_of = [*stay("PA_1", "08:15", "08:20"), *stay("PA_2", "09:45", "10:00")]
    known = folded(told_of, registered=[C])
    assert word(by("08:17", told_of, C), "C", "08:17") == "present"
    assert word(known, "C", "08:30") == "left"
    assert word(by("09:10", told_of, C), "C", "09:10") == "not_joined"
    whole = known.attendance(session_id="C", now=LATER)
    assert (whole.is_late, whole.attendance_percentage) == (True, 25.0)
    assert (whole.first_joined_at, whole.join_count) == (at("08:15"), 2)
    assert whole.scheduled_duration == timedelta(minutes=15)


def test_coming_back_after_class_does_not_undo_leaving_early() -> None:
    told_of = [*stay("PA_1", "09:00", "09:20"), *stay("PA_2", "10:20", "10:21")]
    whole = folded(told_of, registered=[C]).attendance(session_id="C", now=LATER)
    assert (whole.left_early, whole.is_late) == (True, False)
    assert whole.last_left_at == at("10:21")


@pytest.mark.parametrize(("begin", "end"), [("08:16", "08:18"), ("10:22", "10:23")])
def test_who_was_never_in_class_is_absent(begin: str, end: str) -> None:
    whole = folded(stay("PA_1", begin, end), registered=[C]).attendance(session_id="C", now=LATER)
    assert whole.attendance_status == "absent"
    assert (whole.is_late, whole.left_early, whole.attendance_percentage) == (None, None, 0.0)
    assert whole.join_count == 1, "but it is shown"


# --- 7: one id for every week; what is final ------------------------------------------------------


def test_last_week_counts_for_nothing_this_week() -> None:
    known = folded(stay("PA_1", "09:00", "10:00"), registered=[C])
    assert word(known, "C", LATER) == "completed"
    moved = replace(C, scheduled_at=at("09:00 +7"))
    known = folded(stay("PA_1", "09:00", "10:00"), registered=[moved])
    assert known.attendance(session_id="C", now="09:30 +7").visits == ()
    assert word(known, "C", "09:30 +7") == "not_joined"


@pytest.mark.parametrize("opened", ["10:40", "09:00 +3"])
def test_final_stays_final_when_somebody_opens_the_link_later(opened: str) -> None:
    lesson = stay("PA_1", "09:00", "10:00")
    before = folded(lesson, registered=[C]).attendance(session_id="C", now="10:30")
    again = [
        *stay("PA_2", opened, room="RM_2", room_created=opened),
        *stay("PA_3", opened, room="RM_2", room_created=opened, user="6"),
    ]
    later = folded([*lesson, *again], registered=[C]).attendance(session_id="C", now="09:01 +3")
    assert before.final
    assert later.final
    for field in ("is_late", "left_early", "attendance_percentage", "meets_minimum"):
        assert getattr(before, field) == getattr(later, field)


# --- 8: breakout rooms ----------------------------------------------------------------------------

MAIN: Words = {"room": "RM_main", "room_name": "main"}
SIDE: Words = {"room": "RM_side", "room_name": "side-1", "names": "X"}


@pytest.mark.parametrize("side_created", ["08:40", "09:20"])
@pytest.mark.parametrize("scheduled", ["09:00", None])
def test_the_main_room_goes_on_after_a_side_room_finished(
    side_created: str, scheduled: str | None
) -> None:
    side: Words = {**SIDE, "room_created": side_created}
    main: Words = {**MAIN, "room_created": "08:50"}
    told_of = [
        room_started("08:50", **main),
        *stay("PA_1", "09:00", **main),
        *stay("PA_2", "09:20", "09:35", **(side | Words(user="6"))),
        room_finished("09:36", **side),
    ]
    session_x = registered("X", scheduled=scheduled, room_name="main", rooms=["side-*"])
    known = folded(told_of, registered=[session_x])
    assert word(known, "X", "09:50") == "present"
    assert parts(known.attendance("6", "X", now="09:50")) == ["09:20-09:35 left"]
    assert not known.attendance("6", "X", now="09:50").final


@pytest.mark.parametrize("where", [MAIN, SIDE])
def test_a_manual_join_ends_with_the_room_of_its_own_name(where: Words) -> None:
    side: Words = {**SIDE, "room_created": "09:00"}
    told_of = [
        room_started("08:50", **(MAIN | Words(room_created="08:50"))),
        room_started("09:00", **side),
        client_joined("09:05", session="X", room_name=where["room_name"]),
        room_finished("09:36", **side),
    ]
    session_x = registered("X", room_name="main", rooms=["side-*"], scheduled="09:00")
    known = folded(told_of, registered=[session_x])
    expected = ["09:05- open"] if where is MAIN else ["09:05-09:36 room_finished"]
    assert parts(known.attendance(session_id="X", now="09:50")) == expected


# --- stale ----------------------------------------------------------------------------------------


def test_who_stays_into_the_next_class_is_present_there_though_nobody_says_so_again() -> None:
    known = folded(stay("PA_1", "09:00"), registered=[L1, L2])
    assert word(known, "L2", "10:30") == "present"
    assert parts(known.attendance(session_id="L1", now="10:30")) == ["09:00-10:00 next_session"]
    assert parts(known.attendance(session_id="L2", now=LATER)) == ["10:00-11:00 stale"]


def test_who_came_early_for_the_next_class_is_not_stale_by_the_last() -> None:
    second = replace(L2, expected=registered(expected=["5"]).expected)
    known = folded(stay("PA_1", "09:50"), registered=[L1, second])
    for now in ("09:59", "10:00", "10:30", "10:59"):
        assert word(known, "L2", now) == "present"


def test_a_lost_left_ends_with_the_class() -> None:
    far = registered("L2", scheduled="12:30")
    known = folded(stay("PA_1", "09:00"), registered=[L1, far])
    assert parts(known.attendance(session_id="L1", now="10:01")) == ["09:00-10:00 stale"]
    known = folded([*stay("PA_1", "09:00"), seen("10:20")], registered=[L1])
    assert parts(known.attendance(session_id="L1", now="10:24")) == ["09:00- open"]
    assert parts(known.attendance(session_id="L1", now="10:26")) == ["09:00-10:25 stale"]


NEXT_DAY = [
    pytest.param(
        stay("PA_1", "09:00"),
        room_started("09:30 +1", room="RM_2", room_created="09:30 +1"),
        id="superseded",
    ),
    pytest.param(stay("PA_1", "09:00"), room_finished("09:30 +1"), id="room_finished"),
    pytest.param(
        stay("PA_1", "09:00"), joined("09:30 +1", sid="PA_2", joined_at="09:30 +1"), id="rejoined"
    ),
    pytest.param(
        [client_joined("09:00", session="quran-98@2026-11-23")],
        joined("09:30 +1", sid="PA_2", room="RM_2", joined_at="09:30 +1"),
        id="by hand",
    ),
]


@pytest.mark.parametrize(("lost", "next_day"), NEXT_DAY)
def test_a_lost_left_puts_nobody_in_a_class_of_the_next_day(
    lost: list[Event], next_day: Event
) -> None:
    """What comes when a visit had long been too old says nothing of when it ended."""
    tomorrow = registered("L2", scheduled="09:00 +1", minutes=30)
    known = folded([*lost, next_day], registered=[L1, tomorrow])
    assert parts(known.attendance(session_id="L1", now="12:30 +1")) == ["09:00-10:00 stale"]
    assert known.attendance(session_id="L2", now="12:30 +1").attendance_percentage == 0


LATER_CLASS = registered("L2", scheduled="11:30")
AFTER_IT = [
    pytest.param(room_finished("12:40"), id="room_finished"),
    pytest.param(joined("12:40", sid="PA_2", joined_at="12:40"), id="rejoined"),
    pytest.param(room_started("12:40", room="RM_2", room_created="12:40"), id="superseded"),
]


@pytest.mark.parametrize("after_it", AFTER_IT)
@pytest.mark.parametrize(
    "lost", [stay("PA_1", "09:00"), [client_joined("09:00", session="quran-98@2026-11-23")]]
)
def test_a_lost_left_puts_nobody_in_a_later_class_of_the_day(
    lost: list[Event], after_it: Event
) -> None:
    """Who was absent from a class, finally, is not made present by what somebody else does."""
    told_of = [*lost, *stay("PA_9", "11:30", user="9"), after_it]
    for now in ("12:30", "13:20", "14:00"):
        later = by(now, told_of, L1, LATER_CLASS).attendance(session_id="L2", now=now)
        assert (later.attendance_status, later.attendance_percentage) in (
            ("absent", 0.0),
            ("present", 0.0),  # who came back after the class
        )


def test_who_was_too_old_before_their_class_began_did_not_sit_in_it() -> None:
    """A room that metadata gives to a class, and somebody in it of whom nobody told anything since
    the evening before."""
    tomorrow = registered("C", scheduled="14:00 +1")
    known = folded(stay("PA_1", "20:00", room_created="20:00", names="C"), registered=[tomorrow])
    for now, expected in (("14:30 +1", "not_joined"), ("15:30 +1", "absent")):
        assert word(known, "C", now) == expected


# --- 10, 11: nobody registered anything -----------------------------------------------------------


def test_a_permanent_room_is_a_session_for_each_of_its_lives() -> None:
    told_of = [
        event
        for day in range(3)
        for event in (
            room_started(f"09:00 +{day}", room=f"RM_{day}", room_created=f"09:00 +{day}"),
            *stay(
                f"PA_{day}",
                f"09:00 +{day}",
                f"10:00 +{day}",
                room=f"RM_{day}",
                room_created=f"09:00 +{day}",
            ),
            room_finished(f"10:05 +{day}", room=f"RM_{day}", room_created=f"09:00 +{day}"),
        )
    ]
    known = folded(told_of)
    assert known.sessions == [f"quran-98@2026-11-{day}" for day in (23, 24, 25)]
    for made in known.sessions:
        assert known.attendance(session_id=made, now="12:00 +2").join_count == 1


def test_a_class_over_midnight_is_in_one_session() -> None:
    words: Words = {"room_created": "23:30"}
    known = folded([room_started("23:30", **words), *stay("PA_1", "23:40", "00:40 +1", **words)])
    assert known.sessions == ["quran-98@2026-11-23"]
    whole = known.attendance(session_id="quran-98@2026-11-23", now="02:00 +1")
    assert parts(whole) == ["23:40-00:40 left"]


def test_a_room_that_was_named_and_is_born_again_without_it_is_the_same_session() -> None:
    told_of = [
        *stay("PA_1", "09:00", "09:30", room="RM_1", room_created="08:55", names="X"),
        room_finished("09:31", room="RM_1", room_created="08:55"),
        *stay("PA_2", "09:32", "10:00", room="RM_2", room_created="09:32"),
    ]
    for order in permutations(told_of):
        known = folded(order)
        assert known.sessions == ["X"]
        assert known.attendance(session_id="X", now=LATER).join_count == 2


# --- 5, 9, 12: what is registered changes while people are inside ---------------------------------


def put(rollcall: Rollcall, *classes: Session) -> None:
    for each in classes:
        starts = each.scheduled_at.isoformat() if each.scheduled_at else None
        answer = rollcall.put(
            each.id,
            room_name=each.room_name,
            scheduled_at=starts,
            duration_minutes=each.duration_minutes,
            expected=[{"user_id": person.user_id} for person in each.expected],
        )
        assert answer.status_code in (200, 201), answer.text


def polled(rollcall: Rollcall, address: str, now: str, user: str = "5") -> tuple[str, Attendance]:
    """What a poll of that moment says, from the database: the session's id and the attendance."""
    rules = rollcall.backend.rules
    with db.reading(rollcall.backend.engine) as conn:
        known = session_facts.facts_at(conn, address, user_id=user, now=at(now), rules=rules)
        assert known is not None, "nobody knows it"
        cycles = reaching.within(conn, known.reach, user_id=user)
    return known.meeting.session.id, known.view(user, cycles, now=at(now), rules=rules)


LATE_PUTS = [
    pytest.param([], "quran-98@2026-11-23", ["08:30-12:00 left"], id="not registered yet"),
    pytest.param(
        [registered("C", scheduled="09:00")], "C", ["08:30-11:00 next_session"], id="registered"
    ),
    pytest.param(
        [registered("C", scheduled="09:00", minutes=120)], "C", ["08:30-12:00 left"], id="longer"
    ),
    pytest.param(
        [registered("C", scheduled="09:00", minutes=30)],
        "C",
        ["08:30-10:30 next_session"],
        id="shorter",
    ),
    pytest.param([registered("C", scheduled="10:30")], "C", ["09:30-12:00 left"], id="moved"),
]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("classes", "of", "expected"), LATE_PUTS)
def test_a_class_that_is_put_moved_or_deleted_is_right_at_the_next_poll(
    rollcall: Rollcall, classes: list[Session], of: str, expected: list[str], *, first: bool
) -> None:
    events_of = stay("PA_1", "08:30", "12:00", room_created="08:30")
    if first:
        rollcall.deliver(*events_of)
    put(rollcall, registered("C", scheduled="08:00"))
    polled(rollcall, "C", "09:00")
    rollcall.delete("C")
    put(rollcall, *classes)
    if not first:
        rollcall.deliver(*reversed(events_of))
    session_id, attendance = polled(rollcall, of, LATER)
    assert (session_id, parts(attendance)) == (of, expected)
    total = sum(
        (
            polled(rollcall, each, LATER)[1].duration
            for each in {of, "quran-98@2026-11-23"}
            if is_there(rollcall, each)
        ),
        timedelta(0),
    )
    assert total == timedelta(hours=3, minutes=30), "no minute is lost, none counts twice"


def is_there(rollcall: Rollcall, session_id: str) -> bool:
    with db.reading(rollcall.backend.engine) as conn:
        return session_facts.facts(conn, session_id, rules=rollcall.backend.rules) is not None


def test_a_registration_touches_no_row_but_its_own(rollcall: Rollcall) -> None:
    rollcall.deliver(*DROPPED)
    before = rollcall.facts()
    put(rollcall, L1, L2)
    put(rollcall, replace(L1, duration_minutes=90))
    rollcall.delete("L1")
    rollcall.delete("L2")
    assert rollcall.facts() == before


def test_polls_by_the_rooms_name_never_mean_the_wrong_class_and_never_flicker(
    rollcall: Rollcall,
) -> None:
    """A pupil of each class polls from 08:30 to 11:30. 5 is in the first, 6 in the second."""
    first = replace(L1, expected=registered(expected=["5"]).expected)
    second = replace(L2, expected=registered(expected=["6"]).expected)
    put(rollcall, first, second)
    rollcall.deliver(
        room_started("08:50", room_created="08:50"),
        *stay("PA_1", "08:55", "10:03", room_created="08:50"),
        *stay("PA_2", "09:50", "11:02", user="6", room_created="08:50"),
        room_finished("11:03", room_created="08:50"),
    )
    for minute in range(181):
        now = (at("08:30") + timedelta(minutes=minute)).strftime("%H:%M")
        mine, theirs = (polled(rollcall, "quran-98", now, user) for user in ("5", "6"))
        assert mine[0] == ("L1" if now <= "11:00" else "L2"), now
        assert theirs[0] == ("L2" if now >= "09:00" else "L1"), now


MOVES = [
    ("put", L1),
    ("put", L2),
    ("put", replace(L2, duration_minutes=90)),
    ("delete", L1),
    ("put", L1),
]


@pytest.mark.parametrize(
    "places", [(0, 0, 0, 0, 0), (1, 2, 3, 4, 5), (5, 5, 5, 5, 5), (0, 3, 3, 5, 5)]
)
def test_events_and_registrations_in_any_order_give_the_same_rosters(
    rollcall: Rollcall, places: Sequence[int]
) -> None:
    """Events come in twos; each registration after as many of them as its place says."""
    told_of = [*DROPPED, *stay("PA_3", "09:50", "11:20", room="RM_2", user="6")]
    for number in range(6):
        for place, (what, each) in zip(places, MOVES, strict=True):
            if place == number:
                put(rollcall, each) if what == "put" else rollcall.delete(each.id)
                polled(rollcall, each.id if what == "put" else "quran-98", "10:30")
        rollcall.deliver(*reversed(told_of[number * 2 : number * 2 + 2]))
    for session_id, user, expected in (
        ("L1", "5", ["09:00-09:40 left", "09:42-10:00 next_session"]),
        ("L2", "5", ["10:00-10:05 left"]),
        ("L1", "6", ["09:50-10:00 next_session"]),
        ("L2", "6", ["10:00-11:20 left"]),
    ):
        assert parts(polled(rollcall, session_id, LATER, user)[1]) == expected


# --- by hand --------------------------------------------------------------------------------------


def test_a_join_by_an_id_is_taken_near_its_time_only(rollcall: Rollcall) -> None:
    for session_id, minutes, expected in (
        ("last-week", 7 * 24 * 60, 409),
        ("in-two-hours", -120, 409),
        ("in-half-an-hour", -30, 201),
        ("just-over", 60 + 59, 201),
        ("over", 60 + 61, 409),
    ):
        rollcall.put(session_id, room_name="quran-98", scheduled_at=ago(minutes).isoformat())
        answer = rollcall.join(session_id, of=token(session_id))
        assert answer.status_code == expected, (session_id, answer.text)
        assert answer.get_json().get("reason") in (None, "not-open")


def test_last_weeks_joins_by_an_id_count_for_nothing_when_the_id_is_moved(
    rollcall: Rollcall,
) -> None:
    by_id = [client_joined("09:02", session="C"), client_left("09:50", session="C")]
    with db.writing(rollcall.backend.engine) as conn:
        apply.apply(conn, by_id, now=at("10:00"), settings=rollcall.backend.settings)
    put(rollcall, C)
    assert polled(rollcall, "C", LATER)[1].attendance_status == "completed"
    put(rollcall, replace(C, scheduled_at=at("09:00 +7")))
    moved = polled(rollcall, "C", "08:30 +7")[1]
    assert (moved.attendance_status, moved.visits) == ("not_joined", ())


def test_a_join_by_an_id_changes_nothing_for_others(rollcall: Rollcall) -> None:
    rollcall.put("now", room_name="quran-98", scheduled_at=ago(10).isoformat())
    rollcall.put("soon", room_name="quran-98", scheduled_at=ago(-55).isoformat())
    assert told(rollcall.join("soon", of=token("6")))["session_id"] == "soon"
    assert told(rollcall.status("quran-98", of=token("5")))["session_id"] == "now"
    assert told(rollcall.join("quran-98", of=token("5")))["session_id"] == "now"
    roster = told(rollcall.roster("soon", of=ops_token()))
    assert [line["user_id"] for line in roster["attendances"]] == ["6"]


def test_a_leave_long_after_the_class_is_told_of_the_class() -> None:
    """The visit went stale with its class, and nobody owns the moment of the leave."""
    known = folded([client_joined("09:50", session="quran-98@2026-11-23")], registered=[C])
    [by_hand] = known.cycles_of()
    assert visit.home(known.owners(), by_hand, now=at("15:00")) == "C"


def test_other_classes_at_the_same_time_are_named(rollcall: Rollcall) -> None:
    put(rollcall, L1, L2)
    answer = rollcall.put("X", room_name="quran-98", scheduled_at=at("09:30").isoformat())
    assert told(answer)["overlaps"] == ["L1", "L2"]


# --- who is not counted ---------------------------------------------------------------------------


def test_a_roster_says_who_was_connected_and_does_not_count(rollcall: Rollcall) -> None:
    put(rollcall, C)
    words: Words = {"room_created": "08:00"}
    phone = words | Words(sid="PA_phone", user="+96650", kind="SIP")
    rollcall.deliver(
        *stay("PA_1", "09:00", "10:00", **words),
        *stay("PA_agent", "09:00", "10:00", **(words | Words(user="agent", kind="AGENT"))),
        *stay("PA_shy", "09:00", "10:00", **(words | Words(user="shy", hidden=True))),
        aborted("09:05", **(words | Words(sid="PA_no", user="tries"))),
        joined("09:10", **phone),
        left("09:11", **(phone | Words(reason="USER_REJECTED"))),
        *stay("PA_early", "08:05", "08:06", **(words | Words(user="agent", kind="AGENT"))),
        *stay("PA_other", "12:00", "12:30", **(words | Words(user="agent", kind="AGENT"))),
    )
    url = session_url("C", "attendance", uncounted="1")
    more = told(rollcall.client.get(url, headers=bearer(ops_token())))
    plain = told(rollcall.roster("C", of=ops_token()))
    assert "uncounted" not in plain
    assert [line["user_id"] for line in more["attendances"]] == ["5"]
    assert {(line["participant_sid"], line["reason"]) for line in more["uncounted"]} == {
        ("PA_agent", "kind"),
        ("PA_early", "kind"),
        ("PA_shy", "hidden"),
        ("PA_no", "aborted"),
        ("PA_phone", "unanswered"),
    }


def test_an_events_detail_says_that_its_rooms_naming_is_ignored_or_why_it_does_not_count(
    rollcall: Rollcall,
) -> None:
    put(rollcall, C)
    rollcall.deliver(
        joined("09:00", sid="PA_1", room="RM_9", room_name="intruder", names="C", event_id="EV_9"),
        joined("09:00", sid="PA_2", kind="AGENT", event_id="EV_1"),
    )

    def changed(event_id: str) -> dict[str, dict[str, object]]:
        url = f"/api/events/{event_id}"
        detail = told(rollcall.client.get(url, headers=bearer(ops_token())))
        return dict(detail["changed"])

    intruder, agent = changed("EV_9"), changed("EV_1")
    assert (intruder["room"]["naming_ignored"], intruder["cycle"]["uncounted"]) == (True, None)
    assert (agent["room"]["naming_ignored"], agent["cycle"]["uncounted"]) == (False, "kind")


def test_who_joined_from_a_side_room_by_hand_may_poll_though_livekit_told_of_no_such_room(
    rollcall: Rollcall,
) -> None:
    rollcall.put("C", room_name="main", scheduled_at=ago(10).isoformat(), rooms=["side-*"])
    pupil = token("5", room="side-1")
    assert told(rollcall.status("C", of=pupil))["attendance_status"] == "not_joined"
    assert told(rollcall.join("side-1", of=pupil))["session_id"] == "C"
    for address in ("C", "side-1"):
        assert told(rollcall.status(address, of=pupil))["attendance_status"] == "present"


def test_a_manual_join_after_midnight_means_the_room_that_is_open_since_before_it(
    rollcall: Rollcall,
) -> None:
    events = [
        room_started("23:50", room_created="23:50"),
        joined("23:55", room_created="23:50"),
        client_joined("00:05 +1")._replace(session_id=None),
    ]
    now, rules = at("00:06 +1"), rollcall.backend.rules
    with db.writing(rollcall.backend.engine) as conn:
        apply.apply(conn, events, now=now, settings=rollcall.backend.settings)
        named = named_room.of_name(conn, "quran-98", now=now, rules=rules)
        assert named.session_id("5", now=now) == "quran-98@2026-11-23"
        facts = session_facts.facts(conn, "quran-98@2026-11-23", rules=rules)
        assert facts is not None
        own = reaching.within(conn, facts.reach, user_id="5")
        assert facts.view("5", own, now=now, rules=rules).is_currently_in_meeting
