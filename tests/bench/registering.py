"""Registering, moving and deleting a session whose room has 100,000 visits, over HTTP.

A registration is one row, so what happened in the room must not count. After each the next status
is asked for: it has to be the new class's, or another's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from statistics import median
from time import perf_counter
from typing import Any

import orjson
from sqlalchemy import text

from models.storage import db
from tests.bench.load import BenchFailed
from tests.bench.mail import pupil_token, server_token
from tests.bench.stack import Stack, stack
from tests.bench.turns import Figure, Goal, Measure, in_turns

ROOM, VISITS = "big-room", 100_000
TIMES = 20
MOST_MS = 50

VISITS_KNOWN = """
INSERT INTO cycles (cycle_id, room_sid, room_name, user_id, name_rank, kind, hidden, joined_at,
                    joined_rank, left_at, left_rank, source, claimed_rank)
SELECT 'PA_' || n, 'RM_1', :room, 'pupil-' || n % 3000, '', 'STANDARD', false,
       now() - n * interval '1 second', '1', now() - (n - 600) * interval '1 second', '3',
       'livekit', ''
FROM generate_series(601, :visits + 600) AS n
"""
ROOM_KNOWN = """
INSERT INTO rooms (sid, name, named_rank, starts, end_rank, created_at, last_event_at)
VALUES ('RM_1', :room, '', '[]', '', now() - interval '2 days', now())
"""

SESSION_MADE = """
INSERT INTO sessions (id, room_name, made_by, duration_minutes, late_after_minutes, expected,
                      created_at, rooms, hosts, labels)
SELECT name || '@' || to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), name, 'room', 60, 10,
       '[]', created_at, '[]', '[]', '[]'
FROM rooms
"""


def registering(*, rounds: int) -> list[Figure]:
    with stack("postgresql") as under, _a_big_room(under), under.web() as port:
        turns = in_turns({"PUT": _put(port), "DELETE": _delete(port)}, rounds=rounds)
    figure = Figure(f"registering a session whose room has {VISITS:,} visits", "ms", turns)
    for name in turns:
        figure.goals.append(Goal(f"{name} < {MOST_MS} ms", figure.median(name), MOST_MS, most=True))
    return [figure]


@contextmanager
def _a_big_room(under: Stack) -> Iterator[None]:
    with db.writing(under.engine) as conn:
        conn.execute(text(ROOM_KNOWN), {"room": ROOM})
        conn.execute(text(SESSION_MADE))
        conn.execute(text(VISITS_KNOWN), {"room": ROOM, "visits": VISITS})
    with under.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE cycles, rooms"))
    yield


def _put(port: int) -> Measure:
    """A class of this minute, moved each time by a minute."""
    minutes = count()

    def measure() -> float:
        spent = []
        for _ in range(TIMES):
            starts_at = datetime.now(UTC) - timedelta(minutes=10 + next(minutes) % 40)
            body = {"room_name": ROOM, "scheduled_at": starts_at.isoformat()}
            spent.append(_timed(port, "PUT", body))
            _check(port, "big-class")
        return median(spent)

    return measure


def _delete(port: int) -> Measure:
    def measure() -> float:
        spent = []
        for _ in range(TIMES):
            _timed(port, "PUT", {"room_name": ROOM, "scheduled_at": datetime.now(UTC).isoformat()})
            spent.append(_timed(port, "DELETE", None))
            _check(port, f"{ROOM}@")
        return median(spent)

    return measure


def _timed(port: int, method: str, body: dict[str, Any] | None) -> float:
    """Milliseconds of one request."""
    began = perf_counter()
    _ask(port, method, "/api/sessions/big-class", server_token(), body)
    return (perf_counter() - began) * 1000


def _check(port: int, expected: str) -> None:
    """The next poll by the room's name means the session that it should."""
    path, mine = f"/api/sessions/{ROOM}/attendance-status", pupil_token(ROOM, "pupil-1")
    session_id = orjson.loads(_ask(port, "GET", path, mine, None))["session_id"]
    if not session_id.startswith(expected):
        raise BenchFailed(f"the next status was {session_id}'s, not {expected}'s")


def _ask(port: int, method: str, path: str, token: str, body: dict[str, Any] | None) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, body=orjson.dumps(body) if body else None, headers=headers)
    answer = connection.getresponse()
    told = answer.read()
    connection.close()
    if answer.status not in (200, 201, 204):
        raise BenchFailed(f"{method} {path} was answered {answer.status}: {told.decode()}")
    return told
