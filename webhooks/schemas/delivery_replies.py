"""The JSON of deliveries: which there are, and what a receiver of one gets."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field

from models.tables.delivery import Delivery, Status
from webhooks.door.values import Word
from webhooks.schemas.bodies import Query
from webhooks.schemas.fields import Count, instant
from webhooks.schemas.replies import ROSTER, Correction, Reply, RosterLine, RosterSession, Summary

MAX_PAGE = 1_000

LARGEST = 2**63 - 1

LINE: dict[str, Any] = {
    "delivery_id": "msg_5f0c1d3b7a6e4f8d9b2a1c0e3d4f5a6b",
    "session_id": "98",
    "version": 1,
    "url": "https://app.example/attendance",
    "status": "failed",
    "attempts": 10,
    "error": "HTTP 500",
    "made_at": "2026-11-23T15:40:21.318Z",
    "next_attempt_at": None,
    "done_at": "2026-11-26T19:31:07.402Z",
}


FINAL: dict[str, Any] = {
    "type": "attendance.final",
    "timestamp": "2026-11-23T15:40:21.318Z",
    "data": {
        "version": 1,
        **{name: value for name, value in ROSTER.items() if name != "as_of"},
        "roster_path": "/api/sessions/98/attendance",
    },
}


class DeliveriesQuery(Query):
    """Which page of the deliveries."""

    status: Status | None = None
    session_id: Word | None = None
    after: int | None = Field(None, ge=1, le=LARGEST, description="The `next` of the page before.")
    limit: int = Field(100, ge=1, le=MAX_PAGE)


class DeliveryLine(Reply):
    """One version of a session for one receiver."""

    model_config = ConfigDict(json_schema_extra={"examples": [LINE]})

    delivery_id: str = Field(description="The `webhook-id` that the receiver gets.")
    session_id: str
    version: Count
    url: str = Field(description="Without user, password and query.")
    status: Status
    attempts: Count
    error: str | None = Field(description="What was wrong at the last attempt, or why dropped.")
    made_at: AwareDatetime
    next_attempt_at: AwareDatetime | None = Field(description="Null when it is done.")
    done_at: AwareDatetime | None


class DeliveriesPage(Reply):
    """Deliveries, the newest first; `next` is the next page's `after`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"deliveries": [LINE], "next": None}]}
    )

    deliveries: list[DeliveryLine]
    next: int | None = Field(description="Null when this page is not full.")


class SentAgain(Reply):
    """How many deliveries are sent again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"count": 12}]})

    count: Count


class FinalData(Reply):
    """The roster of a session that is final, and the number of this version."""

    version: Count
    session: RosterSession
    summary: Summary
    attendances: list[RosterLine] | None = Field(description="Null when they are too many.")
    corrections: list[Correction] = Field(description="Those that are not undone, by age.")
    roster_path: str


class AttendanceFinal(Reply):
    """What a receiver of our webhooks gets."""

    model_config = ConfigDict(json_schema_extra={"examples": [FINAL]})

    type: Literal["attendance.final"]
    timestamp: AwareDatetime
    data: FinalData


def line(delivery: Delivery) -> dict[str, Any]:
    """A `DeliveryLine`."""
    values = {each.name: getattr(delivery, each.name) for each in fields(delivery)}
    return {
        name: instant(values[name]) if name.endswith("_at") else values[name]
        for name in DeliveryLine.model_fields
    }


def page(found: list[Delivery], *, limit: int) -> dict[str, Any]:
    """A `DeliveriesPage` of up to `limit` deliveries."""
    following = found[-1].id if len(found) == limit else None
    return {"deliveries": [line(each) for each in found], "next": following}
