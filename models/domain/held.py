"""Held time: when a session really took place, and which share of it somebody was inside. Pure.

It is the time in which one of its hosts was inside; without hosts, in which anybody was. Of a class
only the scheduled time counts. docs/rules.md says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.domain import share
from models.domain.attendance import Attendance
from models.domain.facts import Session

Span = tuple[datetime, datetime]

MANY = 1_000
"""Spans that are merged before more are taken: a session may have any number of people."""


@dataclass(frozen=True, slots=True)
class Held:
    """The spans in which a session was held, in order; none of them touches another."""

    spans: tuple[Span, ...]

    @property
    def duration(self) -> timedelta:
        return sum((end - start for start, end in self.spans), timedelta(0))

    def percentage(self, attendance: Attendance) -> float | None:
        """Which share of it somebody was inside, in percent, one decimal, half up; None when it was
        never held."""
        whole = self.duration
        if not whole:
            return None
        own = merged(_inside(attendance))
        inside = sum(
            (
                min(end, until) - max(start, since)
                for start, end in own
                for since, until in self.spans
                if start < until and since < end
            ),
            timedelta(0),
        )
        return share.percentage(inside, whole)


NEVER = Held(())


def held(session: Session | None, people: Iterable[Attendance]) -> Held:
    """When the session was held, by everybody's attendance; with hosts, theirs is enough."""
    if session is None:
        return NEVER
    of_hosts = bool(session.hosts)
    inside: list[Span] = []
    for each in people:
        if each.is_host or not of_hosts:
            inside += _within(session, _inside(each))
        if len(inside) > MANY:
            inside = merged(inside)
    return Held(tuple(merged(inside)))


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time as spans of which none touches another, in order."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _within(session: Session, spans: Iterable[Span]) -> Iterator[Span]:
    """The parts in the scheduled time; all of them without a schedule."""
    first, last = session.scheduled_at, session.ends_at
    for start, end in spans:
        begins, ends = max(start, first or start), min(end, last or end)
        if begins < ends:
            yield begins, ends


def _inside(attendance: Attendance) -> Iterator[Span]:
    for visit in attendance.visits:
        ended_at = visit.ended_at or max(attendance.as_of, visit.joined_at)
        if visit.joined_at < ended_at:
            yield visit.joined_at, ended_at
