"""How a case is written: events, a moment, and the visits that they amount to.

A visit is written as it would be told: `PA_1 14:00-14:30 left` ended exactly then, with `~` the
end is an estimate, `PA_1 14:00- open` counts up to now. The class is from 14:00 to 15:00.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pytest

from models.domain import visit
from models.domain.attendance import Attendance
from models.domain.event import Event
from models.domain.facts import Rules, Session
from tests.build import (
    folded,
    session,
)

CLASS = session("98", scheduled="14:00", minutes=60, rooms=["b"])
MEETING = session("98", scheduled=None)
LONG = session("98", scheduled="02:00", minutes=14 * 60)
RULES = Rules()


@dataclass(frozen=True)
class Row:
    """Events of person 5 (and others), and the visits that they amount to at `now`."""

    reason: str
    events: Sequence[Event]
    now: str
    visits: Sequence[str]
    session: Session = CLASS
    rules: Rules = RULES


def rows(*table: Row) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", table, ids=[row.reason for row in table])


def attended(row: Row) -> Attendance:
    return folded(row.events, registered=[row.session]).attendance(now=row.now, rules=row.rules)


def told(attendance: Attendance) -> list[str]:
    return [_told(one) for one in attendance.visits]


def _told(one: visit.Visit) -> str:
    if one.ended_at is None:
        return f"{one.cycle.cycle_id} {_clock(one.joined_at)}- open"
    dash = "~" if one.estimated else "-"
    span = f"{_clock(one.joined_at)}{dash}{_clock(one.ended_at)}"
    return f"{one.cycle.cycle_id} {span} {one.ended_by}"


def _clock(instant: datetime) -> str:
    time = instant.time()
    if time.microsecond:
        return time.isoformat("milliseconds" if time.microsecond % 1000 == 0 else "microseconds")
    return time.isoformat("seconds" if time.second else "minutes")
