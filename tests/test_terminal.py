"""The terminal: what participants chose is shown on it, and never steers it."""

from __future__ import annotations

import json

import pytest

from models import db
from models.cycle import cycles
from tests.build import joined
from tests.doors import Rollcall, on_sqlite
from tests.terminal import Terminal
from webhooks.terminal import printable

HOSTILE = "a\nforged \x1b[31m\x1b]0;owned\x07\x9b1m\x7f\u202eb"

TEXTS = [
    ("مريم الإدريسي", "مريم الإدريسي", "any script"),
    ("क्\u200dष é", "क्\u200dष é", "what joins letters is part of them"),
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
