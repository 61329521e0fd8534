"""A terminal without a person: the project's commands as somebody types them."""

from __future__ import annotations

import json
from typing import Any

from click.testing import Result
from flask import Flask

from webhooks.cli import rebuild, replay  # noqa: F401  (their commands)
from webhooks.cli.deliveries import deliveries
from webhooks.cli.events import events
from webhooks.cli.sessions import sessions
from webhooks.cli.users import users

GROUPS = {"deliveries": deliveries, "events": events, "sessions": sessions, "users": users}


class Terminal:
    """`terminal("events", "list")` is what `flask events list` does, on the test's own storage."""

    def __init__(self, app: Flask) -> None:
        self._runner = app.test_cli_runner()

    def __call__(self, group: str, *words: str, stdin: str = "") -> Result:
        result = self._runner.invoke(GROUPS[group], list(words), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, group: str, *words: str, exits: int = 0) -> dict[str, Any]:
        """What the command says to a program."""
        result = self(group, *words, "--json")
        assert result.exit_code == exits, result.output
        _, brace, rest = f"\n{result.stdout}".partition("\n{")  # a test's workers log there too
        said: dict[str, Any] = json.JSONDecoder().raw_decode(f"{{{rest}")[0] if brace else {}
        return said

    def refused(self, group: str, *words: str) -> str:
        """The sentence with which a command refuses; nothing else is said."""
        result = self(group, *words)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        return str(result.stderr).partition("Error: ")[2]
