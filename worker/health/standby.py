"""The standby for reading: whether it answers instead of the primary, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from models.storage import reasons
from models.storage.standby import Standby
from worker.health.check import Check


def checks(standby: Standby | None, now: datetime) -> Iterator[Check]:
    if standby is None:
        yield Check("standby.none")
        return
    try:
        state = standby.examine(now)
    except SQLAlchemyError as error:
        yield Check("standby.down", {"reason": reasons.of(error)})
        return
    if state.as_of is None:
        yield Check(f"standby.{state.hindrance if state.hindrance != 'behind' else 'empty'}")
        return
    seconds = (now - state.as_of).total_seconds()
    finding = "standby.behind" if state.hindrance else "standby.answers"
    yield Check(finding, {"seconds": round(seconds)}, seconds=round(seconds, 1))
