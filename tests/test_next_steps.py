"""What `make run` says to do next; a log, which is kept, gets no token."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from models.settings.settings import Settings
from tests.build import KEY
from webhooks.door.callers import Callers
from webhooks.stack import next_steps


def test_a_terminal_gets_a_link_that_opens_the_console(settings: Settings) -> None:
    said = next_steps.sentences(settings, on_terminal=True)
    link = re.search(rf"http://127\.0\.0\.1:{settings.port}/ops#token=(\S+)", said)
    assert link
    assert Callers(settings.keys).of(link[1], now=datetime.now(UTC)).operates


def test_a_log_gets_the_command_instead(settings: Settings) -> None:
    said = next_steps.sentences(settings, on_terminal=False)
    assert "eyJ" not in said
    assert ".venv/bin/flask token --ops" in said
    assert f"api_key: {KEY}" in said
