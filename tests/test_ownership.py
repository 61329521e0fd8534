"""Which session? A pure function of a room, or a manual join, and of what is registered."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from models.domain.event import Event
from models.domain.facts import Cycle, Room, Session
from models.domain.ownership import (
    made_id,
    nearest,
    registered_session,
    room_session,
    visit_session,
)
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

UTC = ZoneInfo("UTC")
MADE = "quran-98@2026-11-23"
CLASS = session("98", scheduled="14:00", minutes=60)
UNSCHEDULED = session("u", scheduled=None)


def resolved(one: Room, *registered: Session) -> str:
    """The session of the room, however what is registered is ordered."""
    [found, *others] = {room_session(one, order, UTC) for order in permutations(registered)}
    assert not others
    return found


# --- the four cases -------------------------------------------------------------------------------

NAMED_LIKE_THE_ROOM = session("quran-98", scheduled=None, room_name="elsewhere")


@pytest.mark.parametrize(
    ("registered", "expected"),
    [
        pytest.param([CLASS], "98", id="a class of that room name whose window holds it"),
        pytest.param([UNSCHEDULED], "u", id="a session of that room name without a schedule"),
        pytest.param([NAMED_LIKE_THE_ROOM], "quran-98", id="a session with the room's name as id"),
        pytest.param([], MADE, id="nothing registered: one is made"),
        pytest.param(
            [CLASS, NAMED_LIKE_THE_ROOM, UNSCHEDULED], "98", id="a class goes before all others"
        ),
        pytest.param(
            [NAMED_LIKE_THE_ROOM, UNSCHEDULED],
            "quran-98",
            id="the id goes before a session without a schedule",
        ),
        pytest.param(
            [session("quran-98", scheduled="02:00"), UNSCHEDULED],
            "quran-98",
            id="the id counts whatever its schedule",
        ),
        pytest.param(
            [UNSCHEDULED, session("t", scheduled=None)],
            "t",
            id="of two without a schedule the smaller id",
        ),
        pytest.param(
            [session("98", scheduled="14:00", room_name="math-101")],
            MADE,
            id="another room's class is not ours",
        ),
        pytest.param([session("98", scheduled="02:00")], MADE, id="a class long over is not ours"),
        pytest.param(
            [session("98", scheduled="02:00"), UNSCHEDULED],
            "u",
            id="a class long over leaves it to a session without a schedule",
        ),
    ],
)
def test_a_room_belongs_to(registered: list[Session], expected: str) -> None:
    assert resolved(room(created="13:50"), *registered) == expected


@pytest.mark.parametrize("registered", [[], [CLASS], [NAMED_LIKE_THE_ROOM], [UNSCHEDULED]])
def test_what_the_metadata_names_goes_before_all_that_is_registered(
    registered: list[Session],
) -> None:
    assert resolved(room(created="13:50", names="77"), *registered) == "77"


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        pytest.param("12:59:59.999999", MADE, id="more than an hour before the start"),
        pytest.param("13:00", "98", id="an hour before the start"),
        pytest.param("14:30", "98", id="in the class"),
        pytest.param("16:00", "98", id="an hour after the end"),
        pytest.param("16:00:00.000001", MADE, id="more than an hour after the end"),
    ],
)
def test_a_class_takes_rooms_from_an_hour_before_to_an_hour_after(
    created: str, expected: str
) -> None:
    assert resolved(room(created=created), CLASS) == expected


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        pytest.param("14:29", "one", id="nearer to the first start"),
        pytest.param("14:30", "one", id="as near to both: the smaller id"),
        pytest.param("14:31", "two", id="nearer to the second start"),
        pytest.param("16:00", "two", id="the window of both holds it: still the nearest start"),
        pytest.param("16:30", "two", id="only the second window holds it"),
    ],
)
def test_of_two_classes_the_one_that_starts_nearest(created: str, expected: str) -> None:
    one, two = session("one", scheduled="14:00"), session("two", scheduled="15:00")
    assert resolved(room(created=created), one, two) == expected


def test_the_nearest_start_counts_not_the_longest_class() -> None:
    day = session("day", scheduled="08:00", minutes=600)
    assert resolved(room(created="14:05"), day, CLASS) == "98"
    assert resolved(room(created="10:00"), day, CLASS) == "day"


def test_two_classes_at_the_same_time_go_by_the_smaller_id() -> None:
    assert resolved(room(), CLASS, replace(CLASS, id="97")) == "97"


def test_a_session_without_a_schedule_has_no_window() -> None:
    assert nearest([UNSCHEDULED], at("14:00")) is None


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
    zone = ZoneInfo(timezone)
    assert room_session(room(created=created), [], zone) == expected
    assert made_id("quran-98", at(created), zone) == expected


def test_two_lives_on_one_day_are_one_session_and_two_days_are_two() -> None:
    told = [
        room_started("10:00"),
        room_started("20:00", room="RM_2"),
        room_started("10:00 +1", room="RM_3"),
    ]
    assert [one.session_id for one in folded(told).rooms.values()] == [
        MADE,
        MADE,
        "quran-98@2026-11-24",
    ]


def test_a_made_session_has_no_schedule_and_its_first_rooms_name() -> None:
    told = [
        room_started("14:00", room="RM_1", room_name="b", names="77"),
        room_started("13:00", room="RM_2", room_name="a", names="77"),
    ]
    made = folded(told).sessions["77"]
    assert (made.room_name, made.scheduled_at, made.registered) == ("a", None, False)


# --- order does not matter ------------------------------------------------------------------------

LATE_CREATION: Sequence[Event] = [
    left("14:20", joined_at="12:58", room_created=None),
    joined("12:58", room_created="12:58:00.500"),
    room_started("12:58", room_created="12:58:00.250", names=None),
    room_finished("14:30", room_created="12:58:00.250"),
]


def test_a_rooms_session_does_not_depend_on_the_order_of_its_events() -> None:
    """The left alone would put the room into the class; the earlier creation takes it out."""
    homes = {
        folded(order, registered=[CLASS]).rooms["RM_1"] for order in permutations(LATE_CREATION)
    }
    assert [one.session_id for one in homes] == [MADE]
    assert folded(LATE_CREATION[:1], registered=[CLASS]).rooms["RM_1"].session_id == "98"


def test_a_session_registered_late_has_the_rooms_that_it_would_have_had_early() -> None:
    told = [joined("14:00"), left("14:30"), client_joined("14:40", session=MADE)]
    before, after = folded(told), folded(told, registered=[CLASS])
    assert before.attendance(session_id=MADE, now="14:50").join_count == 2
    assert after.attendance(session_id="98", now="14:50").join_count == 2
    assert MADE not in after.sessions


def test_a_session_that_is_deleted_leaves_its_rooms_to_what_is_left() -> None:
    told = [joined("14:00")]
    homes = [
        folded(told, registered=one).rooms["RM_1"].session_id
        for one in ([CLASS, UNSCHEDULED], [UNSCHEDULED], [])
    ]
    assert homes == ["98", "u", MADE]


def test_the_least_event_that_names_a_session_decides_in_any_order() -> None:
    told = [joined("14:01", names="78"), room_started("14:00", names="77"), left("14:02")]
    for order in permutations(told):
        assert folded(order, registered=[CLASS]).rooms["RM_1"].session_id == "77"


# --- manual joins ---------------------------------------------------------------------------------


def manual(named: str | None, joined_at: str = "14:00") -> Cycle:
    return Cycle("VI_1", "5", named_session=named, room_name="quran-98", joined_at=at(joined_at))


@pytest.mark.parametrize(
    ("named", "registered", "expected"),
    [
        pytest.param("98", [CLASS], "98", id="the one that its door resolved"),
        pytest.param("77", [CLASS], "77", id="the one that its door resolved, not its room's"),
        pytest.param("98", [], "98", id="the one that its door resolved, though it was deleted"),
        pytest.param(MADE, [], MADE, id="one made on the spot"),
        pytest.param(MADE, [CLASS], "98", id="made on the spot, until the class is registered"),
        pytest.param(MADE, [UNSCHEDULED], "u", id="made on the spot, until any is registered"),
        pytest.param(
            MADE,
            [session("98", scheduled="02:00")],
            MADE,
            id="made on the spot, and another time's class is registered",
        ),
        pytest.param(
            MADE,
            [CLASS, session(MADE, scheduled=None, room_name="other")],
            MADE,
            id="one that was registered under the made one's id",
        ),
        pytest.param(
            "other@2026-11-23",
            [CLASS],
            "other@2026-11-23",
            id="one made for another room's name does not follow this one's",
        ),
    ],
)
def test_a_manual_join_belongs_to(named: str, registered: list[Session], expected: str) -> None:
    for order in permutations(registered):
        assert visit_session(manual(named), order) == expected


def test_a_leave_that_comes_before_its_join_waits_for_it() -> None:
    """Without a join time nobody knows which class it was: it stays where its door put it."""
    told = folded([client_left("14:30", session=MADE)], registered=[CLASS])
    assert told.cycles["VI_1"].session_id == MADE
    told = folded(
        [client_left("14:30", session=MADE), client_joined("14:00", session=MADE)],
        registered=[CLASS],
    )
    assert told.cycles["VI_1"].session_id == "98"


def test_a_manual_join_moves_to_the_class_whose_window_holds_its_first_join() -> None:
    late = session("late", scheduled="18:00")
    assert visit_session(manual(MADE, "16:59:59"), [CLASS, late]) == MADE
    assert visit_session(manual(MADE, "17:00"), [CLASS, late]) == "late"


def test_a_manual_join_whose_door_resolved_nothing_has_no_session() -> None:
    assert visit_session(manual(None), [CLASS]) is None


def test_a_room_and_a_manual_join_at_one_time_go_to_the_same_registered_session() -> None:
    for registered in ([CLASS], [UNSCHEDULED], [NAMED_LIKE_THE_ROOM], [CLASS, UNSCHEDULED]):
        found = registered_session("quran-98", at("14:00"), registered)
        assert room_session(room(created="14:00"), registered, UTC) == found
        assert visit_session(manual(MADE), registered) == found
