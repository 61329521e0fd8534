"""How a visit ends: rules 1 to 9, restarts and rooms."""

from datetime import timedelta

from models.domain.facts import Rules
from tests.attendance.table import (
    LONG,
    MEETING,
    Row,
    attended,
    rows,
    told,
)
from tests.build import (
    aborted,
    client_joined,
    client_left,
    joined,
    left,
    room_finished,
    room_started,
    seen,
)


@rows(
    Row("somebody who joined is in the meeting", [joined("14:00")], "14:10", ["PA_1 14:00- open"]),
    Row(
        "a left alone carries the join, and so gives the whole visit",
        [left("14:30", joined_at="14:00")],
        "14:40",
        ["PA_1 14:00-14:30 left"],
    ),
    Row(
        "a left alone that does not say when it joined is a visit of no length",
        [left("14:30")],
        "14:40",
        ["PA_1 14:30-14:30 left"],
    ),
    Row("a connection that was only aborted is no visit", [aborted("14:00")], "14:10", []),
    Row("being seen alone is no visit", [seen("14:00")], "14:10", []),
    Row(
        "somebody else's visit is not mine",
        [joined("14:00", user="6")],
        "14:10",
        [],
    ),
)
def test_what_counts(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "it has left, exactly",
        [joined("14:00"), left("14:30")],
        "14:40",
        ["PA_1 14:00-14:30 left"],
    ),
    Row(
        "LiveKit's left is a whole second, and may be before the join: no end is before its join",
        [joined("14:00:00.700"), left("14:00:00")],
        "14:40",
        ["PA_1 14:00:00.700-14:00:00.700 left"],
    ),
    Row(
        "an inferred left is an estimate",
        [joined("14:00"), left("14:30", source="reconciler")],
        "14:40",
        ["PA_1 14:00~14:30 left"],
    ),
    Row(
        "an imported left is as good as a webhook's",
        [joined("14:00"), left("14:30", source="import")],
        "14:40",
        ["PA_1 14:00-14:30 left"],
    ),
    Row(
        "a webhook's left beats an inferred one, though that was sent later",
        [joined("14:00"), left("14:30"), left("14:35", source="reconciler")],
        "14:40",
        ["PA_1 14:00-14:30 left"],
    ),
    Row(
        "of two lefts the one that was sent later decides",
        [joined("14:00"), left("14:31"), left("14:30")],
        "14:40",
        ["PA_1 14:00-14:31 left"],
    ),
    Row(
        "a left beats an abort, a rejoin, a finish and a newer room that came before it",
        [
            joined("14:00"),
            aborted("14:05"),
            joined("14:10", sid="PA_2"),
            left("14:20", sid="PA_2"),
            room_finished("14:25"),
            room_started("14:26", room="RM_2"),
            left("14:30"),
        ],
        "14:40",
        ["PA_1 14:00-14:30 left", "PA_2 14:10-14:20 left"],
    ),
)
def test_rule_1_a_visit_ends_when_it_left(row: Row) -> None:
    assert told(attended(row)) == row.visits


GONE = left("14:30", source="reconciler")


@rows(
    Row(
        "seen inside after that: it was not gone",
        [joined("14:00"), GONE, seen("14:31")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "seen at that second, and not after it",
        [joined("14:00"), GONE, seen("14:30")],
        "14:40",
        ["PA_1 14:00~14:30 left"],
    ),
    Row(
        "found gone again after it was seen",
        [joined("14:00"), GONE, seen("14:31"), left("14:35", source="reconciler")],
        "14:40",
        ["PA_1 14:00~14:35 left"],
    ),
    Row(
        "a rejoin ended it before it was missed",
        [joined("14:00"), GONE, joined("14:20", sid="PA_2"), left("14:25", sid="PA_2")],
        "14:40",
        ["PA_1 14:00~14:20 rejoined", "PA_2 14:20-14:25 left"],
    ),
    Row(
        "missed before it came back",
        [joined("14:00"), GONE, joined("14:35", sid="PA_2")],
        "14:40",
        ["PA_1 14:00~14:30 left", "PA_2 14:35- open"],
    ),
    Row(
        "the room's finish is nearer",
        [joined("14:00"), GONE, room_finished("14:29")],
        "14:40",
        ["PA_1 14:00~14:29 room_finished"],
    ),
    Row(
        "the schedule's end is nearer than the first look after an outage",
        [joined("14:00"), left("16:00", source="reconciler")],
        "16:10",
        ["PA_1 14:00~15:00 stale"],
    ),
    Row(
        "its client said when",
        [
            joined("14:00"),
            client_joined("14:00:01", claims="PA_1"),
            client_left("14:29:40"),
            GONE,
        ],
        "14:40",
        ["PA_1 14:00~14:29:40 client_left"],
    ),
)
def test_rule_1_what_was_inferred_is_never_later_than_what_else_is_known(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "aborted after it joined, exactly",
        [joined("14:00"), aborted("14:05")],
        "14:40",
        ["PA_1 14:00-14:05 aborted"],
    ),
    Row(
        "in a race the abort comes before its joined",
        [aborted("14:00:00"), joined("14:00:00.500")],
        "14:40",
        ["PA_1 14:00:00.500-14:00:00.500 aborted"],
    ),
    Row(
        "an abort beats a rejoin that came before it",
        [joined("14:00"), joined("14:10", sid="PA_2"), aborted("14:20"), left("14:30", sid="PA_2")],
        "14:40",
        ["PA_1 14:00-14:20 aborted", "PA_2 14:10-14:30 left"],
    ),
)
def test_rule_2_a_visit_ends_when_it_was_aborted(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "joined again in the same room: LiveKit keeps one connection an identity",
        [joined("14:00"), joined("14:20", sid="PA_2")],
        "14:40",
        ["PA_1 14:00~14:20 rejoined", "PA_2 14:20- open"],
    ),
    Row(
        "the nearest of several later joins",
        [
            joined("14:00"),
            joined("14:30", sid="PA_3"),
            left("14:25", sid="PA_2", joined_at="14:20"),
        ],
        "14:40",
        ["PA_1 14:00~14:20 rejoined", "PA_2 14:20-14:25 left", "PA_3 14:30- open"],
    ),
    Row(
        "one microsecond later is later",
        [joined("14:00"), joined("14:00:00.000001", sid="PA_2")],
        "14:40",
        ["PA_1 14:00~14:00:00.000001 rejoined", "PA_2 14:00:00.000001- open"],
    ),
    Row(
        "a join at the same instant is not later, and ends neither",
        [joined("14:00"), joined("14:00", sid="PA_2")],
        "14:40",
        ["PA_1 14:00- open", "PA_2 14:00- open"],
    ),
    Row(
        "somebody else's join ends nothing",
        [joined("14:00"), joined("14:20", sid="PA_2", user="6")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "a join in the session's other room ends nothing",
        [joined("14:00"), joined("14:20", sid="PA_2", room="RM_2", room_name="b", names="98")],
        "14:40",
        ["PA_1 14:00- open", "PA_2 14:20- open"],
    ),
    Row(
        "an aborted connection is no join",
        [joined("14:00"), aborted("14:20", sid="PA_2")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "a rejoin beats the room's finish, even an earlier one",
        [joined("14:00"), room_finished("14:10"), joined("14:20", sid="PA_2")],
        "14:40",
        ["PA_1 14:00~14:20 rejoined", "PA_2 14:20- open"],
    ),
)
def test_rule_3_a_visit_ends_when_the_person_joined_the_same_room_again(row: Row) -> None:
    assert told(attended(row)) == row.visits


SAID_IT_LEFT = [joined("14:00"), client_joined("14:00:30"), client_left("14:40")]


@rows(
    Row(
        "a client's leave alone ends nothing that LiveKit knows: pages hide without leaving",
        SAID_IT_LEFT,
        "14:50",
        ["PA_1 14:00- open"],
    ),
    Row(
        "when the room finished",
        [*SAID_IT_LEFT, room_finished("14:50")],
        "14:55",
        ["PA_1 14:00~14:40 client_left"],
    ),
    Row(
        "when a newer room began",
        [*SAID_IT_LEFT, room_started("14:50", room="RM_2")],
        "14:55",
        ["PA_1 14:00~14:40 client_left"],
    ),
    Row("when it is stale", SAID_IT_LEFT, "15:00", ["PA_1 14:00~14:40 client_left"]),
    Row(
        "when it is too old",
        SAID_IT_LEFT,
        "02:01 +1",
        ["PA_1 14:00~14:40 client_left"],
        session=MEETING,
    ),
    Row(
        "the earlier of the leave and the other rule's end",
        [*SAID_IT_LEFT, room_finished("14:35")],
        "14:50",
        ["PA_1 14:00~14:35 client_left"],
    ),
    Row(
        "not when LiveKit says itself when it left",
        [*SAID_IT_LEFT, left("14:30"), room_finished("14:50")],
        "14:55",
        ["PA_1 14:00-14:30 left"],
    ),
    Row(
        "not when it was aborted",
        [*SAID_IT_LEFT, aborted("14:30"), room_finished("14:50")],
        "14:55",
        ["PA_1 14:00-14:30 aborted"],
    ),
    Row(
        "not when it joined the room again",
        [*SAID_IT_LEFT, joined("14:45", sid="PA_2"), room_finished("14:50")],
        "14:55",
        ["PA_1 14:00~14:45 rejoined", "PA_2 14:45~14:50 room_finished"],
    ),
    Row(
        "not by a leave before its join",
        [client_joined("13:59"), client_left("13:59:59.999999"), joined("14:00")],
        "15:00",
        ["PA_1 14:00~15:00 stale"],
    ),
    Row(
        "by a leave at its join",
        [client_joined("13:59"), client_left("14:00"), joined("14:00")],
        "15:00",
        ["PA_1 14:00~14:00 client_left"],
    ),
    Row(
        "not when the client joined again by hand, in the same visit",
        [*SAID_IT_LEFT, client_joined("14:40:00.000001")],
        "15:00",
        ["PA_1 14:00~15:00 stale"],
    ),
    Row(
        "not when the client joined again by hand, in another visit",
        [*SAID_IT_LEFT, client_joined("14:41", visit="VI_2", claims="PA_1")],
        "15:00",
        ["PA_1 14:00~15:00 stale"],
    ),
    Row(
        "but by a leave at the moment of the last manual join, which is not after it",
        [*SAID_IT_LEFT, client_joined("14:40", visit="VI_2", claims="PA_1")],
        "15:00",
        ["PA_1 14:00~14:40 client_left"],
    ),
    Row(
        "and by the leave that followed the last manual join",
        [*SAID_IT_LEFT, client_joined("14:41"), client_left("14:45")],
        "15:00",
        ["PA_1 14:00~14:45 client_left"],
    ),
    Row(
        "of two tabs' leaves the later one",
        [
            *SAID_IT_LEFT,
            client_joined("14:00:40", visit="VI_2"),
            client_left("14:45", visit="VI_2"),
        ],
        "15:00",
        ["PA_1 14:00~14:45 client_left"],
    ),
    Row(
        "somebody else's manual join voids no hint",
        [*SAID_IT_LEFT, client_joined("14:50", visit="VI_2", user="6")],
        "15:00",
        ["PA_1 14:00~14:40 client_left"],
    ),
)
def test_rule_4_a_clients_leave_is_a_hint_for_when_nothing_better_is_known(row: Row) -> None:
    assert told(attended(row)) == row.visits


TWO_LIVES = [joined("14:00"), joined("14:02", sid="PA_2", room="RM_2")]


@rows(
    Row(
        "of the visit that it claims, though another is nearer",
        [*TWO_LIVES, client_joined("14:01:30", claims="PA_1"), client_left("14:01:40")],
        "15:00",
        ["PA_1 14:00~14:01:40 client_left", "PA_2 14:02~15:00 stale"],
    ),
    Row(
        "of the visit that it claims, however long ago that began",
        [*TWO_LIVES, client_joined("14:20", claims="PA_1"), client_left("14:30")],
        "15:00",
        ["PA_1 14:00~14:02 client_left", "PA_2 14:02~15:00 stale"],
    ),
    Row(
        "without a claim, of the visit that began nearest",
        [*TWO_LIVES, client_joined("14:01:01"), client_left("14:30")],
        "15:00",
        ["PA_1 14:00~14:02 superseded", "PA_2 14:02~14:30 client_left"],
    ),
    Row(
        "of the smaller sid, when two began equally near",
        [*TWO_LIVES, client_joined("14:01"), client_left("14:30")],
        "15:00",
        ["PA_1 14:00~14:02 client_left", "PA_2 14:02~15:00 stale"],
    ),
    Row(
        "with a claim that is nobody's, of the visit that began nearest",
        [*TWO_LIVES, client_joined("14:01:01", claims="PA_9"), client_left("14:30")],
        "15:00",
        ["PA_1 14:00~14:02 superseded", "PA_2 14:02~14:30 client_left"],
    ),
    Row(
        "not of the nearest visit when that had ended before the manual join",
        [
            joined("14:00"),
            joined("14:01", sid="PA_2", room="RM_2"),
            left("14:01", sid="PA_2", room="RM_2"),
            client_joined("14:01:30"),
            client_left("14:30"),
        ],
        "15:00",
        ["PA_1 14:00~14:01 client_left", "PA_2 14:01-14:01 left"],
    ),
)
def test_a_leave_is_the_hint_of_the_visit_that_its_manual_join_stood_for(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "its room finished",
        [joined("14:00"), room_finished("14:30")],
        "14:40",
        ["PA_1 14:00~14:30 room_finished"],
    ),
    Row(
        "in the second of its join: LiveKit gives whole seconds",
        [joined("14:00:00.900"), room_finished("14:00:00")],
        "14:40",
        ["PA_1 14:00:00.900~14:00:00.900 room_finished"],
    ),
    Row(
        "not when it finished a second before the join",
        [joined("14:00:01"), room_finished("14:00:00")],
        "14:40",
        ["PA_1 14:00:01- open"],
    ),
    Row(
        "at the latest finish of a room that finished twice, unless its server came back before",
        [joined("14:00"), room_finished("14:10"), room_started("14:11"), room_finished("14:30")],
        "14:40",
        ["PA_1 14:00~14:11 room_restarted"],
    ),
    Row(
        "at its finish, though it started again: who was inside went with it",
        [joined("14:00"), room_finished("14:10"), room_started("14:11")],
        "14:40",
        ["PA_1 14:00~14:10 room_finished"],
    ),
    Row(
        "not by the finish of another room",
        [joined("14:00"), room_finished("14:30", room="RM_0", room_created="13:00")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "at its finish, though a newer room began before that",
        [joined("14:00"), room_started("14:20", room="RM_2"), room_finished("14:30")],
        "14:40",
        ["PA_1 14:00~14:30 room_finished"],
    ),
    Row(
        "at its finish, though it is stale by now",
        [joined("14:00"), room_finished("14:30")],
        "15:10",
        ["PA_1 14:00~14:30 room_finished"],
    ),
)
def test_rule_5_a_visit_ends_with_its_room(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "a newer room of the same name began",
        [joined("14:00"), room_started("14:20", room="RM_2")],
        "14:40",
        ["PA_1 14:00~14:20 superseded"],
    ),
    Row(
        "at the creation of the next one, not of the one after it",
        [
            joined("14:00"),
            room_started("14:30", room="RM_3"),
            room_started("14:21", room="RM_2", room_created="14:20:00.250"),
        ],
        "14:40",
        ["PA_1 14:00~14:20:00.250 superseded"],
    ),
    Row(
        "not by an older one",
        [joined("14:00"), room_finished("14:20", room="RM_0", room_created="13:00")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "not by a room of another name in the same session",
        [joined("14:00"), room_started("14:20", room="RM_2", room_name="b", names="98")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "by the room of the next class, as far as this one reaches",
        [joined("14:00"), room_started("18:00", room="RM_2")],
        "18:10",
        ["PA_1 14:00-16:00 next_session"],
    ),
    Row(
        "before its join: no end is before its join",
        [room_started("14:00"), room_started("14:20", room="RM_2"), joined("14:30")],
        "14:40",
        ["PA_1 14:30~14:30 superseded"],
    ),
)
def test_rule_6_a_visit_ends_when_a_newer_room_took_its_rooms_name(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "not while the class lasts",
        [joined("14:00")],
        "14:59:59.999999",
        ["PA_1 14:00- open"],
    ),
    Row(
        "from the scheduled end on: passed is at or after",
        [joined("14:00")],
        "15:00",
        ["PA_1 14:00~15:00 stale"],
    ),
    Row(
        "not when it is exactly five minutes old: older is more than that",
        [joined("14:57")],
        "15:02",
        ["PA_1 14:57- open"],
    ),
    Row(
        "five minutes after its join, when that is later than the scheduled end",
        [joined("14:57")],
        "15:02:00.000001",
        ["PA_1 14:57~15:02 stale"],
    ),
    Row(
        "likewise who came after the scheduled end",
        [joined("15:10")],
        "16:00",
        ["PA_1 15:10~15:15 stale"],
    ),
    Row(
        "not when it was seen exactly five minutes ago: within is up to that",
        [joined("14:00"), seen("14:58")],
        "15:03",
        ["PA_1 14:00- open"],
    ),
    Row(
        "five minutes after it was last seen, when that is the latest",
        [joined("14:00"), seen("14:58")],
        "15:03:00.000001",
        ["PA_1 14:00~15:03 stale"],
    ),
    Row(
        "the last of several sightings",
        [joined("14:00"), seen("15:20"), seen("14:30")],
        "15:26",
        ["PA_1 14:00~15:25 stale"],
    ),
    Row(
        "at the scheduled end, when it was last seen long before",
        [joined("14:00"), seen("14:30")],
        "15:10",
        ["PA_1 14:00~15:00 stale"],
    ),
    Row(
        "the overrun moves the scheduled end: not before",
        [joined("14:00")],
        "15:09:59.999999",
        ["PA_1 14:00- open"],
        rules=Rules(overrun=timedelta(minutes=10)),
    ),
    Row(
        "the overrun moves the scheduled end: from then on",
        [joined("14:00")],
        "15:10",
        ["PA_1 14:00~15:10 stale"],
        rules=Rules(overrun=timedelta(minutes=10)),
    ),
    Row(
        "the minutes are a setting",
        [joined("14:57"), seen("14:59")],
        "15:02",
        ["PA_1 14:57~15:01 stale"],
        rules=Rules(stale_after=timedelta(minutes=2)),
    ),
    Row(
        "never in a session without a schedule",
        [joined("14:00")],
        "20:00",
        ["PA_1 14:00- open"],
        session=MEETING,
    ),
    Row(
        "rather than by its great age",
        [joined("02:00")],
        "16:00",
        ["PA_1 02:00~16:00 stale"],
        session=LONG,
    ),
)
def test_rule_7_a_visit_goes_stale_after_the_class(row: Row) -> None:
    assert told(attended(row)) == row.visits


@rows(
    Row(
        "not when it is exactly twelve hours old",
        [joined("02:00")],
        "14:00",
        ["PA_1 02:00- open"],
        session=MEETING,
    ),
    Row(
        "twelve hours after its join, from then on",
        [joined("02:00")],
        "14:00:00.000001",
        ["PA_1 02:00~14:00 max_cycle"],
        session=MEETING,
    ),
    Row(
        "in a class that lasts longer than that, too",
        [joined("02:00")],
        "15:59:59",
        ["PA_1 02:00~14:00 max_cycle"],
        session=LONG,
    ),
    Row(
        "not when it was seen exactly five minutes ago",
        [joined("02:00"), seen("14:58")],
        "15:03",
        ["PA_1 02:00- open"],
        session=MEETING,
    ),
    Row(
        "five minutes after it was last seen, when that is later",
        [joined("02:00"), seen("14:58")],
        "15:03:00.000001",
        ["PA_1 02:00~15:03 max_cycle"],
        session=MEETING,
    ),
    Row(
        "twelve hours after its join, when it was last seen before",
        [joined("02:00"), seen("13:00")],
        "15:00",
        ["PA_1 02:00~14:00 max_cycle"],
        session=MEETING,
    ),
    Row(
        "the hours are a setting",
        [joined("14:00")],
        "16:30",
        ["PA_1 14:00~16:00 max_cycle"],
        session=MEETING,
        rules=Rules(max_cycle=timedelta(hours=2)),
    ),
)
def test_rule_8_no_visit_lasts_for_ever(row: Row) -> None:
    assert told(attended(row)) == row.visits
