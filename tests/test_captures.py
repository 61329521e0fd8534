"""Recordings of a real server, posted to the door and drained, beside what their clients saw."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.build import ClientSaw, captured, captures, truth
from tests.doors import Rollcall, bearer, ops_token, told, without

JOINED_WITHIN = timedelta(seconds=0.6)
LEFT_WITHIN = timedelta(seconds=1.6)
KILLED_WITHIN = timedelta(seconds=22)
LOST_LEFTS = {"PA_9y2XSPmLQuBw"}
"""Of the visit that was still inside when its server was shut down."""

Row = dict[str, Any]


def replay(rollcall: Rollcall, bodies: Iterable[bytes], *, batch: int = 1_000) -> None:
    """Post these bodies, signed anew, and drain after each so many."""
    for number, body in enumerate(bodies, 1):
        assert rollcall.send(body) == [204]
        if number % batch == 0:
            rollcall.drain()
    rollcall.drain()


def rosters(rollcall: Rollcall) -> list[Row]:
    """The roster of every session that there is."""
    listed = rollcall.client.get("/api/sessions", headers=bearer(ops_token()))
    ids = [one["session_id"] for one in told(listed)["sessions"]]
    return [without(told(rollcall.roster(one)), "as_of") for one in ids]


def timeless(rosters: Iterable[Row]) -> list[Row]:
    """Rosters without the ages of whoever is still inside."""
    ages = ("duration_minutes", "duration_seconds")
    return [
        roster | {"attendances": [without(line, *ages) for line in roster["attendances"]]}
        for roster in rosters
    ]


def cycles(rollcall: Rollcall) -> dict[str, Row]:
    """Every counted visit of every roster, by participant sid, with whose it is and where."""
    found: dict[str, list[Row]] = defaultdict(list)
    for roster in rosters(rollcall):
        for line in roster["attendances"]:
            for cycle in line["cycles"]:
                whose = {"user_id": line["user_id"], "room": roster["session"]["room_name"]}
                found[cycle["participant_sid"]].append(cycle | whose)
    assert all(len(same) == 1 for same in found.values()), "one visit is one cycle"
    return {sid: only for sid, [only] in found.items()}


def check(seen: dict[str, Row], one: ClientSaw) -> None:
    """A client's own account of a visit; a reconnect in between makes two cycles of it."""
    assert one.connected_at
    assert one.disconnected_at
    first, last = seen[one.first_sid or ""], seen[one.participant_sid or ""]
    assert {first["user_id"], last["user_id"]} == {one.user_id}
    assert {first["room"], last["room"]} == {one.room_name}
    waited = one.connected_at - datetime.fromisoformat(first["joined_at"])
    assert timedelta(0) <= waited <= JOINED_WITHIN
    if one.participant_sid in LOST_LEFTS:
        assert last["ended_by"] != "left"
        return
    late = abs(datetime.fromisoformat(last["left_at"]) - one.disconnected_at)
    assert late <= (KILLED_WITHIN if one.how == "process killed" else LEFT_WITHIN)
    assert (last["ended_by"], last["estimated"]) == ("left", False)


@pytest.mark.parametrize("name", sorted(set(captures()) - {"kinds"}))
def test_the_rosters_tell_what_the_clients_saw(rollcall: Rollcall, name: str) -> None:
    replay(rollcall, (post.body for post in captured(name)))
    assert {row["status"] for row in rollcall.ledger()} == {"applied"}
    seen = cycles(rollcall)
    visits = [one for one in truth(name) if one.participant_sid is not None]
    for one in visits:
        check(seen, one)
    if name != "server_crash":  # nobody was left to write down what the clients saw
        assert set(seen) == {sid for one in visits for sid in (one.first_sid, one.participant_sid)}


def test_of_all_kinds_only_a_human_a_caller_and_a_connector_are_people(rollcall: Rollcall) -> None:
    replay(rollcall, (post.body for post in captured("kinds")))
    [roster] = rosters(rollcall)
    assert [line["user_id"] for line in roster["attendances"]] == ["connector-1", "human", "sip-1"]
    assert roster["summary"]["total"] == 3
    for one in truth("kinds"):
        if one.user_id in ("connector-1", "human", "sip-1"):
            check(cycles(rollcall), one)
    kept = {row["user_id"] for row in rollcall.facts()["cycles"]}
    assert kept == {one.user_id for one in truth("kinds")}, "who counts is decided when it is read"


@pytest.mark.parametrize("name", captures())
def test_shuffled_and_repeated_it_tells_the_same(rollcall: Rollcall, name: str) -> None:
    bodies = [post.body for post in captured(name)]
    replay(rollcall, bodies)
    expected, facts = timeless(rosters(rollcall)), rollcall.facts()
    rollcall.forget()
    dice = random.Random(name)
    again = dice.sample(bodies, len(bodies)) + dice.choices(bodies, k=len(bodies) // 2)
    replay(rollcall, again, batch=7)
    assert timeless(rosters(rollcall)) == expected
    assert rollcall.facts() == facts


def test_every_name_of_the_unicode_recording_reaches_the_roster(rollcall: Rollcall) -> None:
    replay(rollcall, (post.body for post in captured("unicode")))
    answer = rollcall.roster("جلسة القرآن ٩٨")
    lines = told(answer)["attendances"]
    assert {line["user_id"] for line in lines} == {one.user_id for one in truth("unicode")}
    assert {line["name"] for line in lines} == {None, "محمد عبد الله"}
