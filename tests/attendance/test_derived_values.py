"""What follows from visits: status, late, early, percentage, final."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.domain.attendance import is_over, view
from models.domain.event import Event
from models.domain.facts import Meeting, Session
from tests.attendance.table import (
    CLASS,
    MEETING,
    RULES,
)
from tests.build import (
    aborted,
    at,
    client_joined,
    client_left,
    folded,
    joined,
    left,
    meeting,
    room_finished,
    room_started,
    seen,
)
from webhooks.schemas import answers


@pytest.mark.parametrize(
    ("reason", "events", "now", "seconds"),
    [
        ("nobody came", [], "14:10", 0),
        ("an open visit counts up to now", [joined("14:00")], "14:10", 600),
        ("a visit that ended does not", [joined("14:00"), left("14:05")], "14:10", 300),
        (
            "two visits add up",
            [joined("14:00"), left("14:05"), joined("14:08", sid="PA_2")],
            "14:10",
            420,
        ),
        (
            "a minute that two visits share is one minute",
            [
                left("14:06", joined_at="14:00"),
                left("14:09", sid="PA_2", joined_at="14:04"),
            ],
            "14:10",
            540,
        ),
        (
            "a visit within another adds nothing",
            [
                left("14:09", joined_at="14:00"),
                left("14:05", sid="PA_2", joined_at="14:04"),
                left("14:10", sid="PA_3", joined_at="14:09"),
            ],
            "14:10",
            600,
        ),
        ("an open visit that has yet to begin has no length", [joined("14:20")], "14:10", 0),
        (
            "all of it counts, before and after the class",
            [joined("13:00"), left("16:00")],
            "17:00",
            10_800,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_the_duration_is_the_union_of_the_visits(
    reason: str, events: list[Event], now: str, seconds: int
) -> None:
    told = folded(events, registered=[CLASS])
    assert told.attendance(now=now).duration == timedelta(seconds=seconds)


def test_durations_are_floored_once_not_for_each_visit() -> None:
    events = [
        left("14:00:31", joined_at="14:00:00.400"),
        left("14:01:31", sid="PA_2", joined_at="14:01:00.400"),
    ]
    seen = folded(events, registered=[CLASS]).attendance(now="14:10")
    status = answers.status(CLASS, seen)
    assert (status["duration_seconds"], status["duration_minutes"]) == (61, 1)


def test_first_and_last_are_of_the_counted_visits() -> None:
    events = [
        aborted("13:50", sid="PA_0"),
        client_joined("14:01"),
        joined("14:02"),
        left("14:05"),
        joined("14:10", sid="PA_2"),
        left("14:20", sid="PA_2"),
        joined("14:30", sid="PA_3"),
    ]
    seen = folded(events, registered=[CLASS]).attendance(now="14:40")
    assert seen.join_count == 3
    assert (seen.first_joined_at, seen.last_left_at) == (at("14:02"), at("14:20"))


def test_the_last_end_is_the_latest_not_that_of_the_latest_join() -> None:
    events = [left("14:30", joined_at="14:00"), left("14:20", sid="PA_2", joined_at="14:10")]
    seen = folded(events, registered=[CLASS]).attendance(now="14:40")
    assert seen.last_left_at == at("14:30")


def test_who_never_came_has_no_first_and_no_last() -> None:
    seen = view(meeting(CLASS), "5", [], now=at("14:10"), rules=RULES)
    assert (seen.first_joined_at, seen.last_left_at, seen.join_count) == (None, None, 0)


def test_the_name_is_that_of_the_latest_visit_that_has_one() -> None:
    events = [
        joined("14:00", name="Ada"),
        joined("14:10", sid="PA_2", name="Ada L."),
        joined("14:20", sid="PA_3"),
    ]
    assert folded(events, registered=[CLASS]).attendance(now="14:40").name == "Ada L."


OVER = {
    "a class, before its end": (CLASS, [joined("14:00")], "14:59:59.999999", False),
    "a class, at its end": (CLASS, [joined("14:00")], "15:00", True),
    "a class whose room finished early is not over": (
        CLASS,
        [room_finished("14:30")],
        "14:40",
        False,
    ),
    "a class that overruns is over all the same": (CLASS, [joined("14:00"), seen()], "15:00", True),
    "no schedule, its room lives": (MEETING, [room_started()], "14:40", False),
    "no schedule, its room finished": (MEETING, [room_started(), room_finished()], "15:00", True),
    "no schedule, finished, and nobody told of a start": (
        MEETING,
        [room_finished()],
        "15:00",
        True,
    ),
    "no schedule, finished in the second that it started": (
        MEETING,
        [room_started("14:00"), room_finished("14:00")],
        "14:00",
        True,
    ),
    "no schedule, started again": (
        MEETING,
        [room_started("13:00"), room_finished("13:30"), room_started("13:31")],
        "14:00",
        False,
    ),
    "no schedule, its last created room finished": (
        MEETING,
        [room_started("13:00"), room_started("14:00", room="RM_2"), room_finished(room="RM_2")],
        "15:00",
        True,
    ),
    "no schedule, only its first room finished": (
        MEETING,
        [room_started("13:00"), room_started("14:00", room="RM_2"), room_finished("14:30")],
        "15:00",
        False,
    ),
    "no schedule, nothing heard for almost twelve hours": (
        MEETING,
        [joined("02:00")],
        "13:59:59.999999",
        False,
    ),
    "no schedule, nothing heard for twelve hours": (MEETING, [joined("02:00")], "14:00", True),
    "no schedule, somebody was seen since": (
        MEETING,
        [joined("02:00"), seen("09:00")],
        "14:00",
        False,
    ),
    "no schedule, somebody left by hand since": (
        MEETING,
        [client_joined("02:00"), client_left("09:00")],
        "14:00",
        False,
    ),
    "no schedule, silent since the manual join": (MEETING, [client_joined("02:00")], "14:00", True),
    "no schedule, and nothing was ever heard": (MEETING, [], "14:00 +9", False),
}


@pytest.mark.parametrize(("one", "events", "now", "over"), OVER.values(), ids=OVER)
def test_when_a_session_is_over(one: Session, events: list[Event], now: str, over: bool) -> None:
    told = folded(events, registered=[one]).meeting()
    assert is_over(told, now=at(now), rules=RULES) is over


STATUS = {
    "in the meeting": ([joined("14:00")], "14:30", "present"),
    "in the meeting, though the class is over": (
        [joined("14:00"), seen("15:08")],
        "15:10",
        "present",
    ),
    "came and left": ([joined("14:00"), left("14:20")], "14:30", "left"),
    "came, left, and the class is over": ([joined("14:00"), left("14:20")], "15:00", "completed"),
    "came, is stale, and the class is over": ([joined("14:00")], "15:00", "completed"),
    "not here yet": ([], "14:30", "not_joined"),
    "never came": ([], "15:00", "absent"),
    "tried, never came": ([aborted("14:00")], "15:00", "absent"),
    "here again": ([joined("14:00"), left("14:20"), joined(sid="PA_2")], "14:30", "present"),
}


@pytest.mark.parametrize(("events", "now", "status"), STATUS.values(), ids=STATUS)
def test_the_status_is_one_of_five(events: list[Event], now: str, status: str) -> None:
    seen = folded(events, registered=[CLASS]).attendance(now=now)
    assert seen.attendance_status == status
    assert seen.is_currently_in_meeting is (status == "present")


LATE = {
    "ten minutes after the start is in time": (CLASS, [joined("14:10")], False),
    "a microsecond more is late": (CLASS, [joined("14:10:00.000001")], True),
    "early is in time": (CLASS, [joined("13:50")], False),
    "the first join decides": (
        CLASS,
        [joined("14:20", sid="PA_2"), left(joined_at="14:00")],
        False,
    ),
    "the session's own tolerance decides": (
        replace(CLASS, late_after_minutes=0),
        [joined("14:01")],
        True,
    ),
    "never came": (CLASS, [aborted("14:20")], None),
    "no schedule": (MEETING, [joined("14:20")], None),
}


@pytest.mark.parametrize(("one", "events", "late"), LATE.values(), ids=LATE)
def test_who_is_late(one: Session, events: list[Event], late: bool | None) -> None:
    assert folded(events, registered=[one]).attendance(now="14:40").is_late is late


EARLY = {
    "a minute before the end is not early": (CLASS, [joined(), left("14:59")], "15:00", False),
    "more than a minute is": (CLASS, [joined(), left("14:58:59")], "15:00", True),
    "the last end decides": (
        CLASS,
        [joined(), left("14:20"), left("14:59:30", sid="PA_2", joined_at="14:30")],
        "15:00",
        False,
    ),
    "nobody knows before it is over": (CLASS, [joined(), left("14:20")], "14:59:59", None),
    "nor while the class and the visit last": (CLASS, [joined()], "14:30", None),
    "still in the meeting after the end": (CLASS, [joined(), seen("15:08")], "15:10", False),
    "back in the meeting after the end": (
        CLASS,
        [joined(), left("14:20"), joined("15:09", sid="PA_2")],
        "15:10",
        True,
    ),
    "stale at the end": (CLASS, [joined()], "15:10", False),
    "never came": (CLASS, [], "15:10", None),
    "no schedule": (MEETING, [joined(), left(), room_finished()], "15:10", None),
}


@pytest.mark.parametrize(("one", "events", "now", "early"), EARLY.values(), ids=EARLY)
def test_who_left_early(one: Session, events: list[Event], now: str, early: bool | None) -> None:
    assert folded(events, registered=[one]).attendance(now=now).left_early is early


SHARE = {
    "all of it": ([left("15:00", joined_at="14:00")], 100.0),
    "half of it": ([left("14:30", joined_at="14:00")], 50.0),
    "only what lies within the class": ([left("14:30", joined_at="13:00")], 50.0),
    "only what lies within the class, at the end too": ([left("15:50", joined_at="14:45")], 25.0),
    "nothing before the class": ([left("13:59", joined_at="13:00")], 0.0),
    "nothing after the class": ([left("15:20", joined_at="15:00")], 0.0),
    "never came": ([], 0.0),
    "two visits at once count once": (
        [left("14:30", joined_at="14:00"), left("14:45", sid="PA_2", joined_at="14:15")],
        75.0,
    ),
    "one begins before the class, one within it": (
        [left("14:15", joined_at="13:00"), left("14:30", sid="PA_2", joined_at="13:50")],
        50.0,
    ),
    "half up: 0.05 is 0.1": ([left("14:00:02", joined_at="14:00:00.200")], 0.1),
    "half up: less than 0.05 is 0.0": ([left("14:00:02", joined_at="14:00:00.200001")], 0.0),
    "half up, not to the even digit: 20.25 is 20.3": ([left("14:12:09", joined_at="14:00")], 20.3),
    "half up: 99.95 is 100.0": ([left("14:59:59", joined_at="14:00:00.800")], 100.0),
}


@pytest.mark.parametrize(("events", "percentage"), SHARE.values(), ids=SHARE)
def test_the_percentage_is_the_share_of_the_scheduled_time(
    events: list[Event], percentage: float
) -> None:
    seen = folded(events, registered=[CLASS]).attendance(now="17:00")
    assert seen.attendance_percentage == percentage


def test_the_percentage_grows_while_the_class_lasts() -> None:
    told = folded([joined("14:00")], registered=[CLASS])
    assert told.attendance(now="14:15").attendance_percentage == 25.0


def test_without_a_schedule_there_is_no_percentage() -> None:
    told = folded([joined("14:00")], registered=[MEETING])
    assert told.attendance(now="14:15").attendance_percentage is None


FINAL = {
    "almost half an hour after the class": (CLASS, [joined(), left()], "15:29:59.999999", False),
    "half an hour after the class": (CLASS, [joined(), left()], "15:30", True),
    "also for who never came": (CLASS, [], "15:30", True),
    "not before half an hour after the end, though the room finished": (
        CLASS,
        [joined(), left(), room_finished("14:40")],
        "15:29:59.999999",
        False,
    ),
    "half an hour after the end, whatever becomes of the room": (
        CLASS,
        [joined(), left(), room_finished("15:29")],
        "15:30",
        True,
    ),
    "a room that finished early delays nothing": (
        CLASS,
        [joined(), left(), room_finished("14:40")],
        "15:30",
        True,
    ),
    "half an hour after the end, though somebody opens the room again": (
        CLASS,
        [joined(), left(), joined("15:40", sid="PA_2", room="RM_2")],
        "15:41",
        True,
    ),
    "the last created room": (
        CLASS,
        [room_started("13:00"), room_started("14:00", room="RM_2"), room_finished("15:20")],
        "15:30",
        True,
    ),
    "not while the person is inside": (CLASS, [joined(), seen("15:50")], "15:51", False),
    "though somebody else is": (
        CLASS,
        [joined(user="6", sid="PA_6"), seen("15:50", user="6", sid="PA_6"), joined(), left()],
        "15:51",
        True,
    ),
    "no schedule, half an hour after the room": (
        MEETING,
        [joined(), left(), room_finished("15:00")],
        "15:30",
        True,
    ),
    "no schedule, not before": (
        MEETING,
        [joined(), left(), room_finished("15:00")],
        "15:29:59",
        False,
    ),
    "no schedule, twelve hours of silence are enough": (
        MEETING,
        [left("02:00", joined_at="01:00")],
        "14:00",
        True,
    ),
    "no schedule, not while it lasts": (MEETING, [joined(), left()], "16:00", False),
}


@pytest.mark.parametrize(("one", "events", "now", "final"), FINAL.values(), ids=FINAL)
def test_when_an_attendance_is_final(
    one: Session, events: list[Event], now: str, final: bool
) -> None:
    assert folded(events, registered=[one]).attendance(now=now).final is final


MINIMUM = {
    "enough": (75.0, [left("14:45", joined_at="14:00")], "15:30", True),
    "the percentage that is shown decides: 74.97 is 75.0": (
        75.0,
        [left("14:44:59", joined_at="14:00")],
        "15:30",
        True,
    ),
    "the percentage that is shown decides: 74.94 is 74.9": (
        75.0,
        [left("14:44:58", joined_at="14:00")],
        "15:30",
        False,
    ),
    "never came": (75.0, [], "15:30", False),
    "not judged before it is final": (75.0, [left("14:45", joined_at="14:00")], "15:29:59", None),
    "no minimum": (None, [left("14:45", joined_at="14:00")], "15:30", None),
    "a minimum of nothing": (0.0, [], "15:30", True),
}


@pytest.mark.parametrize(("minimum", "events", "now", "meets"), MINIMUM.values(), ids=MINIMUM)
def test_who_meets_the_minimum(
    minimum: float | None, events: list[Event], now: str, meets: bool | None
) -> None:
    one = replace(CLASS, minimum_percentage=minimum)
    assert folded(events, registered=[one]).attendance(now=now).meets_minimum is meets


def test_without_a_schedule_nobody_is_measured() -> None:
    one = replace(MEETING, minimum_percentage=75.0)
    told = folded([joined(), left(), room_finished()], registered=[one])
    seen = told.attendance(now="15:30")
    assert (seen.final, seen.meets_minimum) == (True, None)


def test_nothing_known_is_not_joined_and_nothing_else() -> None:
    seen = view(Meeting(MEETING), "5", (), now=datetime(2026, 11, 23, tzinfo=UTC), rules=RULES)
    assert seen.attendance_status == "not_joined"
    assert (seen.is_late, seen.left_early, seen.attendance_percentage, seen.final) == (
        None,
        None,
        None,
        False,
    )
