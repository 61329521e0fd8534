"""Who counts: people, kinds, phones, hidden and moved participants."""

import pytest

from models.domain.event import Event
from models.domain.facts import Rules
from tests.attendance.table import (
    CLASS,
    Row,
    attended,
    rows,
    told,
)
from tests.build import (
    aborted,
    at,
    client_joined,
    folded,
    joined,
    left,
    room_finished,
    room_started,
    seen,
)


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
