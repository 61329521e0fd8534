"""The fields of a report, each declared once, as `fields` has those of a roster."""

from __future__ import annotations

from dataclasses import replace

from pydantic import AwareDatetime

from webhooks.schemas.fields import (
    AttendanceStatus,
    Count,
    Field,
    Fields,
    Percentage,
    Seconds,
    instant,
    whole_seconds,
)

REPORT_TALLY = (
    Field("sessions", Count, 12, "Sessions that are over, in which they are on the roster."),
    Field("attended", Count, 10, "Of those, to how many they came: `completed` or `present`."),
    Field("late", Count, 2, "To how many they came late."),
    Field("left_early", Count, 1, "How many they left early."),
    Field("absent", Count, 1),
    Field("excused", Count, 1, "Absent, and excused: these count for nothing else."),
    Field(
        "scheduled_seconds",
        Seconds,
        39600,
        "How long the sessions with a schedule were, but for those that they are excused from.",
        source="scheduled",
        write=whole_seconds,
        heading="scheduled_length",
    ),
    Field(
        "attended_seconds",
        Seconds,
        34127,
        "Time inside within the scheduled time of those sessions.",
        source="inside",
        write=whole_seconds,
    ),
    Field(
        "attendance_percentage",
        Percentage | None,
        86.2,
        "Share of `scheduled_seconds` spent inside; null when that is 0.",
    ),
    Field(
        "below_minimum",
        bool | None,
        False,
        "Whether the percentage is below the mean of the sessions' minimums, each weighed by its "
        "session's duration. Null where no session has a minimum.",
    ),
)
TALLY = Fields(*REPORT_TALLY)
"""Of `tally.Tally`: what one person's attendances amount to."""

REPORT_PERSON = Fields(
    Field("user_id", str, "5", column=1),
    Field("name", str | None, "أحمد", "As registered last, else as called last.", column=2),
    *(replace(each, source=f"tally.{each.source or each.name}") for each in REPORT_TALLY),
)
"""Of `report.Person`: a person of a report."""

GRID = Fields(
    Field("session_id", str, "98", source="session.id"),
    Field(
        "attendance_status", AttendanceStatus, "completed", source="attendance.attendance_status"
    ),
    Field("is_late", bool | None, False, source="attendance.is_late"),
    Field("left_early", bool | None, False, source="attendance.left_early"),
    Field(
        "attendance_percentage",
        Percentage | None,
        96.7,
        source="attendance.attendance_percentage",
    ),
    Field("meets_minimum", bool | None, True, source="attendance.meets_minimum"),
)
"""Of `reports.Cell`: one person in one session of a report."""

REPORT_SESSION = Fields(
    Field("session_id", str, "98", source="id"),
    Field("title", str | None, "Quran, week 3"),
    Field("scheduled_at", AwareDatetime | None, "2026-11-23T14:10:00Z", write=instant),
)
"""Of `facts.Session`: a session of a report."""
