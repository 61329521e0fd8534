"""Which session owns a moment? A pure function of a room's name, a person and an instant, and of
what is registered at that moment."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from models.domain.event import Event
from models.domain.facts import Cycle, Room, Rules, Session
from models.domain.ownership import Owners, calendar, made_id, with_lives_in_a_row
from tests.build import (
    at,
    client_joined,
    client_left,
    folded,
    joined,
    left,
    room,
    room_finished,
    room_started,
    session,
)

NAME = "quran-98"
MADE = "quran-98@2026-11-23"
CLASS = session("98", scheduled="14:00", minutes=60)
UNSCHEDULED = session("u", scheduled=None)


def owner(
    instant: str,
    *registered: Session,
    user: str = "5",
    life: Room | None = None,
    rooms: Sequence[Room] = (),
) -> str:
    """Who owns the instant, however what is registered is ordered."""
    lives = with_lives_in_a_row([*rooms, *([life] if life else [])])
    expecting = frozenset(each.id for each in registered if user in each.awaited)
    [found, *others] = {
        Owners(NAME, Rules(), calendar(NAME, order), tuple(lives), expecting).at(
            at(instant), life, at(instant)
        )
        for order in permutations(registered)
    }
    assert not others
    return found


# --- by default -----------------------------------------------------------------------------------

OWN_ROOM = session("quran-98", scheduled=None)
ELSEWHERE = session("quran-98", scheduled=None, room_name="elsewhere")


@pytest.mark.parametrize(
    ("registered", "expected"),
    [
        pytest.param([CLASS], "98", id="a class of that room name, near its time"),
        pytest.param([UNSCHEDULED], "u", id="a session of that room name without a schedule"),
        pytest.param([OWN_ROOM], "quran-98", id="a session whose id and room name are the name"),
        pytest.param([ELSEWHERE], MADE, id="another room's session that is called like the room"),
        pytest.param([], MADE, id="nothing is registered: one is made"),
        pytest.param([CLASS, OWN_ROOM, UNSCHEDULED], "98", id="a class goes before all others"),
        pytest.param(
            [OWN_ROOM, UNSCHEDULED], "quran-98", id="a room of its own goes before another"
        ),
        pytest.param(
            [session("quran-98", scheduled="03:00"), UNSCHEDULED],
            "quran-98",
            id="a room of its own with a schedule owns MAX_CYCLE_HOURS around it",
        ),
        pytest.param(
            [session("quran-98", scheduled="00:30"), UNSCHEDULED],
            "u",
            id="a room of its own with a schedule owns no more than that",
        ),
        pytest.param(
            [UNSCHEDULED, session("t", scheduled=None)],
            "t",
            id="of two without a schedule the smaller id",
        ),
        pytest.param(
            [session("98", scheduled="14:00", room_name="math-101")],
            MADE,
            id="another room's class",
        ),
        pytest.param(
            [session("98", scheduled="14:00", room_name="math-101", rooms=["quran-98"])],
            "98",
            id="a class that lists the room among its rooms",
        ),
        pytest.param(
            [session("98", scheduled="14:00", room_name="math-101", rooms=["quran-*"])],
            "98",
            id="a class that lists how the room's name begins",
        ),
        pytest.param([session("98", scheduled="02:00")], MADE, id="a class long over"),
        pytest.param(
            [session("98", scheduled="02:00"), UNSCHEDULED],
            "u",
            id="a class long over leaves it to a session without a schedule",
        ),
    ],
)
def test_a_moment_belongs_to(registered: list[Session], expected: str) -> None:
    assert owner("13:50", *registered, life=room(created="13:45")) == expected
    assert owner("13:50", *registered) == expected, "and without a room that LiveKit told of"


# --- classes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        pytest.param("12:59:59.999999", MADE, id="more than an hour before the start"),
        pytest.param("13:00", "98", id="an hour before the start"),
        pytest.param("14:30", "98", id="in the class"),
        pytest.param("16:00", "98", id="an hour after the end"),
        pytest.param("16:00:00.000001", MADE, id="more than an hour after the end"),
    ],
)
def test_a_class_owns_moments_from_an_hour_before_to_an_hour_after(
    instant: str, expected: str
) -> None:
    assert owner(instant, CLASS) == expected


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        pytest.param("14:59:59.999", "first", id="the one that runs"),
        pytest.param("15:00", "second", id="the end of one is the start of the other"),
        pytest.param("16:14", "second", id="nearer to the end of the one before"),
        pytest.param("16:15", "third", id="as near to both: the one still to come"),
        pytest.param("16:29", "third", id="nearer to the start of the one to come"),
        pytest.param("13:10", "first", id="only one is near"),
    ],
)
def test_of_several_classes_the_one_that_runs_else_the_nearest_edge(
    instant: str, expected: str
) -> None:
    day = [
        session("first", scheduled="14:00"),
        session("second", scheduled="15:00"),
        session("third", scheduled="16:30"),
    ]
    assert owner(instant, *day) == expected


def test_of_two_that_run_the_one_that_began_later_then_the_smaller_id() -> None:
    day = session("day", scheduled="08:00", minutes=600)
    assert owner("14:05", day, CLASS) == "98"
    assert owner("10:00", day, CLASS) == "day"
    assert owner("14:05", CLASS, replace(CLASS, id="97")) == "97"


def test_who_is_expected_by_one_of_the_near_classes_is_in_none_of_the_others() -> None:
    first = session("first", scheduled="14:00", expected=["5"])
    second = session("second", scheduled="15:00", expected=["6"])
    for instant in ("14:59", "15:00", "15:30", "16:00"):
        assert owner(instant, first, second, user="5") == "first"
    assert owner("14:00", first, second, user="6") == "second", "an hour early, though first runs"
    assert owner("13:59", first, second, user="6") == "first", "its own is not near yet"
    assert [owner("14:59", first, second, user="guest"), owner("15:00", first, second)] == [
        "first",
        "first",
    ]
    assert owner("15:00", first, second, user="guest") == "second"


# --- metadata -------------------------------------------------------------------------------------


@pytest.mark.parametrize("registered", [[], [CLASS], [OWN_ROOM], [UNSCHEDULED]])
def test_what_the_metadata_names_goes_before_all_that_is_registered(
    registered: list[Session],
) -> None:
    assert owner("14:00", *registered, life=room(created="13:50", names="77")) == "77"


def test_a_room_that_is_born_again_follows_the_last_life_that_had_metadata() -> None:
    named, again = room("RM_1", created="08:00", names="77"), room("RM_2", created="20:00")
    assert owner("20:05", life=again, rooms=[named]) == "77"
    later = room("RM_2", created="20:00:00.001")
    assert owner("20:05", life=later, rooms=[named]) == MADE, "MAX_CYCLE_HOURS later is another day"
    assert owner("20:05", UNSCHEDULED, life=again, rooms=[named]) == "u", "what is registered first"


NAMES_98 = [joined("14:00", names="98", room="RM_9", room_name="intruder", sid="PA_9", user="7")]


def test_metadata_names_no_registered_session_of_other_rooms() -> None:
    known = folded(NAMES_98, registered=[CLASS])
    assert known.sessions == ["98", "intruder@2026-11-23"]
    assert known.attendance("7", "98", now="14:10").visits == ()
    listed = replace(CLASS, rooms=("intr*",))
    assert folded(NAMES_98, registered=[listed]).attendance("7", now="14:10").join_count == 1
    assert folded(NAMES_98).attendance("7", now="14:10").join_count == 1, "while nobody registered"


def test_the_least_event_that_names_a_session_decides_in_any_order() -> None:
    told = [joined("14:01", names="78"), room_started("14:00", names="77"), left("14:02")]
    for order in permutations(told):
        assert folded(order, registered=[CLASS]).attendance(session_id="77", now="15:00").visits


# --- made on the spot -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timezone", "created", "expected"),
    [
        ("UTC", "23:59:59", "quran-98@2026-11-23"),
        ("UTC", "00:00 +1", "quran-98@2026-11-24"),
        ("Asia/Riyadh", "20:59:59", "quran-98@2026-11-23"),
        ("Asia/Riyadh", "21:00", "quran-98@2026-11-24"),
        ("America/New_York", "04:59:59", "quran-98@2026-11-22"),
        ("America/New_York", "05:00", "quran-98@2026-11-23"),
    ],
)
def test_the_made_sessions_date_is_the_local_one(
    timezone: str, created: str, expected: str
) -> None:
    rules = Rules(timezone=ZoneInfo(timezone))
    assert made_id("quran-98", at(created), rules) == expected
    assert folded([room_started(created)], rules=rules).sessions == [expected]


def test_two_lives_on_one_day_are_one_session_and_two_days_are_two() -> None:
    told = [
        room_started("10:00"),
        room_started("20:00", room="RM_2"),
        room_started("10:00 +1", room="RM_3"),
    ]
    assert folded(told).sessions == [MADE, "quran-98@2026-11-24"]


# --- what is registered late, moved or deleted ----------------------------------------------------

LATE_CREATION: Sequence[Event] = [
    left("14:20", joined_at="12:58", room_created=None),
    joined("12:58", room_created="12:58:00.500"),
    room_started("12:58", room_created="12:58:00.250", names=None),
    room_finished("14:30", room_created="12:58:00.250"),
]


def test_owners_do_not_depend_on_the_order_of_events() -> None:
    seen = {
        folded(order, registered=[CLASS]).attendance(now="15:00").first_joined_at
        for order in permutations(LATE_CREATION)
    }
    assert seen == {at("13:00")}, "the part of the visit that is near the class"


def test_a_session_registered_late_has_what_it_would_have_had_early() -> None:
    told = [joined("14:00"), left("14:30"), client_joined("14:40", session=MADE)]
    assert folded(told).attendance(session_id=MADE, now="14:50").join_count == 2
    after = folded(told, registered=[CLASS])
    assert after.attendance(session_id="98", now="14:50").join_count == 2
    assert after.sessions == ["98"]


def test_a_session_that_is_deleted_leaves_its_moments_to_what_is_left() -> None:
    for registered in ([CLASS, UNSCHEDULED], [UNSCHEDULED], []):
        known = folded([joined("14:00")], registered=registered)
        expected = ["98", "u", MADE][2 - len(registered)]
        assert known.attendance(session_id=expected, now="14:10").join_count == 1


# --- manual joins ---------------------------------------------------------------------------------


def home(named: str | None, *registered: Session, joined_at: str = "14:00") -> str:
    """The session of a manual join that its client made with this id."""
    told = [client_joined(joined_at, session=named)] if named else [client_joined(joined_at)]
    cycle = folded(told).cycles["VI_1"]._replace(named_session=named)
    return cycle.joined_session or owner(joined_at, *registered)


@pytest.mark.parametrize(
    ("named", "registered", "expected"),
    [
        pytest.param("98", [CLASS], "98", id="by an id: that session"),
        pytest.param("77", [CLASS], "77", id="by an id: not its room's"),
        pytest.param("98", [], "98", id="by an id, though it was deleted"),
        pytest.param(None, [], MADE, id="by a room's name: one made on the spot"),
        pytest.param(None, [CLASS], "98", id="by a room's name: the class"),
        pytest.param(MADE, [], MADE, id="made on the spot by an older version"),
        pytest.param(MADE, [CLASS], "98", id="made on the spot, until the class is registered"),
        pytest.param(
            "other@2026-11-23", [CLASS], "other@2026-11-23", id="by an id that is another room's"
        ),
    ],
)
def test_a_manual_join_belongs_to(
    named: str | None, registered: list[Session], expected: str
) -> None:
    assert home(named, *registered) == expected


def test_a_join_by_a_rooms_name_is_cut_like_any_visit_and_one_by_an_id_is_not() -> None:
    second = session("99", scheduled="15:00")
    by_name = Cycle("VI_1", "5", room_name=NAME, joined_at=at("14:50"), kind="STANDARD")
    known = folded([], registered=[CLASS, second])
    for named, ended_by, second_joins in ((None, "next_session", 1), ("98", "stale", 0)):
        told = replace(known, cycles={"VI_1": by_name._replace(named_session=named)})
        [visit] = told.attendance(now="15:02").visits
        assert (visit.ended_at, visit.ended_by) == (at("15:00"), ended_by)
        assert told.attendance(session_id="99", now="15:02").join_count == second_joins


def test_a_leave_that_comes_before_its_join_is_no_visit_yet() -> None:
    gone = client_left("14:30", session="98")
    assert folded([gone], registered=[CLASS]).attendance(now="14:40").visits == ()
    told = folded([gone, client_joined("14:00", session="98")], registered=[CLASS])
    assert told.attendance(now="14:40").join_count == 1
