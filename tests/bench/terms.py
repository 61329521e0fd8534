"""Terms of an academy, as they lie in the tables when they are over: classes, rooms and visits.

They are put into the tables by SQL: so many visits as events would take an hour to apply.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from models.storage import db
from models.storage.engine import make_engine
from tests.bench.stack import Stack

FILLING_SECONDS = 900

SESSIONS = """
INSERT INTO sessions (id, room_name, made_by, course_id, academy_id, title, scheduled_at, ends_at,
                      duration_minutes, late_after_minutes, minimum_percentage, expected,
                      created_at, rooms, hosts, labels)
SELECT :prefix || '-' || course || '-' || lesson, :prefix || '-' || course, 'registered',
       :prefix || '-' || course, :prefix, 'Lesson ' || lesson, begins, begins + interval '1 hour',
       60, 10, 75, people.expected, now(), '[]', jsonb_build_array('teacher-' || course), '[]'
FROM generate_series(1, :courses) AS course, generate_series(1, :lessons) AS lesson,
     LATERAL (SELECT date_trunc('day', now()) - (:lessons + 2 - lesson) * interval '1 day' * :every
                     + (8 + course % 8) * interval '1 hour' AS begins) AS at,
     LATERAL (SELECT jsonb_agg(jsonb_build_object(
                         'user_id', :prefix || '-' || course || '-pupil-' || n,
                         'name', 'Pupil ' || n)) AS expected
              FROM generate_series(1, :people) AS n) AS people
"""

PEOPLE = """
INSERT INTO session_people (user_id, session_id)
SELECT person ->> 'user_id', id FROM sessions, jsonb_array_elements(expected) AS person
WHERE academy_id = :prefix
UNION SELECT jsonb_array_elements_text(hosts), id FROM sessions WHERE academy_id = :prefix
"""

ROOMS = """
INSERT INTO rooms (sid, name, named_rank, starts, end_rank, created_at, started_at, finished_at,
                   last_event_at)
SELECT 'RM_' || id, room_name, '', '[]', '3', scheduled_at - interval '5 minutes',
       scheduled_at - interval '5 minutes', ends_at + interval '2 minutes',
       ends_at + interval '2 minutes'
FROM sessions WHERE academy_id = :prefix
"""

VISITS = """
INSERT INTO cycles (cycle_id, room_sid, room_name, user_id, name, name_rank, kind, hidden,
                    joined_at, joined_rank, left_at, left_rank, source, claimed_rank,
                    disconnect_reason)
SELECT 'PA_' || id || '-' || user_id || '-' || visit, 'RM_' || id, room_name, user_id,
       'Called ' || user_id, '3', 'STANDARD', false, scheduled_at + came, '3',
       scheduled_at + came + stayed, '3', 'livekit', '', 'CLIENT_INITIATED'
FROM (SELECT id, room_name, scheduled_at, person ->> 'user_id' AS user_id,
             hashtext(id || (person ->> 'user_id')) AS dice
      FROM sessions, jsonb_array_elements(expected) AS person
      WHERE academy_id = :prefix) AS seat,
     generate_series(1, 2) AS visit,
     LATERAL (SELECT CASE visit WHEN 1 THEN (abs(dice) % 15 - 3) * interval '1 minute'
                                ELSE interval '40 minutes' END AS came,
                     CASE visit WHEN 1 THEN (25 + abs(dice) % 20) * interval '1 minute'
                                ELSE interval '19 minutes' END AS stayed) AS times
WHERE abs(dice) % 10 > 0 AND (visit = 1 OR abs(dice) % 3 = 0)
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """So many courses of so many lessons, each of an hour, `every` so many days, the last of them
    yesterday; so many people are expected by each, of whom nine in ten come."""

    prefix: str
    courses: int
    lessons: int
    people: int = 30
    every: float = 1.4

    @property
    def sessions(self) -> int:
        return self.courses * self.lessons

    @property
    def attendances(self) -> int:
        return self.sessions * self.people

    def store(self, under: Stack) -> None:
        values = {
            "prefix": self.prefix,
            "courses": self.courses,
            "lessons": self.lessons,
            "people": self.people,
            "every": self.every,
        }
        engine = make_engine(under.database_url, timeout=FILLING_SECONDS)
        with db.writing(engine) as conn:
            conn.execute(text(SESSIONS), values)
            for statement in (PEOPLE, ROOMS, VISITS):
                conn.execute(text(statement), {"prefix": self.prefix})
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text("VACUUM ANALYZE sessions, session_people, rooms, cycles"))
        engine.dispose()
