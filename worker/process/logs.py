"""Logs: structlog, one line an event. Never a body, a token, a name or a user id."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from traceback import format_tb
from typing import Any, TextIO, cast

import structlog

from models.settings import urls
from models.settings.settings import Settings, WithoutDatabase
from models.settings.version import version
from models.storage import reasons
from worker.process import visible
from worker.process.log_writer import LogStream, LogWriter

DRIVERS = frozenset({"psycopg", "sqlite3", "redis"})
"""By name: who logs need not load them."""

log = structlog.get_logger()


def configure(settings: Settings, *, aside: bool = False) -> None:
    """Send our events and the libraries' warnings to stderr, as JSON or for a terminal.

    A line's `message` names what happened. Its `event` is LiveKit's word; since structlog takes
    that keyword for itself, callers pass it as `_event`. `aside`, a thread of its own writes.
    """
    console = settings.log_format == "console" or (
        settings.log_format is None and sys.stderr.isatty()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_trace),
        structlog.processors.EventRenamer("message", "_event"),
    ]
    render: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer()]
    if console:
        plain = structlog.dev.plain_traceback  # ours is a text already
        drawn = structlog.dev.ConsoleRenderer(event_key="message", exception_formatter=plain)
        render = [_visible, drawn]
    kind = LogWriter if aside else LogStream
    stream = cast("TextIO", kind(sys.stderr, partial(_lost_line, [*shared, *render])))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
    handler.setFormatter(formatter)
    # Every step of a library is no event of ours, even at debug: who knows what it shows.
    libraries = max(level, logging.WARNING)
    logging.basicConfig(handlers=[handler], level=libraries, force=True)
    logging.getLogger("rq.worker").setLevel(libraries)  # it sets itself to info when imported
    logging.raiseExceptions = False  # else a line that a library words wrongly is shown raw
    threading.excepthook = _thread_ended


def _lost_line(processors: Sequence[structlog.typing.Processor], count: int) -> str:
    """The line that says how many could not be written."""
    line: Any = {"event": "log.lost", "count": count}
    for process in processors:
        line = process(log, "error", line)
    return f"{line}\n"


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Python would write the error's words, which may be anybody's data, and no JSON."""
    if not issubclass(ended.exc_type, SystemExit):
        name = ended.thread.name if ended.thread else ""
        log.error("thread.ended", thread=name, exc_info=ended.exc_value)


@contextmanager
def announced(process: str, settings: Settings) -> Iterator[None]:
    """Log a line when this process starts, with what it works on, and one when it stops."""
    log.info(
        "process.started",
        process=process,
        version=version(),
        **_databases(settings),
        redis=urls.redis_address(settings.redis_url),
        settings=changed(settings),
    )
    try:
        yield
    finally:
        log.info("process.stopped", process=process)


def _databases(settings: Settings) -> dict[str, str]:
    """Where the databases are that a process of these settings connects to."""
    if isinstance(settings, WithoutDatabase):
        return {}
    named = {"database": settings.database_url, "standby": settings.read_database_url}
    return {name: urls.database_address(url) for name, url in named.items() if url}


def changed(settings: Settings) -> dict[str, Any]:
    """The settings that are not their defaults, without secrets and addresses."""
    shown = {name: field for name, field in Settings.model_fields.items() if field.repr}
    return {
        name: value
        for name, field in shown.items()
        if not field.is_required() and (value := getattr(settings, name)) != field.default
    }


def _visible(_log: object, _level: str, line: structlog.typing.EventDict) -> dict[str, Any]:
    """What a terminal has no shape for is escaped, as in JSON: a room's name may be anything."""
    return {
        name: "\n".join(map(visible.escaped, value.split("\n")))
        if name == "exception"
        else visible.escaped(value)
        if isinstance(value, str)
        else value
        for name, value in line.items()
    }


def _trace(exc_info: structlog.typing.ExcInfo) -> str:
    """Where it happened and of what kind it is, and what it came from.

    Without the message, for a lookup says the name that it looked for. Of a database's or Redis's
    the reason is shown: its first line, cleaned of values.
    """
    chain: list[BaseException] = []
    error: BaseException | None = exc_info[1]
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(
        f"{''.join(format_tb(one.__traceback__))}{_kind(one)}" for one in reversed(chain)
    )


def _kind(error: BaseException) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    made_by = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    return f"{kind}: {reasons.of(error)}" if made_by & DRIVERS else kind
