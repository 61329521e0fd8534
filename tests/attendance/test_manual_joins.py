"""Manual joins: what they give way to, and how they end."""

import pytest

from models.domain import visit
from models.domain.event import Event
from models.domain.facts import Rules
from tests.attendance.table import (
    CLASS,
    MEETING,
    Row,
    attended,
    rows,
    told,
)
from tests.build import (
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
)

HINT = Rules(manual_joins="hint")


@rows(
    Row(
        "a hint counts while LiveKit told of no room",
        [client_joined("14:00")],
        "14:10",
        ["VI_1 14:00- open"],
        rules=HINT,
    ),
    Row(
        "a hint to a room that is live counts for nothing",
        [room_started("13:50"), client_joined("14:00")],
        "14:10",
        [],
        rules=HINT,
    ),
    Row(
        "a hint two minutes before its room counts for nothing",
        [client_joined("13:58"), room_started("14:00", room_created="14:00")],
        "14:10",
        [],
        rules=HINT,
    ),
    Row(
        "an earlier hint ends when its room begins",
        [client_joined("13:50"), room_started("14:00", room_created="14:00")],
        "14:10",
        ["VI_1 13:50~14:00 superseded"],
        rules=HINT,
    ),
    Row(
        "a hint that LiveKit confirms is LiveKit's visit",
        [room_started("13:50"), client_joined("14:00"), joined("14:00:05")],
        "14:10",
        ["PA_1 14:00:05- open"],
        rules=HINT,
    ),
    Row(
        "a hint to a room that finished before counts",
        [room_started("13:00"), room_finished("13:30"), client_joined("14:00")],
        "14:10",
        ["VI_1 14:00- open"],
        rules=HINT,
    ),
    Row(
        "switched off, no manual join counts",
        [client_joined("14:00"), joined("14:30")],
        "14:40",
        ["PA_1 14:30- open"],
        rules=Rules(manual_joins="off"),
    ),
)
def test_how_much_a_manual_join_counts(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "a manual join alone is a visit: attendance works without LiveKit",
        [client_joined("14:00")],
        "14:10",
        ["VI_1 14:00- open"],
    ),
    Row(
        "dropped when LiveKit's visit began two minutes before",
        [joined("14:00"), client_joined("14:02")],
        "14:10",
        ["PA_1 14:00- open"],
    ),
    Row(
        "not dropped when it began earlier than that",
        [joined("14:00"), client_joined("14:02:00.000001")],
        "14:10",
        ["PA_1 14:00- open", "VI_1 14:02:00.000001- open"],
    ),
    Row(
        "dropped when LiveKit's visit began two minutes after",
        [client_joined("14:00"), joined("14:02")],
        "14:10",
        ["PA_1 14:02- open"],
    ),
    Row(
        "not dropped when it began later than that",
        [client_joined("14:00"), joined("14:02:00.000001")],
        "14:10",
        ["VI_1 14:00~14:02:00.000001 rejoined", "PA_1 14:02:00.000001- open"],
    ),
    Row(
        "dropped when the connection was only aborted",
        [client_joined("13:59"), aborted("14:00")],
        "14:10",
        [],
    ),
    Row(
        "dropped when it was aborted in the same instant",
        [aborted("14:00"), client_joined("14:00")],
        "14:10",
        [],
    ),
    Row(
        "not dropped when it was aborted before: an aborted connection ends as it begins",
        [aborted("14:00"), client_joined("14:00:00.000001")],
        "14:10",
        ["VI_1 14:00:00.000001- open"],
    ),
    Row(
        "not dropped when that visit had left before",
        [joined("14:00"), left("14:01"), client_joined("14:01:00.000001")],
        "14:10",
        ["PA_1 14:00-14:01 left", "VI_1 14:01:00.000001- open"],
    ),
    Row(
        "dropped when that visit left in the same instant, which is not before",
        [joined("14:00"), left("14:01"), client_joined("14:01")],
        "14:10",
        ["PA_1 14:00-14:01 left"],
    ),
    Row(
        "not dropped when that visit had been aborted before, after joining",
        [joined("14:00"), aborted("14:01"), client_joined("14:01:30")],
        "14:10",
        ["PA_1 14:00-14:01 aborted", "VI_1 14:01:30- open"],
    ),
    Row(
        "dropped though a left was inferred before: that end is not exact",
        [joined("14:00"), left("14:01", source="reconciler"), client_joined("14:01:30")],
        "14:10",
        ["PA_1 14:00~14:01 left"],
    ),
    Row(
        "not dropped when it had been aborted before, whatever else was inferred",
        [
            joined("14:00"),
            aborted("14:01"),
            left("14:01:10", source="reconciler"),
            client_joined("14:01:30"),
        ],
        "14:10",
        ["PA_1 14:00-14:01 aborted", "VI_1 14:01:30- open"],
    ),
    Row(
        "dropped when the left is before only by LiveKit's whole seconds",
        [joined("14:00:00.900"), left("14:00:00"), client_joined("14:00:00.800")],
        "14:10",
        ["PA_1 14:00:00.900-14:00:00.900 left"],
    ),
    Row(
        "not dropped for somebody else's visit",
        [joined("14:00", user="6"), client_joined("14:00")],
        "14:10",
        ["VI_1 14:00- open"],
    ),
    Row(
        "not dropped for a visit to another session",
        [joined("14:00", room="RM_2", room_name="other"), client_joined("14:00")],
        "14:10",
        ["VI_1 14:00- open"],
    ),
    Row(
        "dropped for a visit that does not count",
        [joined("14:00", kind="AGENT"), client_joined("14:00")],
        "14:10",
        [],
    ),
    Row(
        "dropped when it claims one of the person's visits, however long ago that began",
        [joined("14:00"), client_joined("14:30", claims="PA_1")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "dropped when it claims a visit that had left before",
        [joined("14:00"), left("14:10"), client_joined("14:30", claims="PA_1")],
        "14:40",
        ["PA_1 14:00-14:10 left"],
    ),
    Row(
        "dropped when a later join of the same visit adds the claim",
        [joined("14:00"), client_joined("14:30"), client_joined("14:31", claims="PA_1")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "the later of two claims decides",
        [
            joined("14:00"),
            client_joined("14:31", claims="PA_9"),
            client_joined("14:30", claims="PA_1"),
        ],
        "14:40",
        ["PA_1 14:00- open", "VI_1 14:30- open"],
    ),
    Row(
        "not dropped when it claims somebody else's visit: clients see each other's sids",
        [joined("14:00", user="6"), client_joined("14:30", claims="PA_1")],
        "14:40",
        ["VI_1 14:30- open"],
    ),
    Row(
        "not dropped when it claims a visit to another session",
        [joined("14:00", room="RM_2", room_name="other"), client_joined("14:30", claims="PA_1")],
        "14:40",
        ["VI_1 14:30- open"],
    ),
    Row(
        "a leave whose join nobody told of is nothing",
        [client_left("14:30")],
        "14:40",
        [],
    ),
)
def test_which_manual_joins_count(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "its own leave, exactly",
        [client_joined("14:00"), client_left("14:30")],
        "14:40",
        ["VI_1 14:00-14:30 client_left"],
    ),
    Row(
        "its own leave at its join",
        [client_joined("14:00"), client_left("14:00")],
        "14:40",
        ["VI_1 14:00-14:00 client_left"],
    ),
    Row(
        "not by a leave before its last join",
        [client_joined("14:00"), client_left("14:10"), client_joined("14:10:00.000001")],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "by its next leave, keeping its first join",
        [
            client_joined("14:20"),
            client_joined("14:00"),
            client_left("14:10"),
            client_left("14:30"),
        ],
        "14:40",
        ["VI_1 14:00-14:30 client_left"],
    ),
    Row(
        "not by another visit's leave",
        [client_joined("14:00"), client_left("14:30", visit="VI_2")],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "the person's next webhook join",
        [client_joined("14:00"), joined("14:30", sid="PA_2"), joined("14:20")],
        "14:25",
        ["VI_1 14:00~14:20 rejoined", "PA_1 14:20~14:30 rejoined", "PA_2 14:30- open"],
    ),
    Row(
        "not the next webhook join in another room of the session",
        [client_joined("14:00"), joined("14:20", room="RM_2", room_name="b", names="98")],
        "14:40",
        ["VI_1 14:00- open", "PA_1 14:20- open"],
    ),
    Row(
        "not an aborted connection: it is no join",
        [client_joined("14:00"), aborted("14:20")],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "not a webhook join before it",
        [joined("13:50"), left("13:55"), client_joined("14:00")],
        "14:40",
        ["PA_1 13:50-13:55 left", "VI_1 14:00- open"],
    ),
    Row(
        "not somebody else's join",
        [client_joined("14:00"), joined("14:20", user="6")],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "the person's next manual join",
        [client_joined("14:00"), client_joined("14:20", visit="VI_2")],
        "14:40",
        ["VI_1 14:00~14:20 rejoined", "VI_2 14:20- open"],
    ),
    Row(
        "the next manual join, though that one is dropped",
        [client_joined("14:00"), client_joined("14:21", visit="VI_2"), joined("14:22:30")],
        "14:40",
        ["VI_1 14:00~14:21 rejoined", "PA_1 14:22:30- open"],
    ),
    Row(
        "not a manual join at the same instant",
        [client_joined("14:00"), client_joined("14:00", visit="VI_2")],
        "14:40",
        ["VI_1 14:00- open", "VI_2 14:00- open"],
    ),
    Row(
        "the earliest: a join before its leave",
        [client_joined("14:00"), client_joined("14:20", visit="VI_2"), client_left("14:30")],
        "14:40",
        ["VI_1 14:00~14:20 rejoined", "VI_2 14:20- open"],
    ),
    Row(
        "the earliest: a leave before the next join",
        [client_joined("14:00"), client_left("14:10"), joined("14:20")],
        "14:40",
        ["VI_1 14:00-14:10 client_left", "PA_1 14:20- open"],
    ),
    Row(
        "the earliest: the room's finish before its leave",
        [room_started("13:50"), client_joined("14:00"), room_finished("14:20"), client_left()],
        "14:40",
        ["VI_1 14:00~14:20 room_finished"],
    ),
    Row(
        "a leave at the room's finish is exact",
        [
            room_started("13:50"),
            client_joined("14:00"),
            room_finished("14:20"),
            client_left("14:20"),
        ],
        "14:40",
        ["VI_1 14:00-14:20 client_left"],
    ),
    Row(
        "a leave after it went stale is still its leave",
        [client_joined("14:00"), client_left("15:30")],
        "15:40",
        ["VI_1 14:00-15:30 client_left"],
    ),
    Row(
        "without any of these it goes stale",
        [client_joined("14:00")],
        "15:00",
        ["VI_1 14:00~15:00 stale"],
    ),
    Row(
        "stale is never before five minutes after its join",
        [client_joined("14:58")],
        "15:03:00.000001",
        ["VI_1 14:58~15:03 stale"],
    ),
    Row(
        "and without a schedule no manual join lasts for ever",
        [client_joined("02:00")],
        "14:00:00.000001",
        ["VI_1 02:00~14:00 max_cycle"],
        session=MEETING,
    ),
)
def test_when_a_manual_join_ends(row: Row) -> None:
    assert told(attended(row)) == row.visits


MANUAL = client_joined("14:00")
B = Words(room="RM_B", room_name="b", names="98")


@rows(
    Row(
        "that was live when it began, finished",
        [room_started("13:50"), MANUAL, room_finished("14:30")],
        "14:40",
        ["VI_1 14:00~14:30 room_finished"],
    ),
    Row(
        "that was created in the instant of the join",
        [room_started("14:00"), MANUAL, room_finished("14:30")],
        "14:40",
        ["VI_1 14:00~14:30 room_finished"],
    ),
    Row(
        "that began two minutes after",
        [MANUAL, room_started("14:02"), room_finished("14:30")],
        "14:40",
        ["VI_1 14:00~14:30 room_finished"],
    ),
    Row(
        "not one that began later than that",
        [MANUAL, room_started("14:03", room_created="14:02:00.001"), room_finished("14:30")],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "that was live when it began, was superseded",
        [room_started("13:50"), MANUAL, room_started("14:30", room="RM_2")],
        "14:40",
        ["VI_1 14:00~14:30 superseded"],
    ),
    Row(
        "that began after, was superseded",
        [MANUAL, room_started("14:01"), room_started("14:30", room="RM_2")],
        "14:40",
        ["VI_1 14:00~14:30 superseded"],
    ),
    Row(
        "finished, and was superseded before that: the earlier",
        [
            room_started("13:50"),
            MANUAL,
            room_started("14:30", room="RM_2"),
            room_finished("14:35"),
        ],
        "14:40",
        ["VI_1 14:00~14:30 superseded"],
    ),
    Row(
        "was superseded, and finished before that: the earlier",
        [
            room_started("13:50"),
            MANUAL,
            room_started("14:30", room="RM_2"),
            room_finished("14:20"),
        ],
        "14:40",
        ["VI_1 14:00~14:20 room_finished"],
    ),
    Row(
        "not one that had been superseded",
        [
            room_started("13:40"),
            room_started("13:50", room="RM_2"),
            MANUAL,
            room_finished("14:20"),
        ],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "not one that was superseded in the instant of the join",
        [
            room_started("13:40"),
            room_started("14:00", room="RM_2"),
            MANUAL,
            room_finished("14:20"),
        ],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "not one that was superseded in that instant by another session's room",
        [
            room_started("13:40"),
            room_started("14:00", room="RM_2", names="77"),
            MANUAL,
            room_finished("14:20"),
        ],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "that finished in the second of the join: live, and gone at once",
        [room_started("13:50"), client_joined("14:00:00.900"), room_finished("14:00:00")],
        "14:40",
        ["VI_1 14:00:00.900~14:00:00.900 room_finished"],
    ),
    Row(
        "not one that had finished a second before, though it was superseded later",
        [
            room_started("13:50"),
            room_finished("13:59:59"),
            MANUAL,
            room_started("14:30", room="RM_2"),
        ],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "that had finished but started again since",
        [
            room_started("13:40"),
            room_finished("13:50"),
            room_started("13:55"),
            MANUAL,
            room_started("14:30", room="RM_2"),
        ],
        "14:40",
        ["VI_1 14:00~14:30 superseded"],
    ),
    Row(
        "that had finished but started again since, and finished again",
        [
            room_started("13:40"),
            room_finished("13:50"),
            room_started("13:55"),
            MANUAL,
            room_finished("14:20"),
        ],
        "14:40",
        ["VI_1 14:00~14:20 room_finished"],
    ),
    Row(
        "of its token's name, never with another that was live",
        [
            room_started("13:40"),
            room_started("13:50", **B),
            MANUAL,
            room_finished("14:10"),
            room_finished("14:30", **B),
        ],
        "14:40",
        ["VI_1 14:00~14:10 room_finished"],
    ),
    Row(
        "of its token's name, never with another that was about to begin",
        [
            room_started("13:40"),
            room_started("14:01", **B),
            MANUAL,
            room_finished("14:10"),
            room_finished("14:30", **B),
        ],
        "14:40",
        ["VI_1 14:00~14:10 room_finished"],
    ),
    Row(
        "not the room of another session",
        [
            room_started("13:50", room="RM_2", room_name="other"),
            MANUAL,
            room_finished("14:30", room="RM_2", room_name="other"),
        ],
        "14:40",
        ["VI_1 14:00- open"],
    ),
    Row(
        "though the class was over before it finished",
        [room_started("13:50"), MANUAL, room_finished("15:30")],
        "15:40",
        ["VI_1 14:00~15:30 room_finished"],
    ),
)
def test_a_manual_join_ends_with_the_sessions_room(row: Row) -> None:
    assert told(attended(row)) == row.visits


@pytest.mark.parametrize(
    ("events", "now", "expected"),
    [
        pytest.param([], "14:10", None, id="nobody joined by hand"),
        pytest.param([joined("14:00")], "14:10", None, id="only LiveKit knows of a visit"),
        pytest.param([client_joined("14:00")], "14:10", "VI_1", id="a manual join is open"),
        pytest.param([client_joined("14:00"), client_left("14:05")], "14:10", None, id="it left"),
        pytest.param([client_joined("14:00")], "15:00", None, id="it went stale"),
        pytest.param(
            [client_joined("14:00"), joined("14:01")],
            "14:10",
            "VI_1",
            id="it stands for LiveKit's open visit",
        ),
        pytest.param(
            [client_joined("14:00"), joined("14:01"), left("14:05")],
            "14:10",
            None,
            id="it stood for a visit that has left",
        ),
        pytest.param(
            [client_joined("14:00"), joined("14:01"), client_left("14:05")],
            "14:10",
            None,
            id="it said that it left, which is a hint for LiveKit's visit but its own leave",
        ),
        pytest.param(
            [client_joined("14:00"), client_joined("14:05", visit="VI_2")],
            "14:10",
            "VI_2",
            id="the next manual join ended it",
        ),
        pytest.param(
            [client_joined("14:00"), joined("14:05")],
            "14:10",
            None,
            id="a webhook's join ended it",
        ),
    ],
)
def test_the_visit_that_another_manual_join_belongs_to(
    events: list[Event], now: str, expected: str | None
) -> None:
    told = folded(events, registered=[CLASS])
    found = visit.open_visit(told.owners(), told.cycles_of(), now=at(now))
    assert (found and found.cycle_id) == expected
