"""Where rosters and exports are read: on the standby, if there is one that will do.

Nothing that is written is decided by what a standby says, and no status comes from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from webhooks.door.context import backend
from webhooks.door.problems import Problem
from worker.process import metrics

T = TypeVar("T")


class NotThere(Exception):
    """What is asked for is unknown on the standby; the primary may have it already."""


@dataclass(frozen=True, slots=True)
class Source:
    """What to read from, and the moment of its data: the `now` of whatever is derived from them."""

    engine: Engine
    as_of: datetime
    is_standby: bool


def from_standby(read: Callable[[Source], T], *, now: datetime) -> T:
    """What `read` makes of the standby. Where that fails, refuses or knows nothing, of the primary:
    what was registered a moment ago may not have come to the standby."""
    standby = backend().standby
    if standby is not None and (as_of := standby.as_of(now)) is not None:
        try:
            answer = read(Source(standby.engine, as_of, is_standby=True))
        except SQLAlchemyError as error:
            standby.failed(error)
        except (NotThere, Problem):
            pass
        else:
            standby.answered()
            metrics.reads.labels("standby").inc()
            return answer
    metrics.reads.labels("primary").inc()
    return read(Source(backend().engine, now, is_standby=False))
