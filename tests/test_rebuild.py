"""Verify and rebuild: the tables beside what the ledger tells, and mended where they differ."""

from __future__ import annotations

import os
import pty
import random
import signal
from time import sleep
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from models.settings.settings import Settings
from models.storage import db
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.session import sessions
from models.tables.webhook_event import webhook_events
from tests.build import at, joined, left, room_finished, room_started
from tests.doors import (
    Rollcall,
    a_worker,
    ago,
    aside,
    bearer,
    on_postgresql,
    on_sqlite,
    ops_token,
    told,
    wait_for,
    waits_for_a_lock,
)
from tests.terminal import Terminal
from tests.test_drain import a_day
from tests.test_replay import run
from worker.operations import rebuild

PA_1 = cycles.c.cycle_id == "PA_1"


@pytest.fixture
def a_class(rollcall: Rollcall) -> Rollcall:
    """Session 98: two lives of its room, three visits, a manual join; and another class beside."""
    rollcall.put("98", room_name="quran-98")
    told(rollcall.join("98", name="Aisha"))
    rollcall.deliver(
        room_started("13:50", room_created="13:50"),
        joined("14:00:01", name="Aisha"),
        left("14:10"),
        joined("14:12", sid="PA_2"),
        left("14:30", sid="PA_2"),
        room_finished("14:40"),
        room_started("15:00", room="RM_2", room_created="15:00"),
        joined("15:01", room="RM_2", sid="PA_3", user="6"),
        joined("14:00", room="RM_other", room_name="other", sid="PA_other"),
    )
    return rollcall


def change(rollcall: Rollcall, *statements: Any) -> None:
    """What nobody should ever do to the tables."""
    with db.writing(rollcall.backend.engine) as conn:
        for statement in statements:
            conn.execute(statement)


def differences(terminal: Terminal, *words: str) -> list[str]:
    """What verify says, a line each."""
    result = terminal("events", "verify", *words)
    lines = result.stdout.splitlines()[:-1]
    assert result.exit_code == (1 if lines else 0)
    return [line for line in lines if ": " in line]


def test_what_was_drained_is_as_the_ledger_tells(a_class: Rollcall, terminal: Terminal) -> None:
    a_class.put_in(a_day(rooms=3, people=2, visits=2))
    a_class.drain()
    assert differences(terminal) == []
    facts = a_class.facts()
    said = terminal.json("sessions", "rebuild", "--all")
    assert (said["differences"], said["left"], said["unverifiable"]) == ([], 0, 0)
    assert a_class.facts() == facts


CORRUPTIONS: dict[str, tuple[Any, str]] = {
    "a time": (
        update(cycles).where(PA_1).values(left_at=at("14:25")),
        "cycle PA_1: left_at is 2026-11-23T14:25:00+00:00, the ledger tells 2026-11-23T14:10:00",
    ),
    "a person": (
        update(cycles).where(PA_1).values(user_id="7"),
        "cycle PA_1: user_id is '7', the ledger tells '5'",
    ),
    "a rank": (
        update(cycles).where(PA_1).values(left_rank="9"),
        "cycle PA_1: left_rank is '9'",
    ),
    "a visit in the wrong room": (
        update(cycles).where(PA_1).values(room_sid="RM_other"),
        "cycle PA_1: room_sid is 'RM_other', the ledger tells 'RM_1'",
    ),
    "a lost visit": (delete(cycles).where(PA_1), "cycle PA_1: it is missing"),
    "a room's end": (
        update(rooms).where(rooms.c.sid == "RM_1").values(finished_at=None),
        "room RM_1: finished_at is nothing, the ledger tells 2026-11-23T14:40:00+00:00",
    ),
    "a room's creation": (
        update(rooms).where(rooms.c.sid == "RM_1").values(created_at=at("16:00")),
        "room RM_1: created_at is 2026-11-23T16:00:00+00:00",
    ),
    "a room's metadata": (
        update(rooms).where(rooms.c.sid == "RM_1").values(named_session="other"),
        "room RM_1: named_session is 'other', the ledger tells nothing",
    ),
    "a lost room": (delete(rooms).where(rooms.c.sid == "RM_2"), "room RM_2: it is missing"),
    "a manual join elsewhere": (
        update(cycles).where(cycles.c.room_sid.is_(None)).values(named_session="99"),
        "named_session is '99', the ledger tells '98'",
    ),
    "a lost manual join": (
        delete(cycles).where(cycles.c.room_sid.is_(None)),
        "it is missing, and the ledger tells of it",
    ),
    "a lost session": (
        delete(sessions).where(sessions.c.id == "other@2026-11-23"),
        "session other@2026-11-23: it is missing",
    ),
}


@on_sqlite
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_named_and_mended(a_class: Rollcall, terminal: Terminal, name: str) -> None:
    facts, (statement, sentence) = a_class.facts(), CORRUPTIONS[name]
    change(a_class, statement)
    found = differences(terminal)
    assert any(sentence in line for line in found), found
    shown = terminal.json("sessions", "rebuild", "--all", "--dry-run")
    assert len(shown["differences"]) == len(found)
    assert a_class.facts() != facts
    assert terminal.json("sessions", "rebuild", "--all")["left"] == 0
    assert a_class.facts() == facts
    assert differences(terminal) == []


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_spoilt_at_once_is_mended(
    rollcall: Rollcall, terminal: Terminal, seed: int
) -> None:
    rollcall.put_in(a_day(rooms=5, people=4, visits=2))
    rollcall.drain()
    facts, dice = rollcall.facts(), random.Random(seed)
    for row in facts["cycles"]:
        one = cycles.c.cycle_id == row["cycle_id"]
        lost = delete(cycles).where(one)
        spoilt = update(cycles).where(one).values(left_at=None, name="?", hidden=True)
        fates: list[list[Any]] = [[], [lost], [spoilt]]
        change(rollcall, *dice.choice(fates))
    for row in facts["rooms"]:
        one = rooms.c.sid == row["sid"]
        lost = delete(rooms).where(one)
        spoilt = update(rooms).where(one).values(finished_at=None, named_rank="?")
        fates = [[], [lost], [spoilt]]
        change(rollcall, *dice.choice(fates))
    terminal.json("sessions", "rebuild", "--all")
    assert differences(terminal) == []
    assert rollcall.facts() == facts


def test_one_session_is_rebuilt_and_the_others_left_alone(
    a_class: Rollcall, terminal: Terminal
) -> None:
    other = update(cycles).where(cycles.c.cycle_id == "PA_other").values(kind="AGENT")
    change(a_class, update(cycles).where(PA_1).values(left_at=None), other)
    assert len(differences(terminal, "--session=98")) == 1
    assert len(terminal.json("sessions", "rebuild", "--session=98")["differences"]) == 1
    assert [line[:14] for line in differences(terminal)] == ["cycle PA_other"]


@on_sqlite
def test_a_status_is_right_at_once_after_a_rebuild(a_class: Rollcall, terminal: Terminal) -> None:
    change(a_class, update(cycles).where(cycles.c.cycle_id == "PA_2").values(left_at=at("14:59")))
    a_class.backend.redis.flushall()
    assert a_class.seen("98")["last_left_at"] == "2026-11-23T14:59:00Z"
    terminal.json("sessions", "rebuild", "--session=98")
    assert a_class.seen("98")["last_left_at"] == "2026-11-23T14:30:00Z"


# --- what no event tells of -----------------------------------------------------------------------


def made_up(**row: Any) -> Any:
    words = {"user_id": "9", "name_rank": "", "hidden": False, "joined_rank": "", "left_rank": ""}
    return insert(cycles).values(**words | {"claimed_rank": "", "joined_at": at("14:05")} | row)


def test_what_no_event_tells_of_goes_only_on_somebodys_word(
    a_class: Rollcall, terminal: Terminal
) -> None:
    facts = a_class.facts()
    change(
        a_class,
        made_up(cycle_id="PA_made_up", room_sid="RM_1", room_name="quran-98"),
        made_up(cycle_id="PA_astray", room_sid="RM_none"),
        insert(rooms).values(
            starts=[],
            end_rank="",
            sid="RM_9",
            name="quran-98",
            named_rank="",
            created_at=at("14:50"),
            last_event_at=at("14:50"),
        ),
    )
    assert sum("no event of the ledger tells of it" in one for one in differences(terminal)) == 3
    shown = terminal("sessions", "rebuild", "--all", "--dry-run")
    assert shown.exit_code == 1
    assert "0 differences would be mended." in shown.stdout
    assert (
        "3 rooms, visits and corrections of which no event tells stay: --yes removes them."
        in shown.stderr
    )
    assert terminal.json("sessions", "rebuild", "--all", "--dry-run", "--yes")["left"] == 0
    said = terminal.json("sessions", "rebuild", "--all", exits=1)
    assert said["left"] == 3
    assert "session.rebuilt" not in terminal("sessions", "rebuild", "--all").output
    assert "PA_made_up" in str(a_class.facts())
    assert "--yes removes them" in terminal("sessions", "rebuild", "--all").stderr
    assert terminal.json("sessions", "rebuild", "--all", "--yes")["left"] == 0
    assert a_class.facts() == facts


@on_sqlite
def test_ctrl_c_at_the_question_leaves_what_was_mended_told(
    a_class: Rollcall, settings: Settings, terminal: Terminal
) -> None:
    mendable = update(cycles).where(PA_1).values(left_at=at("14:25"))
    change(a_class, made_up(cycle_id="PA_made_up", room_sid="RM_1"), mendable)
    ours, theirs = pty.openpty()
    process = run("sessions", "rebuild", "--all", settings=settings, stdin=theirs)
    assert process.stderr is not None
    asked = ""
    while "Remove 1 room, visit or correction" not in asked:
        asked += process.stderr.read(1)
    sleep(0.2)  # until it waits for the answer
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=20)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 130, errors
    assert "1 difference mended." in said
    assert "What was mended stays mended." in errors
    assert len(differences(terminal)) == 1


@on_sqlite
def test_a_verify_that_is_stopped_mended_nothing(
    a_class: Rollcall, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(rebuild, "verified", press_ctrl_c)
    result = terminal("events", "verify")
    assert result.exit_code == 130
    assert "Stopped before the end." in result.stderr
    assert "mended" not in result.stderr


@on_sqlite
def test_an_event_that_cant_be_read_any_more_is_never_said_to_be_mended(
    a_class: Rollcall, terminal: Terminal
) -> None:
    theirs = webhook_events.c.participant_sid == "PA_3"
    change(a_class, update(webhook_events).where(theirs).values(payload={"event": "nonsense"}))
    change(a_class, update(cycles).where(PA_1).values(left_at=at("14:25")))
    for said, *words in (("would be mended", "--dry-run"), ("mended",)):
        result = terminal("sessions", "rebuild", "--all", *words)
        assert result.exit_code == 1
        assert f", 2 differences {said}." in result.stdout
        assert "1 event can't be read any more." in result.stderr
        assert "1 room, visit or correction of which no event tells stay" in result.stderr
    assert terminal.json("sessions", "rebuild", "--all", exits=1)["left"] == 2


# --- what was pruned ------------------------------------------------------------------------------


def test_what_began_before_the_prune_is_unverifiable_and_never_destroyed(
    rollcall: Rollcall, terminal: Terminal
) -> None:
    old, new = ago(days=40), ago(days=10)
    rollcall.put("98", room_name="quran-98")
    rollcall.deliver(
        room_started(old, room_created=old),
        joined(old),
        room_started(new, room="RM_2", room_created=new),
        joined(new, room="RM_2", sid="PA_2"),
    )
    change(rollcall, update(webhook_events).values(received_at=webhook_events.c.created_at))
    assert terminal.json("events", "prune", "--yes")["removed"] == 2
    facts = rollcall.facts()
    assert (said := terminal.json("events", "verify"))["differences"] == []
    assert (said["unverifiable"], said["checked"]) == (2, 2)
    assert "unverifiable" in terminal("events", "verify").stdout
    result = terminal("sessions", "rebuild", "--session=98", "--yes")
    assert result.exit_code == 1
    assert "stay as they are" in result.stdout
    assert terminal.json("sessions", "rebuild", "--all", "--yes")["unverifiable"] == 2
    assert rollcall.facts() == facts
    spoilt = update(cycles).where(cycles.c.cycle_id == "PA_2").values(joined_at=old)
    change(rollcall, spoilt)
    assert len(differences(terminal)) == 1
    terminal.json("sessions", "rebuild", "--all")
    assert rollcall.facts() == facts


def test_a_visit_that_the_prune_cut_in_two_is_left_as_it_is(
    rollcall: Rollcall, terminal: Terminal
) -> None:
    rollcall.deliver(
        joined(ago(days=31), name="Aisha", kind="SIP"), left(ago(days=29), joined_at=ago(days=31))
    )
    change(rollcall, update(webhook_events).values(received_at=webhook_events.c.created_at))
    assert terminal.json("events", "prune", "--yes")["removed"] == 1
    facts = rollcall.facts()
    assert terminal.json("sessions", "rebuild", "--all", "--yes")["unverifiable"] == 2
    assert rollcall.facts() == facts


# --- beside the drain -----------------------------------------------------------------------------


def test_events_that_wait_are_no_difference(a_class: Rollcall, terminal: Terminal) -> None:
    a_class.send(left("15:30", room="RM_2", sid="PA_3", user="6"), joined("15:40", sid="PA_new"))
    assert differences(terminal) == []
    body = {"room_name": "quran-98"}
    a_class.client.post("/api/events/replay", json=body, headers=bearer(ops_token()))
    assert differences(terminal) == []
    facts = a_class.facts()
    terminal.json("sessions", "rebuild", "--all", "--yes")
    assert a_class.facts() == facts
    change(a_class, update(cycles).where(PA_1).values(left_at=at("15:59")))
    assert len(differences(terminal)) == 1


@on_postgresql
def test_a_rebuild_and_a_drain_wait_for_each_other(
    a_class: Rollcall, terminal: Terminal, settings: Settings, postgres_url: str
) -> None:
    change(a_class, update(cycles).where(PA_1).values(kind="AGENT"))
    a_class.send(left("14:11"))
    with a_worker(settings) as other, db.writing(other.engine) as holding:
        holding.execute(select(rooms).with_for_update())
        with aside(lambda: terminal.json("sessions", "rebuild", "--session=98")) as rebuilt:
            wait_for(lambda: waits_for_a_lock(postgres_url))
            holding.rollback()
            assert len(rebuilt.result(20)["differences"]) == 1
    a_class.drain()
    assert differences(terminal) == []


# --- on a terminal --------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("sessions", "rebuild"), "Say which session with --session, or --all."),
        (("sessions", "rebuild", "--all", "--session=98"), "Say which session"),
        (("sessions", "rebuild", "--session=none"), "No session has the id none."),
        (("events", "verify", "--session=none"), "No session has the id none."),
        (("sessions", "list", "--from=noon"), "--from is not a time"),
        (("sessions", "list", "--limit=0"), "--limit"),
        (
            ("sessions", "list", "--from=2026-11-24T00:00:00Z", "--to=2026-11-23T00:00:00Z"),
            "--to must be later than --from.",
        ),
    ],
    ids=str,
)
def test_bad_words_are_refused_with_a_sentence(
    terminal: Terminal, words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in terminal.refused(words[0], *words[1:])


@on_sqlite
def test_sessions_are_listed(a_class: Rollcall, terminal: Terminal) -> None:
    said = terminal.json("sessions", "list")
    assert [one["session_id"] for one in said["sessions"]] == ["98", "other@2026-11-23"]
    assert terminal.json("sessions", "list", "--room-name=other", "--limit=1")["next"] is not None
    assert "quran-98" in terminal("sessions", "list").stdout
