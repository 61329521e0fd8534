"""The JSON of reports and of one person that goes out, declared."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from webhooks.schemas import replies
from webhooks.schemas.event_replies import EventLine
from webhooks.schemas.replies import Correction, Cycle, Reply, Status, Summary, declared
from webhooks.schemas.report_fields import GRID, REPORT_PERSON, REPORT_SESSION, REPORT_TALLY, TALLY

SUMMARY = dict.fromkeys(Summary.model_fields, 0) | {"total": 1, "completed": 1}
REPORT: dict[str, Any] = {
    "people": [REPORT_PERSON.example],
    "sessions": [REPORT_SESSION.example | {"summary": SUMMARY}],
    "next": None,
}
WITH_GRID = REPORT | {"people": [REPORT_PERSON.example | {"attendances": [GRID.example]}]}


@declared(*GRID.declared)
class GridCell(Reply):
    """One person in one session."""


@declared(*REPORT_PERSON.declared)
class ReportPerson(Reply):
    """One person over all sessions of a report."""

    attendances: list[GridCell] | None = Field(
        None, description="With `?grid=1`: of each session in which they are on the roster."
    )


@declared(*REPORT_SESSION.declared)
class ReportSession(Reply):
    """A session of a report."""

    summary: Summary


class AttendanceReport(Reply):
    """People by `user_id`; `next` is the `after` of the next page. The sessions are all that count,
    by their start, on each page."""

    model_config = ConfigDict(json_schema_extra={"examples": [REPORT, WITH_GRID]})

    people: list[ReportPerson]
    sessions: list[ReportSession]
    next: str | None


@declared(*REPORT_TALLY)
class PersonSummary(Reply):
    """What one person's attendances amount to, where they are no host and the session is over."""


PERSON: dict[str, Any] = {
    "user_id": "5",
    "attendances": [replies.STATUS],
    "summary": TALLY.example,
    "next": None,
}


class PersonStatus(Status):
    """One person's status in one session."""

    cycles: list[Cycle] | None = Field(None, description="With `?export=1`: the visits by join.")


class KeptEvent(EventLine):
    """One event of the ledger, with what was kept of it."""

    payload: dict[str, Any] | None


class PersonAttendance(Reply):
    """One person's statuses, the session that began last first."""

    model_config = ConfigDict(json_schema_extra={"examples": [PERSON]})

    user_id: str
    attendances: list[PersonStatus]
    summary: PersonSummary = Field(description="Of all pages.")
    names: list[str] | None = Field(
        None, description="With `?export=1`: what they are registered as, and were called."
    )
    corrections: list[Correction] | None = Field(
        None,
        description="With `?export=1`: those of them and those by them, by age; undone ones too. "
        "They may name others.",
    )
    events: list[KeptEvent] | None = Field(
        None, description="With `?export=1`: what the ledger has of them, the newest first."
    )
    next: str | None
