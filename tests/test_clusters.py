"""Recordings of other versions and set-ups of LiveKit: what each leaves untold, and what is made
of it. `tests/test_captures.py` holds their rosters to what the clients saw."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from models.domain import event as events
from models.domain.event import LEFT, ROOM_FINISHED, ROOM_STARTED, Event
from models.domain.facts import Session
from models.domain.visit import Visit
from tests import witnesses
from tests.build import Folded, captured, captures, folded, truth

MINUTE = timedelta(minutes=1)
LONG_AFTER = datetime(2026, 11, 28, 18, tzinfo=UTC)
SOON = timedelta(seconds=0.5)
"""LiveKit tells of an end before its client notices."""

NOT_SHOWN_AS_PRESENT = {
    # Hidden when they joined; that they no longer are is first told by their left.
    ("cluster/hidden_toggled", "hid-to-vis"),
    # Cut off from the network for 40 s: gone for the server, which told so.
    ("cluster/network_cut_40s", "cut-40"),
    # Back with a new sid 0.06 s after the left of its old one.
    ("full_reconnect", "browser-full-reconnect"),
    # Back 0.07 s after its server told that it is.
    ("cluster/restart_with_people_inside", "comes-back"),
    # The other half of the cluster told that it began anew, and then that the room is over.
    ("cluster/split_brain", "stays-on-n1"),
}
"""Whoever their own client saw inside, while what was sent by then says otherwise."""


def recorded(name: str, *, until: float = float("inf")) -> list[Event]:
    """The events of a recording that attendance is made of, as received until then."""
    posts = [post for post in captured(name) if post.received_at.timestamp() <= until]
    payloads = [events.parse(post.body) for post in posts]
    return [events.read(one) for one in payloads if not events.is_unused(one)]


def visits(known: Folded, *, now: datetime) -> dict[str, Visit]:
    """Every counted visit by its participant sid."""
    return {
        visit.cycle.cycle_id: visit
        for session_id in known.sessions
        for user in {cycle.user_id for cycle in known.cycles.values()}
        for visit in known.attendance(user, session_id, now=now).visits
    }


def ends(
    told: Sequence[Event], *, after: timedelta = MINUTE, of: Sequence[Session] = ()
) -> set[str]:
    """How the visits of each have ended by so long after the last event."""
    now = max(one.created_at for one in told) + after
    found = visits(folded(told, registered=of), now=now).values()
    return {f"{one.cycle.user_id} {one.ended_by or 'open'}" for one in found}


def class_of(told: Sequence[Event], *, minutes: int) -> Session:
    """A class in the room of a recording, from its first event on."""
    name, begins_at = told[0].room_name or "", told[0].created_at
    return Session("98", name, scheduled_at=begins_at, duration_minutes=minutes)


@pytest.mark.parametrize("name", captures())
def test_at_every_moment_whoever_is_inside_is_present(name: str) -> None:
    absent = set()
    saw = [one for one in truth(name) if one.participant_sid in witnesses.told(name)]
    for post in captured(name):
        now = post.received_at
        known = folded(recorded(name, until=now.timestamp()))
        present = {
            one.cycle.user_id for one in visits(known, now=now).values() if one.ended_at is None
        }
        for one in saw:
            assert one.connected_at
            assert one.disconnected_at
            inside = one.connected_at <= now < one.disconnected_at - SOON
            if inside and one.first_sid in known.cycles and one.user_id not in present:
                absent.add((name, one.user_id))
    assert absent == {one for one in NOT_SHOWN_AS_PRESENT if one[0] == name}


# --- a server that comes back ---------------------------------------------------------------------


def test_who_does_not_come_back_is_inside_until_the_server_is_back() -> None:
    told = recorded("cluster/redis_crash_one_rejoins")
    [_, again] = [one for one in told if one.event == ROOM_STARTED]
    before = told[: told.index(again)]
    assert ends(before) == {"goner open", "stayer open"}, "nothing tells of a crash"
    assert ends([*before, again]) == {"goner room_restarted", "stayer room_restarted"}
    assert ends(told) == {"goner room_restarted", "stayer rejoined", "stayer left"}


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("node_killed", "student-0"),
        ("node_killed", "student-1"),
        ("node_killed", "student-2"),
        ("redis_crash_one_rejoins", "stayer"),
        ("restart_with_people_inside", "comes-back"),
    ],
)
def test_who_comes_back_loses_nothing_and_counts_once(name: str, user: str) -> None:
    """When they were cut off nobody tells; the next that LiveKit says is that they are back."""
    known = folded(recorded(f"cluster/{name}"))
    found = [one for one in visits(known, now=LONG_AFTER).values() if one.cycle.user_id == user]
    first, last = sorted(found, key=lambda one: one.joined_at)
    assert (first.ended_by, last.ended_by) == ("rejoined", "left")
    assert first.ended_at == last.joined_at
    assert first.cycle.room_sid == last.cycle.room_sid


def test_a_lone_person_whose_client_and_server_were_killed_is_inside_until_the_class_ends() -> None:
    """Nothing more was ever sent of that room: neither left, nor finish, nor another start."""
    told = recorded("cluster/redis_crash_ghost")
    one = class_of(told, minutes=30)
    assert ends(told, of=[one], after=timedelta(minutes=29)) == {"srs-1 open"}
    assert ends(told, of=[one], after=timedelta(minutes=31)) == {"srs-1 stale"}
    assert ends(told, after=timedelta(hours=11)) == {"srs-1 open"}
    assert ends(told, after=timedelta(hours=13)) == {"srs-1 max_cycle"}


# --- a cluster that is split ----------------------------------------------------------------------


def test_who_was_taken_for_gone_by_the_other_half_of_a_cluster_gets_their_visit_back() -> None:
    told = recorded("cluster/split_brain")
    finish = next(one for one in told if one.event == ROOM_FINISHED)
    before = told[: told.index(finish) + 1]
    assert ends(before) == {"joins-on-n2 left", "stays-on-n1 room_restarted"}
    assert ends(told) == {"joins-on-n2 left", "stays-on-n1 left"}


def test_of_one_identity_on_two_nodes_at_once_one_connection_counts_at_a_time() -> None:
    found = visits(folded(recorded("cluster/same_identity_on_two_nodes")), now=LONG_AFTER)
    first, last = found.values()
    assert first.ended_at
    assert abs(first.ended_at - last.joined_at) < timedelta(seconds=1)


# --- a network that is cut ------------------------------------------------------------------------


def test_a_network_that_is_cut_for_eight_seconds_leaves_one_visit() -> None:
    assert ends(recorded("cluster/network_cut_8s")) == {"cut-8 left"}
    assert len(visits(folded(recorded("cluster/network_cut_8s")), now=LONG_AFTER)) == 1


def test_a_network_that_is_cut_for_forty_seconds_leaves_two_visits_and_a_gap() -> None:
    """The client says that it was there all the while. LiveKit missed it for 19 s, and then told
    that it had left; a new room began with its return. Of those the rules believe LiveKit."""
    found = visits(folded(recorded("cluster/network_cut_40s")), now=LONG_AFTER)
    first, last = found.values()
    assert first.cycle.room_sid != last.cycle.room_sid
    assert first.ended_at
    assert timedelta(seconds=20) < last.joined_at - first.ended_at < timedelta(seconds=23)


# --- lefts that never come ------------------------------------------------------------------------


def test_where_lefts_and_finishes_are_filtered_out_a_visit_ends_with_its_class() -> None:
    told = recorded("cluster/lefts_filtered_out")
    assert {one.event for one in told} == {ROOM_STARTED, "participant_joined"}
    one = class_of(told, minutes=30)
    assert ends(told, of=[one], after=timedelta(minutes=29)) == {"s1 open"}
    assert ends(told, of=[one], after=timedelta(minutes=31)) == {"s1 stale"}
    assert ends(told, after=timedelta(hours=13)) == {"s1 max_cycle"}


@pytest.mark.parametrize("name", ["servers/1.5.3", "servers/1.7.2", "servers/1.9.11"])
def test_without_lefts_a_finish_ends_what_is_open(name: str) -> None:
    """All that end a minute late at most, and nobody before their client."""
    without = [one for one in recorded(name) if one.event != LEFT]
    finished = {one.room_name for one in without if one.event == ROOM_FINISHED}
    found = visits(folded(without), now=LONG_AFTER)
    for sid, told in witnesses.told(name).items():
        if told.room_name in finished:
            ended_at, ended_by = found[sid].ended_at, found[sid].ended_by
            assert ended_by in ("room_finished", "rejoined", "room_restarted")
            assert ended_at
            assert told.left.earliest <= ended_at <= told.left.latest + MINUTE


def test_why_a_room_ended_is_told_where_its_finish_ends_a_visit() -> None:
    """1.13.11 says why. With the lefts there, nobody's visit ends by the finish."""
    told = recorded("servers/1.13.11")
    with_lefts = visits(folded(told), now=LONG_AFTER).values()
    assert {one.room_end_reason for one in with_lefts} == {None}
    without = folded([one for one in told if one.event != LEFT])
    why = {
        (one.cycle.room_name, one.room_end_reason)
        for one in visits(without, now=LONG_AFTER).values()
        if one.ended_by == "room_finished"
    }
    assert why == {
        ("math-101", "ROOM_END_IDLE_TIMEOUT"),
        ("deleted-room", "ROOM_END_API_DELETE"),
        ("removed-room", "ROOM_END_IDLE_TIMEOUT"),
        ("dup-room", "ROOM_END_IDLE_TIMEOUT"),
        ("kinds-room", "ROOM_END_IDLE_TIMEOUT"),
    }


# --- what changes during a visit ------------------------------------------------------------------


def test_whoever_was_visible_for_a_while_counts_and_who_never_was_does_not() -> None:
    found = visits(folded(recorded("cluster/hidden_toggled")), now=LONG_AFTER).values()
    assert {one.cycle.user_id for one in found} == {"hid-to-vis", "vis-to-hid"}


def test_metadata_that_is_changed_later_moves_nobody_into_another_session() -> None:
    known = folded(recorded("cluster/metadata_updated"))
    assert known.sessions == ["A8-first"]
    assert len(visits(known, now=LONG_AFTER)) == 3
