"""A ledger as long as one likes, made by PostgreSQL itself: visits of simulated classes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from models.storage import db

ROOMS, PEOPLE = 2_000, 30
ROWS_AT_ONCE = 50_000
SPAN = timedelta(days=25)
"""How long ago the first event was; the last one is of now."""

# A joined and a left for each visit; the visits go round the rooms, and round the people in each.
EVENTS = """
INSERT INTO webhook_events (event_id, event, source, room_sid, room_name, participant_sid, user_id,
                            created_at, received_at, status, attempts, error, payload)
SELECT 'EV_' || n, kind, 'livekit', 'RM_' || room, 'class-' || room, 'PA_' || visit,
       'pupil-' || person, at, at, status, 1, CASE status WHEN 'failed' THEN 'ValueError: no' END,
       CASE WHEN :whole THEN jsonb_build_object(
         'id', 'EV_' || n, 'event', kind,
         'createdAt', CAST(CAST(floor(extract(epoch FROM at)) AS bigint) AS text),
         'room', jsonb_build_object('sid', 'RM_' || room, 'name', 'class-' || room,
                                    'creationTime', left(:created_ms, 10),
                                    'creationTimeMs', CAST(:created_ms AS text)),
         'participant', jsonb_build_object(
           'sid', 'PA_' || visit, 'identity', 'pupil-' || person, 'name', 'Pupil ' || person,
           'state', 'ACTIVE',
           'joinedAt', CAST(CAST(floor(extract(epoch FROM began)) AS bigint) AS text),
           'joinedAtMs', CAST(CAST(floor(1000 * extract(epoch FROM began)) AS bigint) AS text)))
       ELSE jsonb_build_object(
         'room', jsonb_build_object('creationTimeMs', CAST(:created_ms AS text)),
         'participant', jsonb_build_object(
           'name', 'Pupil ' || person, 'state', 'ACTIVE',
           'joinedAtMs', CAST(CAST(floor(1000 * extract(epoch FROM began)) AS bigint) AS text)))
       END
FROM (SELECT n, n / 2 AS visit, n / 2 % :rooms AS room, n / 2 % CAST(:people AS int) AS person,
             CASE n % 2 WHEN 0 THEN 'participant_joined' ELSE 'participant_left' END AS kind,
             CASE WHEN n % 1000 < :failed THEN 'failed' ELSE 'applied' END AS status,
             now() - :seconds * (1 - CAST(n AS float) / :count) * interval '1 s' AS at,
             now() - :seconds * (1 - CAST(n - n % 2 AS float) / :count) * interval '1 s' AS began
      FROM generate_series(CAST(:start AS int), CAST(:stop AS int) - 1) AS n) AS told
"""

ROOMS_KNOWN = """
INSERT INTO rooms
  (sid, name, named_rank, named_session, starts, end_rank, created_at, last_event_at)
SELECT 'RM_' || n, 'class-' || n, '', 'session-' || n, '[]', '', now(), now()
FROM generate_series(0, :rooms - 1) AS n
"""

SESSIONS_KNOWN = """
INSERT INTO sessions (id, room_name, made_by, duration_minutes, late_after_minutes, expected,
                      created_at, rooms, hosts, labels)
SELECT 'session-' || n, 'class-' || n, 'room', 60, 10, '[]', now(), '[]', '[]', '[]'
FROM generate_series(0, :rooms - 1) AS n
"""


def fill(
    engine: Engine, *, count: int, failed: int, rooms: bool = False, whole: bool = False
) -> None:
    """Store so many events; of a thousand, `failed` failed. With `rooms` their rooms too; `whole`
    ones as an older version stored them."""
    created = datetime.now(UTC) - SPAN - timedelta(hours=1)
    told = {
        "count": count,
        "failed": failed,
        "rooms": ROOMS,
        "people": ROOMS * PEOPLE,
        "seconds": SPAN.total_seconds(),
        "whole": whole,
        "created_ms": str(int(created.timestamp() * 1000)),
    }
    with db.writing(engine) as conn:
        for start in range(0, count, ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, count)
            conn.execute(text(EVENTS), told | {"start": start, "stop": stop})
        if rooms:
            for statement in (ROOMS_KNOWN, SESSIONS_KNOWN):
                conn.execute(text(statement), {"rooms": ROOMS})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE webhook_events, rooms"))
