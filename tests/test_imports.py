"""`flask events import`: webhooks from a file come into the inbox, as if LiveKit had sent them."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from models.settings.settings import Settings
from tests.build import CAPTURES, captured, joined, left, room_started, signed, webhook
from tests.doors import Rollcall, ago, aside, on_sqlite, wait_for
from tests.terminal import Terminal
from tests.test_replay import a_worker_alive
from webhooks.cli import imports
from worker.jobs.draining import BATCH
from worker.operations import pacing

AHEAD = pacing.AHEAD * BATCH
"""Events."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "webhooks.jsonl"


def posted(payload: Mapping[str, Any], *, body: Any = None, **signing: Any) -> dict[str, Any]:
    """A line of a log that keeps what was posted."""
    sent, token = signed(payload, **signing)
    told = sent.decode() if body is None else body
    return {"received_at": 1.5, "headers": {"authorization": token}, "body": told}


def write(file: Path, lines: Iterable[object]) -> str:
    file.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))
    return str(file)


def test_a_recording_comes_in_once_and_is_applied(rollcall: Rollcall, terminal: Terminal) -> None:
    path, posts = str(CAPTURES / "rejoins.jsonl"), list(captured("rejoins"))
    kinds = [json.loads(post.body)["event"] for post in posts]
    used = sum(kind.startswith(("participant_", "room_")) for kind in kinds)
    said = terminal.json("events", "import", path, "--trusted")
    assert (said["stored"], said["duplicate"]) == (used, 0)
    assert said["unused"] == len(posts) - used
    rollcall.drain()
    facts = rollcall.facts()
    assert len(facts["cycles"]) == 5
    assert {row["source"] for row in facts["cycles"]} == {"import"}
    again = terminal.json("events", "import", path, "--trusted")
    assert (again["stored"], again["duplicate"]) == (0, used)
    assert rollcall.drain() == 0
    assert rollcall.facts() == facts


def test_what_livekit_sent_meanwhile_is_not_stored_twice(
    rollcall: Rollcall, terminal: Terminal, file: Path
) -> None:
    rollcall.deliver(joined())
    path = write(file, [webhook(joined()), webhook(left()), webhook(left())])
    said = terminal.json("events", "import", path, "--trusted")
    assert (said["stored"], said["duplicate"]) == (1, 2)
    assert [row["source"] for row in rollcall.ledger()] == ["livekit", "import"]


@on_sqlite
def test_a_fresh_token_is_verified_and_all_else_needs_the_operators_word(
    rollcall: Rollcall, terminal: Terminal, file: Path
) -> None:
    lines = [
        posted(webhook(joined())),
        posted(webhook(joined(sid="PA_2")), secret="forged-forged-forged-forged-forged-forged"),
        posted(webhook(joined(sid="PA_3")), body=json.dumps(webhook(left()))),
        posted(webhook(left()), now=ago(days=1)),
        webhook(room_started()),
    ]
    path = write(file, lines)
    result = terminal("events", "import", path)
    assert result.exit_code == 1
    assert [row["event"] for row in rollcall.ledger()] == ["participant_joined"]
    said = terminal.json("events", "import", path, exits=1)
    assert [one["line"] for one in said["unverified"]] == [2, 3, 4, 5]
    assert "no token" in said["unverified"][-1]["reason"]
    said = terminal.json("events", "import", path, "--trusted")
    assert (said["stored"], said["duplicate"], said["unverified"]) == (3, 2, [])


@on_sqlite
def test_lines_that_say_nothing_readable_are_named(
    rollcall: Rollcall, terminal: Terminal, file: Path
) -> None:
    good = json.dumps(webhook(joined()))
    nameless = json.dumps({"event": "participant_joined", "id": "EV_1", "createdAt": "1"})
    lines = ["{", good, "", "[1]", nameless, '{"headers": {}, "body": 7}', '{"event": "new_kind"}']
    file.write_text("\n".join(lines))
    said = terminal.json("events", "import", str(file), "--trusted", exits=1)
    assert [one["line"] for one in said["unreadable"]] == [1, 4, 5, 6]
    assert (said["stored"], said["unused"]) == (1, 1)
    result = terminal("events", "import", str(file), "--trusted")
    assert "line 5: participant.sid is missing" in result.stderr
    assert len(rollcall.ledger()) == 1


@on_sqlite
def test_a_line_that_is_too_long_for_a_webhook_costs_no_memory(
    rollcall: Rollcall, terminal: Terminal, file: Path
) -> None:
    with file.open("w") as log:
        log.write('{"event": "' + "x" * 9_000_000 + '"}\n')
        log.write(json.dumps(webhook(joined())))
    said = terminal.json("events", "import", str(file), "--trusted", exits=1)
    assert said["unreadable"] == [{"line": 1, "reason": "longer than any webhook"}]
    assert said["stored"] == 1


@on_sqlite
def test_a_file_that_breaks_off_is_told_with_what_it_gave(
    rollcall: Rollcall, terminal: Terminal, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(*given: Any) -> Iterator[tuple[int, bytes]]:
        yield from lines(*given)
        raise OSError(errno.EIO, "Input/output error")

    lines = imports.lines_of
    monkeypatch.setattr(imports, "lines_of", breaking)
    result = terminal("events", "import", write(file, [webhook(joined())]), "--trusted")
    assert result.exit_code == 1
    assert "Stored 1 event." in result.stdout
    assert "The file can't be read on: Input/output error." in result.stderr
    assert len(rollcall.ledger()) == 1


@on_sqlite
def test_secrets_and_what_is_private_stay_outside(
    rollcall: Rollcall, terminal: Terminal, file: Path
) -> None:
    terminal.json("events", "import", write(file, [webhook(joined())]), "--trusted")
    assert "turn-secret" not in str(rollcall.ledger())
    assert "private" not in str(rollcall.ledger())


@on_sqlite
def test_more_than_a_batch_comes_in_whole(
    rollcall: Rollcall, terminal: Terminal, file: Path
) -> None:
    path = write(file, (webhook(joined(sid=f"PA_{n}")) for n in range(1_100)))
    assert terminal.json("events", "import", path, "--trusted")["stored"] == 1_100
    assert rollcall.drain() == 1_100


@on_sqlite
def test_a_pipe_may_bring_webhooks_or_nothing(rollcall: Rollcall, terminal: Terminal) -> None:
    """How much comes, a pipe does not say."""
    sent = json.dumps(webhook(joined()))
    assert "Stored 1 event." in terminal("events", "import", "-", "--trusted", stdin=sent).stdout
    assert "Stored 0 events." in terminal("events", "import", "-", "--trusted").stdout
    assert len(rollcall.ledger()) == 1


@on_sqlite
def test_an_empty_file_is_read(terminal: Terminal, file: Path) -> None:
    assert terminal.json("events", "import", write(file, []))["stored"] == 0


@on_sqlite
def test_a_long_import_gives_way_to_what_livekit_sends(
    rollcall: Rollcall, settings: Settings, terminal: Terminal, file: Path
) -> None:
    path = write(file, (webhook(joined(sid=f"PA_{n}")) for n in range(AHEAD + 700)))
    with (
        a_worker_alive(settings.redis_url),
        aside(lambda: terminal.json("events", "import", path, "--trusted")) as said,
    ):
        wait_for(lambda: len(rollcall.ledger()) > AHEAD)
        assert not said.done()
        assert len(rollcall.ledger()) == AHEAD + imports.BATCH
        rollcall.drain()
        assert said.result(20)["stored"] == AHEAD + 700


@on_sqlite
def test_a_file_that_is_not_there_is_refused(terminal: Terminal) -> None:
    assert "No such file" in terminal.refused("events", "import", "not/there.jsonl")
