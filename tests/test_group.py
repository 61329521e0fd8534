"""Commands whose database fails them: the doctor's words, exit status 1, and no trace."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from flask import Flask
from sqlalchemy import make_url, text
from sqlalchemy.exc import ProgrammingError

from models.settings.settings import Settings
from models.storage import db
from tests.doors import on_postgresql, on_sqlite, serving
from tests.faults import free_port
from tests.terminal import Terminal
from webhooks.cli.group import Group
from webhooks.door.context import unhurried

COMMANDS = (
    "events list",
    "events show 1",
    "events replay",
    "events prune --yes",
    "events verify",
    "sessions list",
    "sessions rebuild --all",
    "users erase usr-7 --yes",
)


@contextmanager
def on(database_url: str, settings: Settings) -> Iterator[Terminal]:
    with serving(settings.model_copy(update={"database_url": database_url})) as rollcall:
        yield Terminal(rollcall.client.application)


@on_sqlite
def test_without_its_database_a_command_says_what_to_do(settings: Settings) -> None:
    with on(f"postgresql://127.0.0.1:{free_port()}/rollcall", settings) as terminal:
        for command in COMMANDS:
            result = terminal(*command.split())
            assert (command, result.exit_code) == (command, 1)
            assert "Error: The database: does not answer" in result.stderr, command
            assert "→ check DATABASE_URL and the server" in result.stderr, command


def test_before_its_database_was_migrated_a_command_says_what_to_do(
    settings: Settings, tmp_path: Path
) -> None:
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    if settings.database_url.startswith("postgresql"):
        nowhere = {"options": "-csearch_path=nowhere"}
        url = make_url(settings.database_url).update_query_dict(nowhere)
        empty = url.render_as_string(hide_password=False)
    with on(empty, settings) as terminal:
        for command in COMMANDS:
            result = terminal(*command.split())
            assert (command, result.exit_code) == (command, 1)
            assert "Error: The migrations: not the newest" in result.stderr, command
            assert "→ run `alembic upgrade head`" in result.stderr, command


group = Group("a-group")


@group.command()
def wait() -> None:
    with db.writing(unhurried().engine) as conn:
        db.set_locally(conn, {"statement_timeout": "1ms"})
        conn.execute(text("SELECT pg_sleep(60)"))


@group.command()
def mistake() -> None:
    with db.reading(unhurried().engine) as conn:
        conn.execute(text("SELECT nothing"))


@group.command()
def interrupted() -> None:
    signal.raise_signal(signal.SIGINT)


@group.command()
def ask() -> None:
    def type_ctrl_c(_: str) -> str:
        raise KeyboardInterrupt

    click.termui.visible_prompt_func = type_ctrl_c  # the test's runner puts it back
    click.confirm("Really?", abort=True)


@group.command()
def ask_in_vain() -> None:
    click.confirm("Really?", abort=True)


@on_sqlite
@pytest.mark.parametrize(
    ("command", "status"), [("interrupted", 130), ("ask", 130), ("ask-in-vain", 1)]
)
def test_ctrl_c_ends_a_command_with_130_and_a_no_with_1(
    app: Flask, command: str, status: int
) -> None:
    assert app.test_cli_runner().invoke(group, [command], input="n").exit_code == status


@on_sqlite
def test_an_argument_that_is_no_text_is_refused(terminal: Terminal) -> None:
    assert "'EVENT_ID': is not UTF-8." in terminal.refused("events", "show", "\udcff")
    assert "'USER_ID': is not UTF-8." in terminal.refused("users", "erase", "\udcff")


@on_postgresql
def test_a_database_that_gave_up_may_be_asked_again(app: Flask) -> None:
    result = app.test_cli_runner().invoke(group, ["wait"])
    assert result.exit_code == 1
    assert "Error: The database gave up (QueryCanceled).\n→ run it again" in result.stderr


@on_postgresql
def test_a_mistake_of_ours_keeps_its_trace(app: Flask) -> None:
    result = app.test_cli_runner().invoke(group, ["mistake"])
    assert isinstance(result.exception, ProgrammingError)
