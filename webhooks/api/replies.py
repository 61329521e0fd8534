"""The JSON that goes out, declared: `/openapi.json` shows it and tests hold every answer to it.

Nothing is checked here while a request is answered: `answers` makes what these describe.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.domain.facts import MadeBy, Source
from webhooks.api import examples
from webhooks.api.bodies import SessionType

AttendanceStatus = Literal["present", "completed", "absent", "left", "not_joined"]
EndedBy = Literal[
    "left",
    "aborted",
    "rejoined",
    "client_left",
    "room_finished",
    "superseded",
    "stale",
    "max_cycle",
]
Count = Annotated[int, Field(ge=0)]
Percentage = Annotated[float, Field(ge=0, le=100)]


class Reply(BaseModel):
    """A JSON object that goes out, with exactly these fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionBrief(Reply):
    """The session that a status is about; every field is null when nothing is known of it yet."""

    session_type: SessionType | None
    room_name: str | None
    scheduled_at: AwareDatetime | None
    ends_at: AwareDatetime | None = Field(description="`scheduled_at` and its duration.")


class Person(Reply):
    """One person in one session."""

    user_id: str
    is_currently_in_meeting: bool = Field(description="Some visit of theirs is open.")
    attendance_status: AttendanceStatus = Field(
        description=(
            "`present`: inside now. Once the session is over: `completed` (came) or `absent`. "
            "Until then: `left` (came, and is not inside) or `not_joined`."
        )
    )
    duration_minutes: Count
    duration_seconds: Count = Field(description="Time inside; overlapping visits count once.")
    join_count: Count = Field(description="How many visits.")
    first_joined_at: AwareDatetime | None
    last_left_at: AwareDatetime | None = Field(description="The last end of a visit that ended.")
    is_late: bool | None = Field(description="Null when unscheduled or never joined.")
    left_early: bool | None = Field(description="Null before the end or without a schedule.")
    attendance_percentage: Percentage | None = Field(
        description="Share of the scheduled time spent inside; null without a schedule."
    )
    meets_minimum: bool | None = Field(description="Null without a minimum, or before `final`.")
    final: bool = Field(description="Nothing will change any more, unless LiveKit is very late.")


def _example(*told: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(told)})


class Status(Person):
    """One person's status in one session, as it is at `as_of`."""

    model_config = _example(examples.STATUS)

    session_id: str
    session: SessionBrief
    as_of: AwareDatetime


class JoinStatus(Status):
    """The status after a manual join, and the `visit` that its leave names."""

    model_config = _example(examples.STATUS | {"visit": "VI_0b8f5f5e0d6c4c0f9a53a1a6f0a4f7a1"})

    visit: str


class Cycle(Reply):
    """One visit, joined to left."""

    participant_sid: str | None = Field(description="LiveKit's; null for a manual join.")
    joined_at: AwareDatetime
    left_at: AwareDatetime | None = Field(description="Null while the visit is open.")
    source: Source | None = Field(description="Who told of it.")
    disconnect_reason: str | None = Field(description="LiveKit's word.")
    estimated: bool = Field(description="The end was inferred: nobody said when they left.")
    ended_by: EndedBy | None = Field(description="The rule that ended it; null while open.")


class RosterLine(Person):
    """One person of a roster, with their visits by join."""

    name: str | None
    cycles: list[Cycle]


class RosterSession(SessionBrief):
    """The session of a roster; its id is null when nothing is known of it yet."""

    session_id: str | None


class Summary(Reply):
    """How many people, and how many of each status."""

    total: Count
    present: Count
    completed: Count
    absent: Count
    left: Count
    not_joined: Count


class Roster(Reply):
    """Everyone expected or with a visit, by `user_id`."""

    model_config = _example(examples.ROSTER)

    session: RosterSession
    summary: Summary
    attendances: list[RosterLine]
    as_of: AwareDatetime


class ExpectedReply(Reply):
    """Somebody whom a session expects."""

    user_id: str
    name: str | None


class Session(SessionBrief):
    """A session: registered by an operator, or made on the spot by a room or a manual join."""

    model_config = _example(examples.SESSION)

    session_id: str
    room_name: str
    academy_id: str | None
    duration_minutes: int
    late_after_minutes: int
    minimum_percentage: Percentage | None
    expected: list[ExpectedReply]
    made_by: MadeBy = Field(
        description="`registered` by an operator; else `room` when a room is in it, or `client`."
    )


class SessionsPage(Reply):
    """Sessions by id; `next` is the `after` of the next page, null when this is not full."""

    model_config = _example({"sessions": [examples.SESSION], "next": None})

    sessions: list[Session]
    next: str | None


class Alive(Reply):
    """The process answers."""

    alive: Literal[True]


class Check(Reply):
    """One thing that was looked at."""

    well: bool
    seen: str


class Ready(Reply):
    """Whether webhooks can be stored, and what else there is to see."""

    model_config = _example(examples.READY)

    ready: bool = Field(description="Whether a webhook that comes now is kept.")
    keeps_in: Literal["database", "spool"] | None = Field(
        description="Where: in the database, or in the spool in Redis until the database is back."
    )
    pending_age_seconds: float | None = Field(description="Age of the oldest event to be applied.")
    checks: dict[str, Check] = Field(
        description="By what was looked at: `database`, `migrations`, `pending`, `failed`,"
        " `unreadable`, `clock`, `received`, `redis`, `eviction`, `refused`, `spool`, `workers`,"
        " `scheduler`."
    )


class FieldError(Reply):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error as RFC 9457 has it, with a stable `reason` for programs."""

    model_config = ConfigDict(extra="allow") | _example(examples.PROBLEM)

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    reason: str = Field(description="One word for one cause; it does not change.")
    detail: str = Field(description="A sentence for people.")
    errors: list[FieldError] = Field(default=[], description="Which fields, for an invalid one.")
