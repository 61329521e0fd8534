"""The ledger as operators read it: filters, pages, one event and what it changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine, Select, text, update
from werkzeug.test import TestResponse

from models.ledger import filters, replay
from models.ledger.entry import COLUMNS
from models.ledger.filters import Cursor, Filters
from models.storage import db
from models.storage.engine import make_engine
from models.tables.webhook_event import webhook_events
from tests.build import aborted, joined, left, room_started
from tests.doors import Rollcall, bearer, on_sqlite, ops_token, problem, token, told
from tests.terminal import Terminal

EVENTS = "/api/events"


def ask(rollcall: Rollcall, path: str = "", /, **query: Any) -> TestResponse:
    url = f"{EVENTS}{path}?{urlencode(query)}"
    return rollcall.client.get(url, headers=bearer(ops_token()))


def found(rollcall: Rollcall, **query: Any) -> list[str]:
    """The ids of the events on a page."""
    return [one["event_id"] for one in told(ask(rollcall, **query))["events"]]


def mark(rollcall: Rollcall, event_id: str, **changes: Any) -> None:
    with db.writing(rollcall.backend.engine) as conn:
        theirs = webhook_events.c.event_id == event_id
        conn.execute(update(webhook_events).where(theirs).values(**changes))


# --- filters --------------------------------------------------------------------------------------


@pytest.fixture
def a_ledger(rollcall: Rollcall) -> Rollcall:
    """Two rooms, two people, one session that has room RM_2 and a manual join, one failure."""
    rollcall.put("98", room_name="quran-98")
    told(rollcall.join("98"))
    rollcall.deliver(
        room_started(event_id="start", room="RM_1", room_name="other"),
        joined(event_id="in-1", sid="PA_1", room="RM_1", room_name="other"),
        joined(event_id="in-2", sid="PA_2", room="RM_2", user="6"),
        left(event_id="out-2", sid="PA_2", room="RM_2", user="6"),
        aborted(event_id="gone", sid="PA_3", room="RM_2"),
    )
    mark(rollcall, "gone", status="failed", error="ValueError: no", attempts=3)
    return rollcall


BY_HAND = "CJ_"

FILTERS: list[tuple[dict[str, str], set[str]]] = [
    ({}, {"start", "in-1", "in-2", "out-2", "gone", BY_HAND}),
    ({"status": "failed"}, {"gone"}),
    ({"status": "pending"}, set()),
    ({"status": "applied"}, {"start", "in-1", "in-2", "out-2", BY_HAND}),
    ({"event": "participant_joined"}, {"in-1", "in-2"}),
    ({"event": "client_joined"}, {BY_HAND}),
    ({"room_name": "other"}, {"start", "in-1"}),
    ({"room_name": "nobody's"}, set()),
    ({"session_id": "98"}, {"in-2", "out-2", "gone", BY_HAND}),
    ({"session_id": "99"}, set()),
    ({"user_id": "6"}, {"in-2", "out-2"}),
    ({"user_id": "6", "event": "participant_left"}, {"out-2"}),
    ({"session_id": "98", "status": "failed", "user_id": "5"}, {"gone"}),
    ({"until": "2020-01-01T00:00:00Z"}, set()),
    ({"since": "2020-01-01T00:00:00+02:00", "room_name": "other"}, {"start", "in-1"}),
]


def test_each_filter_finds_its_events_and_no_others(a_ledger: Rollcall, terminal: Terminal) -> None:
    for query, expected in FILTERS:
        names = [BY_HAND if one.startswith(BY_HAND) else one for one in found(a_ledger, **query)]
        assert sorted(names) == sorted(expected), query
        options = [f"--{name.replace('_', '-')}={value}" for name, value in query.items()]
        assert terminal.json("events", "list", *options) == told(ask(a_ledger, **query)), query


def test_a_span_bounds_when_events_were_received(a_ledger: Rollcall) -> None:
    at = {row["event_id"]: row["received_at"] for row in a_ledger.ledger()}
    between = found(a_ledger, since=at["in-1"].isoformat(), until=at["out-2"].isoformat())
    assert between == ["in-2", "in-1"]


def test_a_session_has_the_events_of_the_rooms_and_visits_that_it_has_now(
    a_ledger: Rollcall,
) -> None:
    """Taken back, a session loses its room, and with it the room's events; who joined it by hand
    stays."""
    a_ledger.delete("98")
    made = next(row["session_id"] for row in a_ledger.facts()["rooms"] if row["sid"] == "RM_2")
    assert [one[:3] for one in found(a_ledger, session_id="98")] == [BY_HAND]
    assert len(found(a_ledger, session_id=made)) == 3
    line = told(ask(a_ledger, "/in-2"))
    assert line["session_id"] == made


NONSENSE = [
    ({"status": "broken"}, "status"),
    ({"event": "track_published"}, "event"),
    ({"room": "quran-98"}, "room"),
    ({"since": "yesterday"}, "since"),
    ({"since": "2026-11-23T14:00:00"}, "since"),
    ({"since": "2026-11-23T14:00:00Z", "until": "2026-11-23T14:00:00Z"}, "until"),
    ({"user_id": ""}, "user_id"),
    ({"limit": "0"}, "limit"),
    ({"limit": "1001"}, "limit"),
    ({"after": "17"}, "after"),
    ({"after": "9" * 39}, "after"),
]


@on_sqlite
@pytest.mark.parametrize(("query", "named"), NONSENSE, ids=str)
def test_a_bad_filter_is_refused_by_name(
    rollcall: Rollcall, terminal: Terminal, query: dict[str, str], named: str
) -> None:
    answer = ask(rollcall, **query)
    assert problem(answer) == (400, "invalid")
    assert named in answer.json["detail"]  # type: ignore[index]
    options = [f"--{name.replace('_', '-')}={value}" for name, value in query.items()]
    assert named.replace("_", "-") in terminal.refused("events", "list", *options)


@on_sqlite
def test_a_filter_that_stands_twice_is_refused(rollcall: Rollcall) -> None:
    url = f"{EVENTS}?status=failed&status=applied"
    answer = rollcall.client.get(url, headers=bearer(ops_token()))
    assert problem(answer) == (400, "invalid")


@on_sqlite
def test_a_span_beyond_all_that_can_be_holds_nothing(a_ledger: Rollcall) -> None:
    for year in ("0001", "9999"):
        span = {"since": f"{year}-01-01T00:00:00Z", "until": f"{year}-01-02T00:00:00Z"}
        assert told(ask(a_ledger, **span))["events"] == []


@on_sqlite
def test_only_operators_read_the_ledger(a_ledger: Rollcall) -> None:
    for url in (EVENTS, f"{EVENTS}/in-1"):
        assert problem(a_ledger.client.get(url))[0] == 401
        theirs = bearer(token(roomAdmin=True))
        assert problem(a_ledger.client.get(url, headers=theirs)) == (403, "forbidden")


# --- pages ----------------------------------------------------------------------------------------


def test_pages_have_every_event_once_while_others_come_in(rollcall: Rollcall) -> None:
    rollcall.send(*(joined(event_id=f"EV_{n}", sid=f"PA_{n}") for n in range(7)))
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = told(ask(rollcall, limit=3, **after))
        seen += [one["event_id"] for one in page["events"]]
        rollcall.send(joined(event_id=f"later than {len(seen)}", sid="PA_later"))
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == [f"EV_{n}" for n in reversed(range(7))]


def test_a_page_tells_no_payload_and_when_each_event_came(rollcall: Rollcall) -> None:
    rollcall.send(joined("14:00:10", joined_at="14:00:09.250", name="Aisha"))
    [line] = told(ask(rollcall))["events"]
    assert "payload" not in line
    assert line["created_at"] == "2026-11-23T14:00:10Z"
    assert abs(datetime.fromisoformat(line["received_at"]) - datetime.now(UTC)) < timedelta(hours=1)


# --- one event ------------------------------------------------------------------------------------


def test_an_event_shows_its_payload_and_the_visit_that_it_is_part_of(
    a_ledger: Rollcall, terminal: Terminal
) -> None:
    shown = told(ask(a_ledger, "/out-2"))
    assert shown["payload"]["participant"]["identity"] == "6"
    assert shown["changed"]["cycle"]["cycle_id"] == "PA_2"
    assert shown["changed"]["cycle"]["left_at"] == "2026-11-23T14:30:00Z"
    assert shown["changed"]["room"]["session_id"] == shown["session_id"] == "98"
    assert terminal.json("events", "show", "out-2") == shown
    assert "PA_2" in terminal("events", "show", "out-2").stdout


def test_a_manual_join_shows_its_visit(a_ledger: Rollcall) -> None:
    [event_id] = found(a_ledger, event="client_joined")
    shown = told(ask(a_ledger, f"/{event_id}"))
    assert shown["changed"]["room"] is None
    assert shown["changed"]["cycle"]["cycle_id"] == shown["visit"]


def test_a_failed_event_shows_why_and_changed_nothing(a_ledger: Rollcall) -> None:
    shown = told(ask(a_ledger, "/gone"))
    assert (shown["error"], shown["attempts"], shown["changed"]) == ("ValueError: no", 3, None)


def test_an_event_of_any_name_can_be_shown(rollcall: Rollcall) -> None:
    rollcall.send(joined(event_id="a/b"))
    assert told(ask(rollcall, "/-", event_id="a/b"))["event_id"] == "a/b"


@on_sqlite
def test_an_unknown_event_is_said_to_be_none(rollcall: Rollcall, terminal: Terminal) -> None:
    assert problem(ask(rollcall, "/EV_none")) == (404, "no-event")
    assert terminal("events", "show", "EV_none").exit_code == 1


# --- at scale -------------------------------------------------------------------------------------

MANY = 50_000
LOAD = f"""
INSERT INTO webhook_events (event_id, event, source, room_sid, room_name, participant_sid, user_id,
                            visit, created_at, received_at, status, attempts, payload)
SELECT 'EV_' || n,
       (ARRAY['participant_joined', 'participant_left', 'room_started'])[1 + n % 3],
       'livekit', 'RM_' || n % 900, 'room-' || n % 300, 'PA_' || n / 2, 'user-' || n % 1000,
       CASE WHEN n % 500 = 0 THEN 'VI_' || n END,
       now() - n * interval '1 minute', now() - n * interval '1 minute',
       CASE WHEN n % 400 = 0 THEN 'failed' ELSE 'applied' END, 1, '{{}}'
FROM generate_series(1, {MANY}) AS n
"""  # noqa: S608
LOAD_ROOMS = """
INSERT INTO rooms
      (sid, name, named_rank, named_session, starts, end_rank, created_at, last_event_at)
SELECT 'RM_' || n, 'room-' || n % 300, '', 'session-' || n, '[]', '', now(), now()
FROM generate_series(0, 899) AS n
"""
LOAD_VISITS = f"""
INSERT INTO cycles (cycle_id, room_name, joined_at, user_id, name_rank, hidden, joined_rank,
                    left_rank, claimed_rank)
SELECT 'VI_' || n, 'room-' || n % 300, now() - n * interval '1 minute', 'user-1', '', false, '',
       '', ''
FROM generate_series(500, {MANY}, 500) AS n
"""  # noqa: S608
LOAD_SESSIONS = """
INSERT INTO sessions (id, room_name, made_by, scheduled_at, duration_minutes, late_after_minutes,
                      expected, created_at, rooms, hosts, labels)
SELECT kind || n, 'room-' || n % 300, made_by, at, 60, 10, '[]', now(), '[]', '[]', '[]'
FROM generate_series(0, 899) AS n,
     (VALUES ('session-', 'room', NULL), ('class-', 'registered', now() - interval '1 day'))
       AS one (kind, made_by, at)
"""

SCANS: dict[str, Filters] = {
    "none": Filters(),
    **{f"status {status}": Filters(status=status) for status in ("failed", "pending", "applied")},
    "event": Filters(event="participant_left"),
    "an event that never came": Filters(event="participant_seen"),
    "room_name": Filters(room_name="room-7"),
    "session_id of one that was made on the spot": Filters(session_id="session-7"),
    "session_id of a class": Filters(session_id="class-7"),
    "user_id": Filters(user_id="user-7"),
    "since": Filters(since=datetime.now(UTC) - timedelta(days=1)),
    "until": Filters(until=datetime.now(UTC) - timedelta(days=30)),
    "event_ids": Filters(event_ids=("EV_7", "EV_8")),
    "several": Filters(status="failed", event="participant_left", user_id="user-7"),
}


@pytest.fixture(scope="module")
def loaded(migrated_postgres: tuple[str, str]) -> Iterator[Engine]:
    """A ledger that is long enough for a planner to care; empty again afterwards."""
    url, _ = migrated_postgres
    engine = make_engine(url)
    tables = "TRUNCATE webhook_events, rooms, cycles, sessions"
    with db.writing(engine) as conn:
        for statement in (tables, LOAD, LOAD_ROOMS, LOAD_VISITS, LOAD_SESSIONS):
            conn.execute(text(statement))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("ANALYZE webhook_events, rooms, cycles, sessions"))
    yield engine
    with db.writing(engine) as conn:
        conn.execute(text(tables))
    engine.dispose()


def explained(engine: Engine, statement: Select[Any]) -> str:
    """How PostgreSQL would find the rows."""
    compiled = statement.compile(
        engine, compile_kwargs={"literal_binds": True, "render_postcompile": True}
    )
    with db.reading(engine) as conn:
        return "\n".join(conn.execute(text(f"EXPLAIN {_escaped(str(compiled))}")).scalars())


def _escaped(statement: str) -> str:
    return re.sub(r":(\w)", r"\\:\1", statement.replace("%%", "%"))


@pytest.mark.parametrize("name", SCANS)
def test_no_filter_makes_postgresql_look_at_every_event(loaded: Engine, name: str) -> None:
    asked, deep = SCANS[name], Cursor(datetime.now(UTC) - timedelta(days=10), 1)
    with db.reading(loaded) as conn:
        statements = (
            filters.newest_first(conn, asked, *COLUMNS, limit=100),
            filters.newest_first(conn, asked, *COLUMNS, after=deep, limit=100),
            filters.oldest_first(conn, asked, only=replay.IS_REPLAYABLE, after=deep, limit=500),
        )
    for statement in statements:
        plan = explained(loaded, statement)
        assert "Seq Scan on webhook_events" not in plan, plan
