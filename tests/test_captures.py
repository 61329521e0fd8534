"""Recordings of a real server, posted to the door and drained, beside what their clients saw."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest

from tests import witnesses
from tests.build import captured, captures, truth
from tests.doors import (
    GROWS,
    Rollcall,
    bearer,
    ops_token,
    told,
    without,
)
from tests.witnesses import Told

Row = dict[str, Any]
Outcome = tuple[list[Row], dict[str, Any]]
"""The rosters, without what grows, and the facts."""


@pytest.fixture(scope="module")
def in_order() -> dict[tuple[str, str], Outcome]:
    """What comes of a recording as it was recorded, by its name and its database: two tests post
    it, and the second to come need not post it again."""
    return {}


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
    return [
        roster | {"attendances": [without(line, *GROWS) for line in roster["attendances"]]}
        for roster in rosters
    ]


def outcome(rollcall: Rollcall, told: Iterable[Row]) -> Outcome:
    return timeless(told), rollcall.facts()


def cycles(rosters: Iterable[Row]) -> dict[str, Row]:
    """Every counted visit of every roster, by participant sid, with whose it is and where."""
    found: dict[str, list[Row]] = defaultdict(list)
    for roster in rosters:
        for line in roster["attendances"]:
            for cycle in line["cycles"]:
                whose = {"user_id": line["user_id"], "room": roster["session"]["room_name"]}
                found[cycle["participant_sid"]].append(cycle | whose)
    assert all(len(same) == 1 for same in found.values()), "one visit is one cycle"
    return {sid: only for sid, [only] in found.items()}


def check(cycle: Row, one: Told) -> None:
    """A visit as its client saw it."""
    assert (cycle["user_id"], cycle["room"]) == (one.user_id, one.room_name)
    assert datetime.fromisoformat(cycle["joined_at"]) in one.joined
    if one.ended_by is None:  # until it has gone on for half a day
        assert cycle["ended_by"] in (None, "max_cycle")
        return
    assert (cycle["ended_by"], cycle["estimated"]) == (one.ended_by, one.estimated)
    assert datetime.fromisoformat(cycle["left_at"]) in one.left


@pytest.mark.parametrize("name", captures())
def test_the_rosters_tell_what_the_clients_saw(
    rollcall: Rollcall, name: str, in_order: dict[tuple[str, str], Outcome]
) -> None:
    replay(rollcall, (post.body for post in captured(name)))
    assert {row["status"] for row in rollcall.ledger()} == {"applied"}
    answers = rosters(rollcall)
    in_order[name, rollcall.backend.engine.dialect.name] = outcome(rollcall, answers)
    seen, expected = cycles(answers), witnesses.told(name)
    if name != "server_crash":  # nobody was left to write down what the clients saw
        assert set(seen) == set(expected)
    for sid, one in expected.items():
        check(seen[sid], one)


def test_of_all_kinds_only_a_human_a_caller_and_a_connector_are_people(rollcall: Rollcall) -> None:
    replay(rollcall, (post.body for post in captured("kinds")))
    [roster] = rosters(rollcall)
    assert [line["user_id"] for line in roster["attendances"]] == ["connector-1", "human", "sip-1"]
    assert roster["summary"]["total"] == 3
    kept = {row["user_id"] for row in rollcall.facts()["cycles"]}
    assert kept == {one.user_id for one in truth("kinds")}, "who counts is decided when it is read"


@pytest.mark.parametrize("name", captures())
def test_shuffled_and_repeated_it_tells_the_same(
    rollcall: Rollcall, name: str, in_order: dict[tuple[str, str], Outcome]
) -> None:
    bodies = [post.body for post in captured(name)]
    which = (name, rollcall.backend.engine.dialect.name)
    if which not in in_order:
        replay(rollcall, bodies)
        in_order[which] = outcome(rollcall, rosters(rollcall))
        rollcall.forget()
    dice = random.Random(name)
    again = dice.sample(bodies, len(bodies)) + dice.choices(bodies, k=len(bodies) // 2)
    replay(rollcall, again, batch=7)
    expected, facts = in_order[which]
    assert timeless(rosters(rollcall)) == expected
    assert rollcall.facts() == facts


def test_every_name_of_the_unicode_recording_reaches_the_roster(rollcall: Rollcall) -> None:
    replay(rollcall, (post.body for post in captured("unicode")))
    answer = rollcall.roster("جلسة القرآن ٩٨")
    lines = told(answer)["attendances"]
    assert {line["user_id"] for line in lines} == {one.user_id for one in truth("unicode")}
    assert {line["name"] for line in lines} == {None, "محمد عبد الله"}
