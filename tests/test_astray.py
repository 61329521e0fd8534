"""What the doctor and the console tell of attendance that nobody meant."""

from datetime import datetime, timedelta

import pytest

from tests.build import Words, joined, left, room_started, seen
from tests.doors import Rollcall, ago, bearer, ops_token, told


def finding(rollcall: Rollcall, what: str) -> tuple[str, str, bool]:
    """The finding, what was seen, and whether all is well."""
    health = told(rollcall.client.get("/api/health", headers=bearer(ops_token())))
    [check] = [one for one in health["checks"] if one["what"] == what]
    return check["finding"], check["seen"], check["well"]


def a_class_at(rollcall: Rollcall, starts_at: datetime) -> None:
    answer = rollcall.put("98", room_name="quran-98", scheduled_at=starts_at.isoformat())
    assert answer.status_code == 201


# --- outside of all classes -----------------------------------------------------------------------


def test_visits_outside_of_every_class_of_their_room_are_told(rollcall: Rollcall) -> None:
    a_class_at(rollcall, ago(600))
    words: Words = {"room_created": ago(610)}
    rollcall.deliver(
        joined(ago(590), **words),
        joined(ago(300), **(words | Words(sid="PA_2", user="6"))),
        joined(ago(299), **(words | Words(sid="PA_3", user="7"))),
        joined(ago(298), **(words | Words(sid="PA_4", user="agent", kind="AGENT"))),
        joined(ago(300), sid="PA_5", room="RM_2", room_name="a-room-without-classes"),
    )
    what, seen_there, well = finding(rollcall, "outside")
    assert (what, well) == ("outside.some", True), "it is told, and wakes nobody"
    assert seen_there.startswith("2 visits")
    assert "(quran-98: 2)" in seen_there


def test_who_is_there_near_a_class_is_not_outside(rollcall: Rollcall) -> None:
    a_class_at(rollcall, ago(600))
    rollcall.deliver(joined(ago(655), room_created=ago(660)), joined(ago(485), sid="PA_2"))
    assert finding(rollcall, "outside")[0] == "outside.none"


# --- namings that are ignored ---------------------------------------------------------------------


def test_a_room_that_names_another_rooms_session_is_told(rollcall: Rollcall) -> None:
    a_class_at(rollcall, ago(10))
    rollcall.deliver(joined(ago(5), room="RM_9", room_name="intruder", names="98"))
    what, seen_there, well = finding(rollcall, "naming")
    assert (what, well) == ("naming.ignored", False)
    assert "intruder → 98" in seen_there
    rollcall.put("98", room_name="quran-98", rooms=["intr*"])
    assert finding(rollcall, "naming")[0] == "naming.none"


# --- who is inside only because LiveKit's API lists them ------------------------------------------

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("scheduled_hours_ago", "heard_hours_ago", "expected"),
    [
        pytest.param(4, 3.5, "ghosts.some", id="three hours after its end, and a silent room"),
        pytest.param(2, 1.9, "ghosts.none", id="not two hours after its end"),
        pytest.param(4, 0.5, "ghosts.none", id="something else happened in the room"),
    ],
)
def test_a_ghost_is_told_after_two_hours(
    rollcall: Rollcall, scheduled_hours_ago: float, heard_hours_ago: float, expected: str
) -> None:
    starts_at, heard_at = ago(scheduled_hours_ago * 60), ago(heard_hours_ago * 60)
    a_class_at(rollcall, starts_at)
    words: Words = {"room_created": starts_at}
    rollcall.deliver(
        room_started(starts_at, **words),
        joined(starts_at + timedelta(minutes=1), **words),
        joined(heard_at - timedelta(minutes=1), **(words | Words(sid="PA_2", user="6"))),
        left(
            heard_at,
            **(words | Words(sid="PA_2", user="6", joined_at=heard_at - timedelta(minutes=1))),
        ),
    )
    rollcall.put_in([seen(ago(1), **words)], source="reconciler")
    rollcall.drain()
    assert finding(rollcall, "ghosts")[0] == expected


def test_who_goes_stale_is_no_ghost(rollcall: Rollcall) -> None:
    a_class_at(rollcall, ago(300))
    rollcall.deliver(joined(ago(299), room_created=ago(300)))
    assert finding(rollcall, "ghosts")[0] == "ghosts.none"
