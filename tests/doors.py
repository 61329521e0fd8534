"""Rollcall as the outside meets it: what LiveKit, a frontend and an operator send, and with which
tokens. `drain` does what a worker does when the bell rings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Barrier
from threading import Event as Flag
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import jwt
import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy import Row as SqlRow
from sqlalchemy import event as hooks
from werkzeug.test import TestResponse

from models.domain import event as events
from models.domain.event import Event
from models.domain.facts import Cycle, Rules
from models.lookup import named_room, session_facts, session_list
from models.lookup.named_room import NamedRoom
from models.settings.settings import Settings
from models.storage import db
from models.tables import cycle, room, short_payload, webhook_event
from models.tables.cycle import cycles
from models.tables.pending_event import pending_events
from models.tables.room import rooms
from models.tables.session import sessions
from models.tables.webhook_event import ATTEMPTS, LEDGER, STATUS, webhook_events
from tests.build import KEY, SECRET, signed, webhook
from tests.checked import CheckedClient
from webhooks.app import create_app
from webhooks.door.context import EXTENSION
from worker.jobs import draining
from worker.process import backend as backends
from worker.process.backend import WORKER, Backend, Timeouts

FACTS = (sessions, rooms, cycles)

CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
"""What the server says of a request whose body does not tell its length."""

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

GROWS = frozenset(
    {
        "as_of",
        "duration_minutes",
        "duration_seconds",
        "confirmed_seconds",
        "held_percentage",
        "uncorrected_seconds",
    }
)
"""What an answer says that grows by itself while somebody is inside."""

GROWS_IN_CLASS = frozenset({"scheduled_seconds", "attendance_percentage", "held_percentage"})

Row = dict[str, Any]
T = TypeVar("T")


def ago(minutes: float = 0, **span: float) -> datetime:
    """An instant that long before now, to the millisecond, which LiveKit's times have."""
    now = datetime.now(UTC) - timedelta(minutes=minutes, **span)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def token(user: str | None = "5", room: str | None = "quran-98", **grants: Any) -> str:
    """A participant's access token; other grants (`roomAdmin=True`) come on top."""
    video: Row = {"roomJoin": True} if user is not None and room is not None else {}
    return token_of(sub=user, video=video | ({"room": room} if room is not None else {}) | grants)


def ops_token() -> str:
    """A server's token: what operators use."""
    return token_of(video={"roomList": True, "roomCreate": True})


def token_of(*, key: str = KEY, secret: str = SECRET, **claims: Any) -> str:
    """A token with exactly these claims, good for an hour; None leaves a claim out."""
    now_s = int(datetime.now(UTC).timestamp())
    told = {"iss": key, "nbf": now_s - 5, "exp": now_s + 3600, **claims}
    told = {name: value for name, value in told.items() if value is not None}
    return jwt.encode(told, secret, algorithm="HS256")


def bearer(of: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {of}"}


def session_url(session: str, what: str = "", **query: str) -> str:
    """Where a session of any id stands; what a path can't carry goes in the query."""
    if "/" in session or session in (".", "..", "-"):
        query, session = {**query, "session": session}, "-"
    path = f"/api/sessions/{quote(session, safe='')}" + (f"/{what}" if what else "")
    return f"{path}?{urlencode(query)}" if query else path


@dataclass(frozen=True)
class Rollcall:
    """The service: its doors for whoever is outside, its `backend` for a worker."""

    client: FlaskClient
    backend: Backend

    def forget(self) -> None:
        """Everything, as if the service had just been set up."""
        with db.writing(self.backend.engine) as conn:
            for table in reversed(db.metadata.sorted_tables):
                conn.execute(table.delete())
        self.backend.redis.flushall()

    def another(self) -> Rollcall:
        """The same service for another thread: Flask's test client is one thread's own."""
        return Rollcall(self.client.application.test_client(), self.backend)

    def post(self, body: bytes, signature: str | None) -> TestResponse:
        """One webhook, as LiveKit posts it."""
        headers = {"Content-Type": "application/webhook+json"}
        if signature is not None:
            headers["Authorization"] = signature
        return self.client.post("/webhooks/livekit", data=body, headers=headers)

    def send(self, *told: Event | Mapping[str, Any] | bytes) -> list[int]:
        """Webhooks, signed now; how each was answered."""
        payloads = (webhook(one) if isinstance(one, Event) else one for one in told)
        return [self.post(*signed(one)).status_code for one in payloads]

    def drain(self) -> int:
        """Apply all events that wait; how many."""
        return drain(self.backend)

    def deliver(self, *told: Event) -> None:
        """Webhooks, sent and drained."""
        assert set(self.send(*told)) <= {204}
        self.drain()

    def put_in(self, told: Iterable[Event], **changes: Any) -> None:
        """Events straight into the inbox, as if received; `changes` spoil the rows."""
        now = datetime.now(UTC)
        rows = [
            webhook_event.pending_row(one, events.redact(webhook(one)), received_at=now) | changes
            for one in told
        ]
        with db.writing(self.backend.engine) as conn:
            webhook_event.insert_rows(conn, rows)

    def status(self, session: str = "98", *, of: str | None = None, **query: str) -> TestResponse:
        """A person's status as they poll it (`of`: a token)."""
        url = session_url(session, "attendance-status", **query)
        return self.client.get(url, headers=bearer(of or token()))

    def seen(self, session: str = "98", *, user: str = "5") -> Row:
        """A person's status as an operator sees it, but for the moment it was asked at."""
        answer = self.status(session, of=ops_token(), user_id=user)
        return without(told(answer), "as_of")

    def roster(self, session: str = "98", *, of: str | None = None) -> TestResponse:
        url = session_url(session, "attendance")
        return self.client.get(url, headers=bearer(of or ops_token()))

    def join(self, session: Any = "98", *, of: str | None = None, **told: Any) -> TestResponse:
        body = {"session_id": session, **told}
        url = "/api/sessions/meeting/join"
        return self.client.post(url, json=body, headers=bearer(of or token()))

    def leave(self, visit: Any, session: Any = "98", *, of: str | None = None) -> TestResponse:
        body = {"session_id": session, "visit": visit}
        url = "/api/sessions/meeting/leave"
        return self.client.post(url, json=body, headers=bearer(of or token()))

    def put(self, session: str = "98", **told: Any) -> TestResponse:
        url = session_url(session)
        return self.client.put(url, json=told, headers=bearer(ops_token()))

    def delete(self, session: str = "98") -> TestResponse:
        return self.client.delete(session_url(session), headers=bearer(ops_token()))

    def ledger(self) -> list[Row]:
        """Every event of the ledger, oldest first, as operators see it."""
        return ledger(self.backend)

    def facts(self) -> dict[str, list[Row]]:
        """All that the fold keeps, but for when a session's row was made, and what follows from it:
        which session each room and each manual join begins in, which room is superseded when, and
        which sessions are there."""
        kept = {table.name: rows(self.backend, table) for table in FACTS}
        with db.reading(self.backend.engine) as conn:
            owners = _owners(conn, self.backend.rules)
            wanted, rules = session_list.Wanted(datetime.now(UTC)), self.backend.rules
            page = session_list.page(conn, wanted, limit=10_000)
            there = {one.id for one in session_facts.that_own(conn, page, rules=rules)}
        superseded = {
            life.sid: life.superseded_at for each in owners.values() for life in each.owners.rooms
        }
        for row in kept["rooms"]:
            row["superseded_at"] = superseded[row["sid"]]
            row["session_id"] = owners[row["name"]].owner(None, row["sid"], row["created_at"])
        for row in kept["cycles"]:
            if row["room_sid"] is None:
                begun = row["joined_at"] or row["client_left_at"]
                home = owners[row["room_name"]].owner(row["user_id"], None, begun)
                row["session_id"] = Cycle(**row).joined_session or home
        listed = [row for row in kept["sessions"] if row["id"] in there]
        return kept | {"sessions": [without(row, "created_at") for row in listed]}


def _owners(conn: Connection, rules: Rules) -> dict[str, NamedRoom]:
    """Who owns what in the rooms of each name that there is."""
    statements = (select(room.rooms.c.name), select(cycle.cycles.c.room_name))
    names = {name for each in statements for name in conn.execute(each).scalars() if name}
    since, until = datetime(1970, 1, 3, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
    return named_room.homes(conn, names, since, until, rules=rules)


def drain(backend: Backend) -> int:
    """Take turns, as a worker does, until a turn applies nothing; how many events were handled."""
    before = handled(backend)
    now, last = _after_a_turn(backend), before
    while now != last:
        now, last = _after_a_turn(backend), now
    return now - before


def _after_a_turn(backend: Backend) -> int:
    draining.take_turn(backend)
    return handled(backend)


class AfterEachBatch(Flag):
    """A drain asks it after each batch whether to stop. It looks, and never says so."""

    def __init__(self, look: Callable[[], object]) -> None:
        super().__init__()
        self.seen: list[object] = []
        self._look = look

    def is_set(self) -> bool:
        self.seen.append(self._look())
        return False


def handled(backend: Backend) -> int:
    """How many events of the inbox wait no longer."""
    statement = select(func.count()).select_from(LEDGER).where(STATUS != "pending")
    with db.reading(backend.engine) as conn:
        return conn.execute(statement).scalar_one()


def ledger(backend: Backend) -> list[Row]:
    """Every event of the ledger, oldest first, as operators see it, with its payload."""
    derived = (STATUS.label("is"), ATTEMPTS.label("tried"), pending_events.c.replayed_at)
    statement = select(webhook_events, *derived).select_from(LEDGER).order_by(webhook_events.c.id)
    with db.reading(backend.engine) as conn:
        return [_seen(row) for row in conn.execute(statement)]


def _seen(row: SqlRow[Any]) -> Row:
    seen = {column.name: getattr(row, column.name) for column in webhook_events.c}
    return seen | {
        "status": row._mapping["is"],
        "attempts": row.tried,
        "replayed_at": row._mapping[pending_events.c.replayed_at] or seen["replayed_at"],
        "payload": short_payload.restored(row.payload, seen),
    }


def rows(backend: Backend, table: Table) -> list[Row]:
    """The table's rows by primary key."""
    with db.reading(backend.engine) as conn:
        found = conn.execute(select(table).order_by(*table.primary_key))
        return [dict(row._mapping) for row in found]


def without(told: Mapping[str, Any], *names: str) -> Row:
    return {name: value for name, value in told.items() if name not in names}


def told(answer: TestResponse) -> Row:
    """What a good answer says."""
    assert answer.status_code in (200, 201), answer.text
    assert answer.content_type == "application/json"
    said: Row = answer.json or {}
    return said


def problem(answer: TestResponse) -> tuple[int, str]:
    """The status and the reason of an answer that must be problem+json."""
    assert answer.content_type == "application/problem+json", answer.text
    assert answer.json is not None
    assert answer.json["status"] == answer.status_code
    assert answer.json["title"]
    assert answer.json["detail"]
    return answer.status_code, answer.json["reason"]


def wait_for(what: Callable[[], object], *, seconds: float = 60) -> None:
    """Until `what` holds, looking often; for what another thread or process does."""
    deadline, pause = monotonic() + seconds, Flag()
    while not what():
        assert monotonic() < deadline, f"{what} did not come about"
        pause.wait(0.01)


def together(*calls: Callable[[], T]) -> list[T]:
    """Each call in a thread of its own, begun at the same moment; what they return, or the first
    of their errors."""
    start = Barrier(len(calls))

    def begin(call: Callable[[], T]) -> T:
        start.wait(20)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result(60) for done in [pool.submit(begin, call) for call in calls]]


@contextmanager
def aside(call: Callable[[], T]) -> Iterator[Future[T]]:
    """The call in a thread, while the test does something else; it must end by itself."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)


class Pause:
    """Somebody who stands still once a statement of theirs has run, until `over`."""

    def __init__(self) -> None:
        self._reached, self._over = Flag(), Flag()

    def wait(self) -> None:
        assert self._reached.wait(20), "nobody came there"

    def over(self) -> None:
        self._over.set()

    def stand(self) -> None:
        if not self._reached.is_set():
            self._reached.set()
            assert self._over.wait(20), "nobody went on"


@contextmanager
def pausing(engine: Engine, *, after: str) -> Iterator[Pause]:
    """The first who executes a statement with these words stands still right after it."""
    pause = Pause()

    def executed(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if after in " ".join(statement.split()):
            pause.stand()

    hooks.listen(engine, "after_cursor_execute", executed)
    try:
        yield pause
    finally:
        pause.over()
        hooks.remove(engine, "after_cursor_execute", executed)


@contextmanager
def counting(engine: Engine) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    seen: list[str] = []

    def executed(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    hooks.listen(engine, "before_cursor_execute", executed)
    try:
        yield seen
    finally:
        hooks.remove(engine, "before_cursor_execute", executed)


@contextmanager
def a_worker(settings: Settings) -> Iterator[Backend]:
    """What another process has: connections of its own."""
    with closing(Backend.of(settings)) as backend:
        yield backend


@contextmanager
def serving(settings: Settings, timeouts: Timeouts = WORKER) -> Iterator[Rollcall]:
    """The service with other settings, or other timeouts, than a test's usual one."""
    app = create_app(settings, timeouts)
    backend: Backend = app.extensions[EXTENSION].backend
    app.test_client_class = CheckedClient
    yield Rollcall(app.test_client(), backend)
    app.extensions[EXTENSION].spool_copier.stop()
    app.extensions[EXTENSION].local_drain.stop()
    app.extensions[EXTENSION].unhurried.close()
    backend.close()


@contextmanager
def working(settings: Settings, environment: pytest.MonkeyPatch) -> Iterator[None]:
    """RQ's jobs, which read the environment, work for the service of these settings."""
    for name in ("livekit_api_key", "livekit_api_secret", "database_url", "redis_url"):
        environment.setenv(name.upper(), getattr(settings, name))
    backends.own_backend.cache_clear()
    yield
    backends.own_backend().close()
    backends.own_backend.cache_clear()


def waits_for_a_lock(postgres_url: str) -> int:
    """How many in this database wait for what another holds."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(_ask(postgres_url, statement))


def disconnect(postgres_url: str) -> None:
    """Have PostgreSQL end every other connection to this database, as a restart does."""
    _ask(
        postgres_url,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def _ask(postgres_url: str, statement: str) -> Any:
    with psycopg.connect(postgres_url) as conn:
        [answer] = conn.execute(statement.encode()).fetchone() or [None]
    return answer
