"""Groups of commands that need the database, and say so when it fails them."""

from __future__ import annotations

import re
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy.exc import SQLAlchemyError

from models.storage.db import OUTAGES
from webhooks.cli.terminal import INTERRUPTED
from webhooks.door.context import backend, present
from worker.health import database

_HALVES = re.compile(r"[\ud800-\udfff]")


class Command(click.Command):
    """Without its database it ends with exit status 1 and the doctor's words, after Ctrl-C with 130
    (click's own would be 1).

    An error for which the doctor finds no reason keeps its trace: it is a mistake of ours.
    """

    def invoke(self, ctx: click.Context) -> Any:
        for param in self.params:
            if not _is_text(ctx.params.get(param.name or "")):
                raise click.BadParameter("is not UTF-8.", ctx=ctx, param=param)
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as stop:
            if not _by_ctrl_c(stop):
                raise
            click.echo("\nStopped.", err=True)
            raise SystemExit(INTERRUPTED) from None
        except SQLAlchemyError as error:
            seen = database.checks(backend().engine, present())
            wrong = [check for check in seen if not check.serves]
            if not wrong and not isinstance(error, OUTAGES):
                raise
            cause = type(getattr(error, "orig", error)).__name__
            said = [f"The {check.what}: {check.seen}.\n→ {check.todo}" for check in wrong]
            gave_up = f"The database gave up ({cause}).\n→ run it again: nothing is done twice"
            raise click.ClickException("\n".join(said) or gave_up) from None


class Group(AppGroup):
    command_class = Command


def _is_text(value: Any) -> bool:
    """Python keeps bytes of an argument that are no text as halves of characters, which no database
    takes. (Names of files may have them.)"""
    words = value if isinstance(value, tuple) else (value,)
    return not any(isinstance(word, str) and _HALVES.search(word) for word in words)


def _by_ctrl_c(stop: BaseException) -> bool:
    """click's questions make an Abort of Ctrl-C, as of a no and of the end of what is typed."""
    return isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt)
