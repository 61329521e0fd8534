"""Logs: structlog, one line an event. Never a body, a token, a name or a user id."""

from __future__ import annotations

import logging
import sys

import structlog

from models.settings import Settings

QUIET = ("rq", "alembic", "granian.access", "werkzeug")
"""Libraries whose every step is no event of ours: their warnings still are."""


def configure(settings: Settings) -> None:
    """Send our events and the libraries' warnings to stderr, as JSON or for a terminal.

    A line's `message` names what happened. Its `event` is LiveKit's word; since structlog takes
    that keyword for itself, callers pass it as `_event`.
    """
    console = settings.log_format == "console" or (
        settings.log_format is None and sys.stderr.isatty()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message", "_event"),
    ]
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if console:
        render = structlog.dev.ConsoleRenderer(
            event_key="message",
            exception_formatter=structlog.dev.plain_traceback,  # no locals: they have names
        )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
