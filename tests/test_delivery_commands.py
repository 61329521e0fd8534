"""`flask deliveries`: who was told what is final, and what failed once more, on a terminal."""

from __future__ import annotations

import pytest

from models.settings.settings import Settings
from tests.doors import Rollcall, ago, on_sqlite, serving
from tests.faults import free_port
from tests.hooked import Receiver
from tests.terminal import Terminal
from tests.test_deliveries import BEGAN, asked, kept, send, statuses, tell, to
from webhooks.cli import deliveries as commands
from worker.inbox import bell
from worker.process.backend import Backend


@pytest.fixture
def settings(settings: Settings, receiver: Receiver) -> Settings:
    return to(settings, receiver.url())


@pytest.fixture
def failed(rollcall: Rollcall, backend: Backend, receiver: Receiver) -> Rollcall:
    """Three classes whose receiver wanted nothing."""
    for number in (1, 2, 3):
        values = {"scheduled_at": ago(BEGAN + 10 - number).isoformat()}
        assert rollcall.put(f"s{number}", **values).status_code == 201
    receiver.answers = [(410, {})] * 3
    tell(backend)
    return rollcall


def ids(backend: Backend) -> dict[str, str]:
    return {row["session_id"]: row["delivery_id"] for row in kept(backend)}


def waiting(rollcall: Rollcall) -> int:
    return bell.queue(rollcall.backend.redis, bell.DELIVERIES).count


def test_it_lists_what_failed_in_a_table(failed: Rollcall, terminal: Terminal) -> None:
    said = terminal("deliveries", "list", "--status", "failed")
    assert said.exit_code == 0
    titles, newest, *_ = said.stdout.splitlines()
    assert titles.split() == list(commands.COLUMNS)
    line = newest.split()
    delivery_id = ids(failed.backend)["s3"]
    url = kept(failed.backend)[0]["url"]
    assert line[1:] == ["failed", "s3", "1", "1", "-", delivery_id, url, "HTTP", "410"]


def test_its_json_is_the_api_s(failed: Rollcall, terminal: Terminal) -> None:
    assert terminal.json("deliveries", "list") == asked(failed)
    of_one = terminal.json("deliveries", "list", "--session-id", "s2")["deliveries"]
    assert [each["session_id"] for each in of_one] == ["s2"]
    page = terminal.json("deliveries", "list", "--limit", "2")
    rest = terminal.json("deliveries", "list", "--after", str(page["next"]))
    shown = [each["session_id"] for each in [*page["deliveries"], *rest["deliveries"]]]
    assert shown == ["s3", "s2", "s1"]


def test_an_empty_list_says_so_aside(rollcall: Rollcall, terminal: Terminal) -> None:
    said = terminal("deliveries", "list")
    assert (said.exit_code, said.stdout) == (0, "")
    assert said.stderr == "No delivery matches.\n"


@on_sqlite
@pytest.mark.parametrize(
    "words", [("--status", "lost"), ("--limit", "0"), ("--after", "x"), ("--after", str(2**63))]
)
def test_a_bad_word_is_refused(
    rollcall: Rollcall, terminal: Terminal, words: tuple[str, str]
) -> None:
    assert words[0] in terminal.refused("deliveries", "list", *words)


def test_all_that_failed_is_sent_again(
    failed: Rollcall, terminal: Terminal, receiver: Receiver
) -> None:
    dry = terminal.json("deliveries", "send", "--dry-run")
    assert dry == {"matched": 3, "count": 0, "refused": {}}
    assert {status for _, status in statuses(failed.backend)} == {"failed"}
    said = terminal("deliveries", "send")
    assert said.stdout == "3 deliveries of 3 will be sent again.\n"
    assert said.stderr == ""
    assert waiting(failed) == 1
    send(failed.backend)
    assert {status for _, status in statuses(failed.backend)} == {"sent"}
    assert len({got.delivery_id for got in receiver.received}) == 3
    assert terminal("deliveries", "send").stdout == "0 deliveries of 0 will be sent again.\n"


def test_all_of_many_batches_are_sent_again(
    failed: Rollcall, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "AT_ONCE", 2)
    assert terminal.json("deliveries", "send")["count"] == 3


def test_some_are_sent_again_by_their_ids(
    failed: Rollcall, terminal: Terminal, receiver: Receiver
) -> None:
    wanted = ids(failed.backend)["s2"]
    said = terminal("deliveries", "send", wanted, wanted)
    assert (said.exit_code, said.stdout) == (0, "1 delivery of 1 will be sent again.\n")
    send(failed.backend)
    assert [got.delivery_id for got in receiver.received[3:]] == [wanted]
    again = terminal.json("deliveries", "send", wanted)
    assert again["count"] == 1, "also what the receiver took"


def test_what_is_not_there_or_old_is_refused_and_the_rest_is_sent(
    failed: Rollcall, terminal: Terminal
) -> None:
    old = ids(failed.backend)["s1"]
    assert failed.put("s1", scheduled_at=ago(BEGAN + 9).isoformat(), title="mended").status_code
    tell(failed.backend)
    good = ids(failed.backend)["s2"]
    said = terminal("deliveries", "send", old, good, "\x1b[31m")
    assert said.exit_code == 1
    assert said.stdout == "1 delivery of 1 will be sent again.\n"
    assert said.stderr.splitlines() == [
        f"{old}: {commands.NEWER}",
        "\\u001b[31m: No delivery has this id.",
    ]
    refused = terminal.json("deliveries", "send", "--dry-run", old, exits=1)
    assert refused == {"matched": 0, "count": 0, "refused": {old: commands.NEWER}}


@on_sqlite
def test_it_says_when_nobody_will_send_them(failed: Rollcall, settings: Settings) -> None:
    with serving(to(settings)) as emptied:
        said = Terminal(emptied.client.application)("deliveries", "send")
    assert said.stdout == "3 deliveries of 3 will be sent again.\n"
    assert said.stderr == "ATTENDANCE_WEBHOOK_URL is not set here: nobody sends them.\n"


@on_sqlite
def test_without_redis_they_wait_for_it(failed: Rollcall, settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    with serving(away) as service:
        said = Terminal(service.client.application)("deliveries", "send")
    assert said.stderr == "Redis does not answer: they are sent when it does.\n"
    send(failed.backend)
    assert {status for _, status in statuses(failed.backend)} == {"sent"}
