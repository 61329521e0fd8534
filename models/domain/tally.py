"""Tallies: what one person's attendances in many sessions amount to. Pure; docs/rules.md says it in
words.

Each attendance is what `attendance.view` says of one session: nothing is worked out a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from models.domain import share
from models.domain.attendance import Attendance
from models.domain.facts import Session

ONE_MICROSECOND = timedelta(microseconds=1)
MILLIONTHS = 1_000_000
CAME = ("completed", "present")
"""Who is still inside when their session is over has come to it."""


@dataclass(slots=True)
class Tally:
    """Of the sessions that are over: how many there were, and what the person did in them.

    `inside_us` and `scheduled_us` are microseconds, `required` the sum of each session's minimum
    (in millionths of a percent) times its duration.
    """

    sessions: int = 0
    attended: int = 0
    absent: int = 0
    excused: int = 0
    late: int = 0
    left_early: int = 0
    inside_us: int = 0
    scheduled_us: int = 0
    required: int = 0
    required_us: int = 0

    def add(self, session: Session, seen: Attendance) -> None:
        """Count one more session, which is over and of which the person is no host."""
        status = seen.attendance_status
        self.sessions += 1
        self.attended += status in CAME
        self.absent += status == "absent"
        self.excused += status == "excused"
        self.late += bool(seen.is_late)
        self.left_early += bool(seen.left_early)
        if seen.scheduled_duration is None or status == "excused":
            return
        whole_us = session.duration_minutes * 60_000_000
        self.scheduled_us += whole_us
        self.inside_us += seen.scheduled_duration // ONE_MICROSECOND
        if session.minimum_percentage is not None:
            self.required += round(session.minimum_percentage * MILLIONTHS) * whole_us
            self.required_us += whole_us

    @property
    def scheduled(self) -> timedelta:
        return timedelta(microseconds=self.scheduled_us)

    @property
    def inside(self) -> timedelta:
        return timedelta(microseconds=self.inside_us)

    @property
    def attendance_percentage(self) -> float | None:
        """Share of the scheduled time spent inside, in percent, one decimal, half up."""
        return share.percentage(self.inside_us, self.scheduled_us) if self.scheduled_us else None

    @property
    def below_minimum(self) -> bool | None:
        """Whether that is below the mean of the sessions' minimums, each weighed by its session's
        duration; None where no session has one."""
        if not self.required_us:
            return None
        shown = share.tenths(self.inside_us, self.scheduled_us)
        return shown * (MILLIONTHS // 10) * self.required_us < self.required
