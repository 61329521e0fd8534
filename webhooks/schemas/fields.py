"""The fields of a status and of a roster, each declared once.

Of one declaration are made the JSON (`Fields.of`), the schema of `/openapi.json` (`replies`), the
documentation's example, and the column of a file (`Fields.columns`, `Fields.cells`), whose kind the
field's type says. To add a field, add it here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AwareDatetime

from models.domain.corrections import Kind as CorrectionKind
from models.domain.facts import MadeBy, Source
from models.lookup import session_list
from webhooks.sheets.table import Cell, Column, Kind, kind_of

SessionType = Literal["individual", "academic", "group"]
ScheduleStatus = session_list.Status
AttendanceStatus = Literal["present", "completed", "absent", "excused", "left", "not_joined"]
EndedBy = Literal[
    "left",
    "aborted",
    "rejoined",
    "client_left",
    "room_restarted",
    "room_finished",
    "next_session",
    "superseded",
    "stale",
    "max_cycle",
    "corrected",
]
WhyUncounted = Literal[
    "aborted", "unseen", "kind", "hidden", "unanswered", "manual", "unconfirmed", "corrected"
]
Count = Annotated[int, pydantic.Field(ge=0)]
Seconds = Annotated[int, pydantic.Field(ge=0), Kind.DURATION]
Percentage = Annotated[float, pydantic.Field(ge=0, le=100), Kind.PERCENTAGE]

LAST_COLUMN = 100


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a JSON object.

    It is read from the attribute `source` (by default its name; dots are followed) and goes
    through `write`, if any. Columns stand by `column`, equal ones as declared. `heading` is the
    word of the headings over the column, where its name means something else elsewhere.
    """

    name: str
    type: Any
    example: Any
    description: str | None = None
    source: str | None = None
    write: Callable[[Any], Any] | None = None
    column: int = LAST_COLUMN
    heading: str | None = None


class Fields:
    """The fields of one JSON object in their order, at least two."""

    def __init__(self, *declared: Field) -> None:
        self.declared = declared
        self.example = {field.name: field.example for field in declared}
        by_column = sorted(declared, key=lambda field: field.column)
        self.columns = tuple(
            Column(field.name, kind_of(field.type), field.heading) for field in by_column
        )
        # Made once: every status goes through `of`.
        self._names = tuple(field.name for field in declared)
        self._read = attrgetter(*(field.source or field.name for field in declared))
        self._writes = [(field.name, field.write) for field in declared if field.write]
        self._read_cells = attrgetter(*(field.source or field.name for field in by_column))
        # A file writes an instant in its own form.
        self._write_cells = [
            (number, field.write)
            for number, (field, column) in enumerate(zip(by_column, self.columns, strict=True))
            if field.write and column.kind is not Kind.INSTANT
        ]

    def of(self, subject: object) -> dict[str, Any]:
        """The JSON object of what they are read from; every field is null for None."""
        if subject is None:
            return dict.fromkeys(self._names)
        written = dict(zip(self._names, self._read(subject)))  # noqa: B905 (as many, by construction)
        for name, write in self._writes:
            if (value := written[name]) is not None:
                written[name] = write(value)
        return written

    def cells(self, subject: object) -> list[Cell]:
        """What stands in `columns` for what they are read from: as in JSON, but for instants."""
        cells = list(self._read_cells(subject))
        for number, write in self._write_cells:
            if (value := cells[number]) is not None:
                cells[number] = write(value)
        return cells


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond where there is a fraction."""
    if at is None:
        return None
    spec = "milliseconds" if at.microsecond >= 1000 else "seconds"
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec=spec)[: -len("+00:00")] + "Z"


def whole_minutes(span: timedelta) -> int:
    """Begun minutes do not count."""
    return span // timedelta(minutes=1)


def whole_seconds(span: timedelta) -> int:
    """Begun seconds do not count."""
    return span // timedelta(seconds=1)


def _of(attribute: str, fields: Fields) -> list[Field]:
    """The same fields, read from what this attribute has."""
    return [
        replace(field, source=f"{attribute}.{field.source or field.name}")
        for field in fields.declared
    ]


SESSION = Fields(
    Field("title", str | None, "Quran, week 3"),
    Field("session_type", SessionType | None, "individual"),
    Field("room_name", str | None, "quran-98"),
    Field("scheduled_at", AwareDatetime | None, "2026-11-23T14:10:00Z", write=instant),
    Field(
        "ends_at",
        AwareDatetime | None,
        "2026-11-23T15:10:00Z",
        "`scheduled_at` and its duration.",
        write=instant,
    ),
    Field(
        "minimum_percentage", Percentage | None, 75.0, "From which percentage `meets_minimum` is."
    ),
    Field(
        "made_by",
        MadeBy | None,
        "registered",
        "`registered` by an operator; else `room` when a room is in it, or `client`. Of a session "
        "that nobody registered, the type is the word of the first client that gave one.",
    ),
)
"""Of `facts.Session`: what a status and a roster say of the session."""

PERSON = Fields(
    Field("user_id", str, "5", column=1),
    Field("is_currently_in_meeting", bool, True, "Some visit of theirs is open.", column=4),
    Field(
        "attendance_status",
        AttendanceStatus,
        "present",
        "`present`: inside now. Once the session is over: `completed` (came), `absent`, or "
        "`excused` (absent, and a correction excuses it). "
        "Until then: `left` (came, and is not inside) or `not_joined`.",
        column=3,
    ),
    Field("duration_minutes", Count, 12, source="duration", write=whole_minutes),
    Field(
        "duration_seconds",
        Seconds,
        745,
        "Time inside; overlapping visits count once.",
        source="duration",
        write=whole_seconds,
    ),
    Field("join_count", Count, 2, "How many visits."),
    Field(
        "first_joined_at",
        AwareDatetime | None,
        "2026-11-23T14:10:42.118Z",
        write=instant,
        column=5,
    ),
    Field(
        "last_left_at",
        AwareDatetime | None,
        "2026-11-23T14:16:03Z",
        "The last end of a visit that ended.",
        write=instant,
        column=6,
    ),
    Field("is_late", bool | None, False, "Null when unscheduled or never joined."),
    Field("left_early", bool | None, None, "Null before the end or without a schedule."),
    Field(
        "attendance_percentage",
        Percentage | None,
        20.7,
        "Share of the scheduled time spent inside; null without a schedule.",
    ),
    Field(
        "scheduled_seconds",
        Seconds | None,
        745,
        "Time inside within the scheduled time; null without a schedule.",
        source="scheduled_duration",
        write=whole_seconds,
    ),
    Field("meets_minimum", bool | None, None, "Null without a minimum, or before `final`."),
    Field(
        "is_host",
        bool,
        False,
        "A host of the session, such as its teacher: never late or absent, and in no total.",
    ),
    Field(
        "corrected",
        bool,
        False,
        "A correction (other than a note) is laid over what the facts say.",
    ),
    Field("final", bool, False, "Nothing will change any more, unless LiveKit is very late."),
    Field(
        "confirmed",
        bool | None,
        True,
        "Whether LiveKit reported some visit, or a correction added it; false: only their own page "
        "did. Null without a visit.",
    ),
    Field(
        "confirmed_seconds",
        Seconds,
        745,
        "The part of `duration_seconds` that LiveKit reported, or a correction added.",
        source="confirmed_duration",
        write=whole_seconds,
    ),
)
"""Of `attendance.Attendance`: what a status and a roster say of one person."""

ON_ROSTER = (
    Field(
        "name",
        str | None,
        "أحمد",
        "As registered, else `participant_name`.",
        column=2,
    ),
    Field(
        "participant_name",
        str | None,
        "Ahmad",
        "What they were called inside: LiveKit's word, or their client's.",
        source="attendance.name",
    ),
    Field("expected", bool, True, "Whether the session expects them; else they are a guest."),
    Field(
        "held_percentage",
        Percentage | None,
        20.7,
        "Share spent inside of the time in which the class was held: a host (without hosts, "
        "anybody) was inside. Null when it never was.",
    ),
    Field(
        "uncorrected_status",
        AttendanceStatus | None,
        None,
        "What the facts alone say; null where nothing is `corrected`.",
        source="attendance.uncorrected_status",
    ),
    Field(
        "uncorrected_seconds",
        Seconds | None,
        None,
        "`duration_seconds` by the facts alone; null where nothing is `corrected`.",
        source="attendance.uncorrected_duration",
        write=whole_seconds,
    ),
)
ROSTER_LINE = Fields(*_of("attendance", PERSON), *ON_ROSTER)
"""Of `answers.Line`: what only a roster says comes after what a status says too."""

VISIT = Fields(
    Field(
        "participant_sid",
        str | None,
        "PA_gLSkHqJzVTmz",
        "LiveKit's; null for a manual join.",
        source="cycle.participant_sid",
    ),
    Field(
        "visit",
        str,
        "PA_gLSkHqJzVTmz",
        "Its `participant_sid`; of a manual join what the join answered, of a visit that a "
        "correction added the correction's id.",
        source="cycle.cycle_id",
    ),
    Field("joined_at", AwareDatetime, "2026-11-23T14:10:42.118Z", write=instant),
    Field(
        "left_at",
        AwareDatetime | None,
        "2026-11-23T14:16:03Z",
        "Null while the visit is open.",
        source="ended_at",
        write=instant,
    ),
    Field("source", Source | None, "livekit", "Who reported it.", source="cycle.source"),
    Field(
        "kind",
        str | None,
        "STANDARD",
        "LiveKit's word: `SIP` is a phone.",
        source="cycle.kind",
    ),
    Field(
        "disconnect_reason",
        str | None,
        "CLIENT_INITIATED",
        "LiveKit's word.",
        source="cycle.disconnect_reason",
    ),
    Field("estimated", bool, False, "The end was inferred: nobody said when they left."),
    Field("ended_by", EndedBy | None, "left", "The rule that ended it; null while open."),
    Field("room_end_reason", str | None, None, "LiveKit's, where the room's finish ended it."),
)
"""Of `visit.Visit`: what a roster says of one visit."""

UNCOUNTED = Fields(
    Field("user_id", str, "agent-1", source="cycle.user_id"),
    Field("name", str | None, None, source="cycle.name"),
    Field(
        "participant_sid",
        str | None,
        "PA_3wqT3a8bVQ2z",
        "LiveKit's; null for a manual join.",
        source="cycle.participant_sid",
    ),
    Field("kind", str | None, "AGENT", "LiveKit's word.", source="cycle.kind"),
    Field("began_at", AwareDatetime, "2026-11-23T14:10:03Z", write=instant),
    Field(
        "reason",
        WhyUncounted,
        "kind",
        "`kind`: not of PERSON_KINDS. `hidden`: hidden in every event. `aborted`: the connection "
        "never came up. `unanswered`: a phone that nobody answered. `unseen`: no join is known. "
        "`manual`: a manual join, with MANUAL_JOINS=off. `unconfirmed`: with MANUAL_JOINS=hint, a "
        "manual join to a room that LiveKit reported. `corrected`: a correction says so.",
    ),
)
"""Of `counting.Uncounted`: what a roster says of who was connected and is not counted."""

CORRECTION = Fields(
    Field("correction_id", str, "CO_2f9c1f8b7c5d4a42b1c3d4e5f6a7b8c9", source="id"),
    Field("session_id", str, "98"),
    Field("user_id", str, "5"),
    Field("kind", CorrectionKind, "excused"),
    Field("reason", str | None, "A doctor's note.", "Null once the person was erased."),
    Field("from", AwareDatetime | None, None, source="starts_at", write=instant),
    Field("to", AwareDatetime | None, None, source="ends_at", write=instant),
    Field("participant_sid", str | None, None, "The visit that is none."),
    Field("as", str | None, None, "Whose visits they are.", source="same_as"),
    Field("always", bool, False, "Also in later sessions of this room."),
    Field("made_at", AwareDatetime, "2026-11-23T16:02:11.870Z", write=instant),
    Field("author", str, "teacher-1", "The identity of the token; `operator` without one."),
    Field("undone_at", AwareDatetime | None, None, write=instant),
    Field("undone_by", str | None, None),
)
"""Of `corrections.Correction`."""
