"""The JSON that goes out, declared: `/openapi.json` shows it and tests hold every answer to it.

Nothing is checked here while a request is answered: `answers` makes what these describe. So what
pydantic would check them with is built when the documentation is asked for, and not at each start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from webhooks.schemas import fields
from webhooks.schemas.fields import Count, ScheduleStatus

Model = TypeVar("Model", bound=BaseModel)

AS_OF = "2026-11-23T14:23:07.402Z"


class Reply(BaseModel):
    """A JSON object that goes out, with exactly these fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def declared(*given: fields.Field) -> Callable[[type[Model]], type[Model]]:
    """A class decorator: the model with the declared fields after its own."""
    described: dict[str, Any] = {
        field.name: (field.type, Field(description=field.description)) for field in given
    }

    def extend(model: type[Model]) -> type[Model]:
        return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **described)

    return extend


def _example(*examples: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(examples)})


@declared(*fields.SESSION.declared)
class SessionBrief(Reply):
    """The session that a status is about; every field is null when nothing is known of it yet."""


@declared(*fields.PERSON.declared)
class Person(Reply):
    """One person in one session."""


STATUS = {
    "session_id": "98",
    **fields.PERSON.example,
    "session": fields.SESSION.example,
    "as_of": AS_OF,
}


class Status(Person):
    """One person's status in one session, as it is at `as_of`."""

    model_config = _example(STATUS)

    session_id: str
    session: SessionBrief
    as_of: AwareDatetime


class JoinStatus(Status):
    """The status after a manual join, and the `visit` that its leave names."""

    model_config = _example(STATUS | {"visit": "VI_0b8f5f5e0d6c4c0f9a53a1a6f0a4f7a1"})

    visit: str


@declared(*fields.VISIT.declared)
class Cycle(Reply):
    """One visit, joined to left."""


@declared(*fields.ON_ROSTER)
class NamedPerson(Person):
    """One person of a roster."""


class RosterLine(NamedPerson):
    """One person of a roster, with their visits by join."""

    cycles: list[Cycle]


class RosterSession(SessionBrief):
    """The session of a roster; its id is null when nothing is known of it yet."""

    session_id: str | None


class Summary(Reply):
    """How many people, and how many of each status; hosts are not among them."""

    total: Count
    present: Count
    completed: Count
    absent: Count
    excused: Count
    left: Count
    not_joined: Count


OPEN_VISIT = fields.VISIT.example | {
    "participant_sid": "PA_8mRr8oYzr3pc",
    "visit": "PA_8mRr8oYzr3pc",
    "joined_at": "2026-11-23T14:16:03.402Z",
    "left_at": None,
    "disconnect_reason": None,
    "ended_by": None,
}
ROSTER = {
    "session": {"session_id": "98", **fields.SESSION.example},
    "summary": {
        "total": 1,
        "present": 1,
        "completed": 0,
        "absent": 0,
        "excused": 0,
        "left": 0,
        "not_joined": 0,
    },
    "attendances": [{**fields.ROSTER_LINE.example, "cycles": [fields.VISIT.example, OPEN_VISIT]}],
    "corrections": [],
    "as_of": AS_OF,
}


@declared(*fields.CORRECTION.declared)
class Correction(Reply):
    """One correction of one person's attendance in one session."""

    model_config = _example(fields.CORRECTION.example)


class Corrections(Reply):
    """The corrections of a session, the latest first."""

    model_config = _example({"corrections": [fields.CORRECTION.example]})

    corrections: list[Correction]


@declared(*fields.UNCOUNTED.declared)
class Uncounted(Reply):
    """A connection that is no visit, and why."""


class Roster(Reply):
    """Everyone expected or with a visit, by `user_id`."""

    model_config = _example(ROSTER, ROSTER | {"uncounted": [fields.UNCOUNTED.example]})

    session: RosterSession
    summary: Summary
    attendances: list[RosterLine]
    corrections: list[Correction] = Field(description="Those that count, by age.")
    uncounted: list[Uncounted] | None = Field(
        None, description="With `?uncounted=1`: connections that are no visits."
    )
    as_of: AwareDatetime


class ExpectedReply(Reply):
    """Somebody whom a session expects."""

    user_id: str
    name: str | None


SESSION = {
    "session_id": "98",
    **fields.SESSION.example,
    "academy_id": None,
    "course_id": "quran-autumn",
    "hosts": ["teacher-1"],
    "labels": ["online"],
    "duration_minutes": 60,
    "late_after_minutes": 10,
    "expected": [{"user_id": "5", "name": "أحمد"}],
    "rooms": [],
    "status": "running",
    "overlaps": [],
}


class Session(SessionBrief):
    """A session: registered by an operator, or made on the spot by a room or a manual join."""

    model_config = _example(SESSION)

    session_id: str
    room_name: str
    academy_id: str | None
    course_id: str | None
    hosts: list[str] = Field(description="User ids of those who hold it, such as teachers.")
    labels: list[str]
    duration_minutes: int
    late_after_minutes: int
    expected: list[ExpectedReply]
    rooms: list[str] = Field(description="Further rooms; `name*` means all that begin so.")
    status: ScheduleStatus | None = Field(
        description="Of a class, by its schedule; null without one."
    )
    overlaps: list[str] = Field(description="Other classes of its rooms at the same time.")


class Counts(Reply):
    """How many classes there are, by their schedule."""

    upcoming: Count
    running: Count
    over: Count


COUNTS = {"upcoming": 0, "running": 1, "over": 0}


class SessionsPage(Reply):
    """Sessions by id; `next` is the `after` of the next page, null when this is not full."""

    model_config = _example({"sessions": [SESSION], "counts": COUNTS, "next": None})

    sessions: list[Session]
    counts: Counts = Field(description="Of all pages, whatever `status` was asked for.")
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

    model_config = _example(
        {
            "ready": True,
            "keeps_in": "database",
            "pending_age_seconds": 0.0,
            "checks": {
                "database": {"well": True, "seen": "postgresql answers"},
                "redis": {"well": True, "seen": "writes, reads and runs scripts"},
            },
        }
    )

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

    model_config = ConfigDict(extra="allow") | _example(
        {
            "type": "about:blank",
            "title": "Forbidden",
            "status": 403,
            "reason": "forbidden",
            "detail": "This token gives no access to that session or person.",
        }
    )

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    reason: str = Field(description="One word for one cause; it does not change.")
    detail: str = Field(description="A sentence for people.")
    errors: list[FieldError] = Field(default=[], description="Which fields, for an invalid one.")
