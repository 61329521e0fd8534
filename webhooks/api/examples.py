"""One class as the API tells it: the examples of the documentation, in one story."""

from __future__ import annotations

PERSON = {
    "user_id": "5",
    "is_currently_in_meeting": True,
    "attendance_status": "present",
    "duration_minutes": 12,
    "duration_seconds": 745,
    "join_count": 2,
    "first_joined_at": "2026-11-23T14:10:42.118Z",
    "last_left_at": "2026-11-23T14:16:03Z",
    "is_late": False,
    "left_early": None,
    "attendance_percentage": 20.7,
    "meets_minimum": None,
    "final": False,
}
BRIEF = {
    "session_type": "individual",
    "room_name": "quran-98",
    "scheduled_at": "2026-11-23T14:10:00Z",
    "ends_at": "2026-11-23T15:10:00Z",
}
STATUS = {
    "session_id": "98",
    **PERSON,
    "session": BRIEF,
    "as_of": "2026-11-23T14:23:07.402Z",
}


SESSION = {
    "session_id": "98",
    **BRIEF,
    "academy_id": None,
    "duration_minutes": 60,
    "late_after_minutes": 10,
    "minimum_percentage": 75.0,
    "expected": [{"user_id": "5", "name": "أحمد"}],
    "made_by": "registered",
}
ROSTER = {
    "session": {"session_id": "98", **BRIEF},
    "summary": {
        "total": 1,
        "present": 1,
        "completed": 0,
        "absent": 0,
        "left": 0,
        "not_joined": 0,
    },
    "attendances": [
        {
            **PERSON,
            "name": "أحمد",
            "cycles": [
                {
                    "participant_sid": "PA_gLSkHqJzVTmz",
                    "joined_at": "2026-11-23T14:10:42.118Z",
                    "left_at": "2026-11-23T14:16:03Z",
                    "source": "livekit",
                    "disconnect_reason": "CLIENT_INITIATED",
                    "estimated": False,
                    "ended_by": "left",
                },
                {
                    "participant_sid": "PA_8mRr8oYzr3pc",
                    "joined_at": "2026-11-23T14:16:03.402Z",
                    "left_at": None,
                    "source": "livekit",
                    "disconnect_reason": None,
                    "estimated": False,
                    "ended_by": None,
                },
            ],
        }
    ],
    "as_of": "2026-11-23T14:23:07.402Z",
}
READY = {
    "ready": True,
    "keeps_in": "database",
    "pending_age_seconds": 0.0,
    "checks": {
        "database": {"well": True, "seen": "postgresql answers"},
        "redis": {"well": True, "seen": "writes, reads and runs scripts"},
    },
}
PROBLEM = {
    "type": "about:blank",
    "title": "Forbidden",
    "status": 403,
    "reason": "forbidden",
    "detail": "This token gives no access to that session or person.",
}
