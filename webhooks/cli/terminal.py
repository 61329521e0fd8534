"""What commands share: filters as options, a question before anything is destroyed, JSON, bars."""

from __future__ import annotations

import re
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import click
import orjson
from pydantic import BaseModel, ValidationError
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.process import visible

Command = TypeVar("Command", bound=Callable[..., Any])
Asked = TypeVar("Asked", bound=BaseModel)

INTERRUPTED = 130
"""The exit status of what Ctrl-C stopped."""

PIPE_WIDTH = 1_000_000
"""No line of a table is longer."""

MOST = 1_000_000_000
"""Events that a command is asked for; no ledger has more."""

as_json = click.option("--json", "as_json", is_flag=True, help="For a program to read.")
dry_run = click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
yes = click.option("--yes", is_flag=True, help="Don't ask: I know what this removes.")

_FILTERS = (
    click.option("--status", help="pending, applied, ignored, failed or unreadable."),
    click.option("--event", help="Its kind, such as participant_joined."),
    click.option("--room-name", help="Of this LiveKit room."),
    click.option("--session-id", help="Of this session's rooms and manual joins."),
    click.option("--user-id", help="Of this person."),
    click.option("--since", help="Received at or after, such as 2026-11-23T14:00:00Z."),
    click.option("--until", help="Received before."),
    click.option("--after", help="Beyond this place, which a page or a replay printed."),
)


@contextmanager
def ctrl_c() -> Iterator[Event]:
    """Set once Ctrl-C was pressed, for a loop to look at; pressed again, it ends the command.

    Python's KeyboardInterrupt is lost when it comes while an object is being finished.
    """
    pressed = Event()
    before = signal.getsignal(signal.SIGINT)

    def press(*_: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def event_filters(command: Command) -> Command:
    """The API's filters of events as options of a command."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def asked(model: type[Asked], options: dict[str, Any]) -> Asked:
    """The options as the API would read them; what it would refuse is refused with a sentence."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise click.UsageError(" ".join(_sentence(wrong) for wrong in error.errors())) from None


def confirm(question: str, *, sure: bool) -> None:
    """Go on only when somebody said so: with --yes, or on a terminal."""
    if sure:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say so with --yes; there is no terminal to ask on.")
    click.confirm(question, abort=True, err=True)


def printable(text: str) -> str:
    """Text of anybody's as a terminal may have it: what would steer it, forge a line, turn the
    reading order or not be seen is escaped as in JSON. The letters of every script stay."""
    return visible.escaped(text)


def show_json(value: object) -> None:
    lines = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode().split("\n")
    click.echo("\n".join(map(printable, lines)))  # JSON itself escapes no more than below a space


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str | None]], *, copied: str) -> None:
    """Rows under their titles, escaped; what is None is a dash.

    Nothing is folded in a pipe or a file, where somebody looks for it. On a terminal the column of
    that title never is, from which an id is copied: the others are, or else its lines run over.
    """
    table = Table(box=None, pad_edge=False)
    cells = [["-" if cell is None else printable(cell) for cell in row] for row in rows]
    for at, title in enumerate(titles):
        widest = max((cell_len(row[at]) for row in cells), default=0) if title == copied else None
        table.add_column(title, overflow="fold", no_wrap=title == copied, min_width=widest)
    for row in cells:
        table.add_row(*map(Text, row))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(width=width).print(table, crop=False)


def bar(label: str, *, length: int | None) -> Any:
    """A progress bar on a terminal's stderr; elsewhere nothing. Without a length it only counts."""
    endless = count() if length is None else None
    return click.progressbar(
        endless, length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
    )


def peak_memory() -> int:
    """The most that this process ever used, in MiB."""
    # Linux's getrusage begins with what the process had that started this one.
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()):
            return int(found[1]) // 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def many(count: int, one: str, several: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def _sentence(error: Any) -> str:
    """pydantic's error, by the name of the option."""
    message = error["msg"].removeprefix("Value error, ")
    option = "--" + str(error["loc"][0]).replace("_", "-") if error["loc"] else ""
    return f"{option} {message}.".strip().replace("..", ".")
