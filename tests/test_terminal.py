"""The terminal: what participants chose is shown on it, and never steers it."""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

import pytest

from models.settings.settings import Settings
from models.storage import db
from models.tables.cycle import cycles
from tests.build import joined
from tests.doors import Rollcall, on_sqlite
from tests.processes import environment
from tests.terminal import Terminal
from tests.test_replay import run
from webhooks.cli.terminal import printable

HOSTILE = "a\nforged \x1b[31m\x1b]0;owned\x07\x9b1m\x7f\u202eb"

TEXTS = [
    ("مريم الإدريسي", "مريم الإدريسي", "any script"),
    ("क्ष é 山田\u3000太郎", "क्ष é 山田\u3000太郎", "marks of letters and their spaces"),
    ("a\u200db\u200c\ufeff\u2060", "a\\u200db\\u200c\\ufeff\\u2060", "what has no width"),
    ("a\U000e0041\U000e007f", "a\\udb40\\udc41\\udb40\\udc7f", "tags, which nobody sees"),
    ("\u061c\u200e\u200f", "\\u061c\\u200e\\u200f", "marks of direction"),
    ("\ue000\U0010ffff", "\\ue000\\udbff\\udfff", "what nobody has given a shape"),
    ("a\nb\r", "a\\u000ab\\u000d", "lines"),
    ("\x1b[31m\x9b\x7f", "\\u001b[31m\\u009b\\u007f", "what steers a terminal"),
    ("\u202eb\u2066c", "\\u202eb\\u2066c", "what turns the reading order"),
    ("\udcff", "\\udcff", "what is no character"),
]


@pytest.mark.parametrize(("text", "shown", "reason"), TEXTS)
def test_text_of_anybody_is_printable(text: str, shown: str, reason: str) -> None:
    assert printable(text) == shown, reason


@on_sqlite
@pytest.mark.parametrize("name", ["in the ledger", "in the tables alone"])
def test_no_name_steers_the_terminal_or_forges_a_line(
    rollcall: Rollcall, terminal: Terminal, name: str
) -> None:
    told = joined(user=HOSTILE, name=HOSTILE, room_name=HOSTILE, event_id="EV_1")
    rollcall.put_in([told])
    rollcall.drain()
    if name == "in the tables alone":
        with db.writing(rollcall.backend.engine) as conn:
            conn.execute(cycles.update().values(cycle_id=HOSTILE, left_rank="9"))
    for words in (
        ("events", "list"),
        ("events", "show", "EV_1"),
        ("events", "show", "EV_1", "--json"),
        ("events", "verify"),
        ("sessions", "list"),
        ("sessions", "rebuild", "--all", "--dry-run"),
    ):
        said = terminal(*words).output
        assert not set("\x1b\x07\x9b\x7f\u202e") & set(said), words
        assert "\nforged" not in said, words
    assert terminal.json("events", "show", "EV_1")["user_id"] == json.loads(json.dumps(HOSTILE))


LONG_ID = "EV_participant_joined_of_the_reconciler_PA_gLSkHqJzVTmz"
LONG_SESSION = "a-class-with-a-long-name@2026-11-23-at-two"


@pytest.fixture
def a_long_name(rollcall: Rollcall) -> Rollcall:
    rollcall.put(LONG_SESSION, room_name="a room whose name is long as well, :warning: and [b]")
    error = "DataError: a sentence that is longer than any terminal is wide, whatever it says"
    told = joined(event_id=LONG_ID, room_name="a room whose name is long as well", user="u" * 40)
    rollcall.put_in([told], status="failed", error=error)
    return rollcall


@on_sqlite
def test_in_a_pipe_every_row_is_one_line(a_long_name: Rollcall, terminal: Terminal) -> None:
    [row] = [line for line in terminal("events", "list").stdout.splitlines() if LONG_ID in line]
    assert "DataError: a sentence that is longer than any terminal is wide, whatever" in row
    assert "u" * 40 in row
    [row] = [line for line in terminal("sessions", "list").stdout.splitlines() if "@" in line]
    assert row.startswith(f"{LONG_SESSION}  a room whose name is long as well, :warning: and [b] ")


def on_a_terminal(*words: str, settings: Settings, columns: int) -> str:
    """What somebody sees before whom the command runs, of so many columns."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = run(*words, settings=settings, stdout=theirs)
    os.close(theirs)
    said = b""
    with suppress(OSError):  # so its end is told on Linux
        while some := os.read(ours, 4096):
            said += some
    os.close(ours)
    process.communicate(timeout=20)
    return said.decode()


@on_sqlite
@pytest.mark.parametrize("columns", [40, 100])
def test_on_a_terminal_no_id_that_is_copied_is_cut(
    a_long_name: Rollcall, settings: Settings, columns: int
) -> None:
    said = on_a_terminal("events", "list", settings=settings, columns=columns)
    assert LONG_ID in said
    assert "u" * 40 not in said
    assert LONG_SESSION in on_a_terminal("sessions", "list", settings=settings, columns=columns)


@on_sqlite
def test_an_empty_list_says_so(terminal: Terminal) -> None:
    for group in ("events", "sessions"):
        result = terminal(group, "list")
        assert result.stdout == ""
        assert f"No {group[:-1]} matches." in result.stderr


LOGS = """
import logging, structlog
from models.settings.settings import load
from worker.process import logs
logs.configure(load())
hostile = "a\\nforged \\x1b[31m\\x9b1m\\u202eb\\u200d\\U000e0041"
structlog.get_logger().warning("room.odd", room=hostile)
logging.getLogger("a.library").warning("it says %s", hostile)
try:
    raise LookupError(hostile)
except LookupError:
    structlog.get_logger().exception("it.failed")
"""


@on_sqlite
def test_no_line_of_a_log_steers_the_terminal(settings: Settings, tmp_path: Path) -> None:
    env = environment(settings, tmp_path, LOG_FORMAT="console", LOG_LEVEL="info")
    ran = subprocess.run([sys.executable, "-c", LOGS], env=env, capture_output=True, check=True)
    said = re.sub(r"\x1b\[[0-9;]*m", "", ran.stderr.decode())  # structlog's own colours
    assert not set("\x1b\x9b\u202e\u200d\U000e0041") & set(said)
    assert "\nforged" not in said
    escaped = "a\\u000aforged \\u001b[31m\\u009b1m\\u202eb\\u200d\\udb40\\udc41"
    # What quotes a value doubles its backslashes.
    assert said.replace("\\\\", "\\").count(escaped) == 2
    assert 'File "<string>"' in said, "a trace keeps its lines"
    assert "\\u000a  File" not in said
