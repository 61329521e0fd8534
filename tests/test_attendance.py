"""The case table of `attendance.view`: each clause of docs/rules.md, on both sides of its boundary.

A visit is written as it would be told: `PA_1 14:00-14:30 left` ended exactly then, with `~` the
end is an estimate, `PA_1 14:00- open` counts up to now. The class is from 14:00 to 15:00.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from models.domain import visit
from models.domain.attendance import Attendance, is_over, view
from models.domain.event import Event
from models.domain.facts import Meeting, Rules, Session
from tests.build import (
    Words,
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
    session,
)
from webhooks.api import answers

CLASS = session("98", scheduled="14:00", minutes=60, rooms=["b"])
MEETING = session("98", scheduled=None)
LONG = session("98", scheduled="02:00", minutes=14 * 60)
RULES = Rules()


@dataclass(frozen=True)
class Row:
    """Events of person 5 (and others), and the visits that they amount to at `now`."""

    reason: str
    events: Sequence[Event]
    now: str
    visits: Sequence[str]
    session: Session = CLASS
    rules: Rules = RULES


def rows(*table: Row) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", table, ids=[row.reason for row in table])


def attended(row: Row) -> Attendance:
    return folded(row.events, registered=[row.session]).attendance(now=row.now, rules=row.rules)


def told(attendance: Attendance) -> list[str]:
    return [_told(one) for one in attendance.visits]


def _told(one: visit.Visit) -> str:
    if one.ended_at is None:
        return f"{one.cycle.cycle_id} {_clock(one.joined_at)}- open"
    dash = "~" if one.estimated else "-"
    span = f"{_clock(one.joined_at)}{dash}{_clock(one.ended_at)}"
    return f"{one.cycle.cycle_id} {span} {one.ended_by}"


def _clock(instant: datetime) -> str:
    time = instant.time()
    if time.microsecond:
        return time.isoformat("milliseconds" if time.microsecond % 1000 == 0 else "microseconds")
    return time.isoformat("seconds" if time.second else "minutes")


# --- who counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["STANDARD", "SIP", "CONNECTOR"])
def test_a_person_counts_however_they_came(kind: str) -> None:
    told = folded([joined("14:00", kind=kind)], registered=[CLASS])
    assert told.attendance(now="14:10").is_currently_in_meeting


@pytest.mark.parametrize("kind", ["AGENT", "EGRESS", "INGRESS", "BRIDGE", "9", "HOLOGRAM"])
def test_machines_and_kinds_that_nobody_knows_do_not_count(kind: str) -> None:
    told = folded([joined("14:00", kind=kind), left("14:05", kind=kind)], registered=[CLASS])
    assert told.attendance(now="14:10").attendance_status == "not_joined"


@pytest.mark.parametrize(("kind", "counts"), [("AGENT", True), ("STANDARD", False)])
def test_the_kinds_that_count_are_a_setting(kind: str, counts: bool) -> None:
    rules = Rules(person_kinds=frozenset({"AGENT"}))
    told = folded([joined("14:00", kind=kind)], registered=[CLASS])
    assert told.attendance(now="14:10", rules=rules).is_currently_in_meeting is counts


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([joined(hidden=True)], id="hidden when it joined"),
        pytest.param([joined(hidden=True), left("14:30", hidden=True)], id="hidden all the while"),
        pytest.param([joined(hidden=True), seen("14:05")], id="hidden, and seen"),
        pytest.param(
            [joined(hidden=True), aborted("14:05", hidden=True)], id="hidden, and aborted"
        ),
    ],
)
def test_who_was_hidden_in_every_event_counts_only_by_the_setting(events: list[Event]) -> None:
    told = folded(events, registered=[CLASS])
    assert told.attendance(now="14:40").visits == ()
    assert len(told.attendance(now="14:40", rules=Rules(count_hidden=True)).visits) == 1


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([joined(), left("14:30", hidden=True)], id="hidden before leaving"),
        pytest.param([joined(hidden=True), left("14:30")], id="shown before leaving"),
        pytest.param([joined(), seen("14:05", hidden=True)], id="hidden when it was seen"),
    ],
)
def test_who_was_shown_in_any_event_counts(events: list[Event]) -> None:
    assert folded(events, registered=[CLASS]).attendance(now="14:40").join_count == 1


@pytest.mark.parametrize(
    "reason", ["USER_UNAVAILABLE", "USER_REJECTED", "SIP_TRUNK_FAILURE", "JOIN_FAILURE"]
)
def test_a_phone_that_nobody_answered_is_no_visit(reason: str) -> None:
    rings = [joined("14:00", kind="SIP"), left("14:01", kind="SIP", reason=reason)]
    assert folded(rings, registered=[CLASS]).attendance(now="14:40").visits == ()


def test_nobody_joins_a_room_before_it_was_created() -> None:
    moved = joined("14:20", joined_at="14:00", room_created="14:19:40")
    told = folded([moved, left("14:30", joined_at="14:00")], registered=[CLASS])
    [visit] = told.attendance(now="14:40").visits
    assert visit.joined_at == at("14:20"), "a joined sent so much later tells of a move"
    early = joined("14:20", joined_at="14:19:30", room_created="14:19:40")
    [visit] = folded([early], registered=[CLASS]).attendance(now="14:40").visits
    assert visit.joined_at == at("14:19:40")


CAME_BACK = [
    room_started("13:50", room_created="13:50"),
    room_started("14:20", room_created="13:50"),
]


@rows(
    Row(
        "who does not come back ends when the server does",
        [*CAME_BACK, joined("14:00", room_created="13:50")],
        "14:40",
        ["PA_1 14:00~14:20 room_restarted"],
    ),
    Row(
        "who comes back has a new visit",
        [*CAME_BACK, joined("14:00"), joined("14:20:05", sid="PA_2")],
        "14:40",
        ["PA_1 14:00~14:20:05 rejoined", "PA_2 14:20:05- open"],
    ),
    Row(
        "LiveKit's own left is better",
        [*CAME_BACK, joined("14:00"), left("14:30")],
        "14:40",
        ["PA_1 14:00-14:30 left"],
    ),
    Row(
        "whoever was seen after it was inside",
        [*CAME_BACK, joined("14:00"), seen("14:25")],
        "14:40",
        ["PA_1 14:00- open"],
    ),
    Row(
        "an earlier finish goes before it",
        [*CAME_BACK, joined("14:00"), room_finished("14:10")],
        "14:40",
        ["PA_1 14:00~14:10 room_finished"],
    ),
    Row(
        "the first start is no restart",
        [room_started("13:50:01", room_created="13:50"), joined("13:50")],
        "14:10",
        ["PA_1 13:50- open"],
    ),
)
def test_a_visit_ends_when_its_server_came_back_without_it(row: Row) -> None:
    assert told(attended(row)) == row.visits


def test_a_manual_join_counts_as_a_standard_person() -> None:
    told = folded([client_joined("14:00")], registered=[CLASS])
    [one] = told.attendance(now="14:10").visits
    assert (one.cycle.kind, one.cycle.source, one.cycle.participant_sid) == (
        "STANDARD",
        "client",
        None,
    )
    rules = Rules(person_kinds=frozenset({"SIP"}))
    assert told.attendance(now="14:10", rules=rules).visits == ()


# --- what counts, and rules 1 to 9 ----------------------------------------------------------------


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


# --- manual joins ---------------------------------------------------------------------------------


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


# --- derived values -------------------------------------------------------------------------------


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
