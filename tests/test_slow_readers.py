"""Readers who take their answers slowly, or not at all: no thread waits for them."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse

from models.domain.facts import Person, Session
from models.settings.settings import Settings
from models.storage import db
from models.storage.engine import make_engine
from models.tables import session
from tests.build import DAY, KEY, SECRET, joined, signed, webhook
from tests.doors import bearer, on_sqlite, ops_token, problem, session_url, token, wait_for
from tests.faults import free_port
from tests.processes import environment, listens, running
from webhooks.api.roster import SHORT_ROSTER
from webhooks.door import unsent
from webhooks.door.admission import Admission
from webhooks.door.context import EXTENSION
from webhooks.door.problems import Problem
from webhooks.door.unsent import Unsent
from webhooks.server import connections
from webhooks.server.connections import ConnectionReaper

THREADS, READERS, PEOPLE = 8, 8, 5_200
TRIES, CHECKED_SECONDS = 1_000, 60.0
EXPORT = session_url("large", "attendance", format="csv")

MIN_BYTES = 4 * 1024 * 1024
"""More than the kernel takes for somebody who reads nothing."""


@pytest.fixture(scope="module")
def settings_of_process(
    migrated_sqlite: Path, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Of a deployment that knows a large session of the room `hall`."""
    path = tmp_path_factory.mktemp("readers") / "rollcall.db"
    shutil.copy(migrated_sqlite, path)
    register(f"sqlite:///{path}", PEOPLE)
    return Settings(
        livekit_api_key=KEY,
        livekit_api_secret=SECRET,
        database_url=f"sqlite:///{path}",
        redis_url=valkey_url,
        _env_file=None,
    )


@contextmanager
def served(settings: Settings, module: str, directory: Path) -> Iterator[int]:
    """The port of a web process of our own."""
    port = free_port()
    env = environment(settings, directory, PORT=str(port), WEB_THREADS=str(THREADS))
    with running(module, env):
        wait_for(lambda: listens(port), seconds=60)
        yield port


def register(database_url: str, people: int) -> None:
    """Session `large`: it expects so many people, each with an id and a name as long as can be."""
    expected = tuple(Person(f"{number:0>250}", "ق" * 256) for number in range(people))
    engine = make_engine(database_url)
    with db.writing(engine) as conn:
        session.store(conn, Session("large", "hall", expected=expected), now=DAY)
    engine.dispose()


@contextmanager
def reader(port: int, path: str, of: str) -> Iterator[socket.socket]:
    """Somebody who asks, and has room for next to nothing of the answer."""
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(CHECKED_SECONDS)
        connection.connect(("127.0.0.1", port))
        lines = [f"GET {path} HTTP/1.1", "Host: rollcall", f"Authorization: {of}", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        yield connection


def status_of(connection: socket.socket) -> int:
    """The status that it is answered with, and nothing of what follows."""
    return int(connection.recv(len(b"HTTP/1.1 200 ")).split()[1])


def teacher(number: int) -> str:
    return bearer(token(f"teacher-{number}", "hall", roomAdmin=True))["Authorization"]


def begin_to_read(port: int, number: int, readers: ExitStack) -> socket.socket:
    """A reader whose answer has begun; who is told to come back does so."""
    for _ in range(TRIES):
        connection = readers.enter_context(reader(port, EXPORT, teacher(number)))
        if (status := status_of(connection)) == 200:
            return connection
        assert status == 429
    raise AssertionError("nobody was made an export")


def length_of(connection: socket.socket) -> int:
    """How many bytes the answer has, once all the rest of it is read."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
    length = {name.lower(): value for name, value in fields.items()}[b"content-length"]
    left = int(length)
    while left:
        taken = connection.recv(min(left, 1 << 20))
        assert taken, "the answer broke off"
        left -= len(taken)
    return int(length)


def asked(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    """The status that somebody else is answered with."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=CHECKED_SECONDS)) as other:
        other.request(method, path, body, headers)
        return other.getresponse().status


def everybody_else_is_answered(port: int) -> None:
    """LiveKit, whoever asks whether it lives, and a pupil."""
    body, signature = signed(webhook(joined()))
    assert asked(port, "GET", "/healthz", {}) == 200
    assert asked(port, "POST", "/webhooks/livekit", {"Authorization": signature}, body) == 204
    status = session_url("quran-98", "attendance-status")
    assert asked(port, "GET", status, bearer(token())) == 200


def test_while_as_many_read_slowly_as_there_are_threads_everybody_else_is_answered(
    settings_of_process: Settings, tmp_path: Path
) -> None:
    with served(settings_of_process, "webhooks", tmp_path) as port, ExitStack() as readers:
        reading = [begin_to_read(port, number, readers) for number in range(READERS)]
        everybody_else_is_answered(port)
        for connection in reading:  # they were still at it: more than the kernel takes was left
            assert length_of(connection) > MIN_BYTES


def test_beyond_what_memory_may_hold_few_read_slowly_and_everybody_else_is_answered(
    settings_of_process: Settings, tmp_path: Path
) -> None:
    """What is not handed over whole keeps a quarter of the threads, and no more."""
    with served(settings_of_process, "tests.narrow", tmp_path) as port:
        with ExitStack() as readers:
            statuses = [
                status_of(readers.enter_context(reader(port, EXPORT, teacher(number))))
                for number in range(READERS)
            ]
            assert Counter(statuses) == {200: THREADS // 4, 429: READERS - THREADS // 4}
            everybody_else_is_answered(port)
        with ExitStack() as readers:  # who went away keeps nothing
            assert length_of(begin_to_read(port, READERS, readers)) > MIN_BYTES


# --- what is handed to the server -----------------------------------------------------------------


@pytest.fixture
def full(app: Flask) -> Flask:
    """The application while so much is unsent that nothing large may be handed over whole."""
    register(app.extensions[EXTENSION].backend.settings.database_url, SHORT_ROSTER + 1)
    app.extensions[EXTENSION].unsent = Unsent(max_bytes=0, connections=lambda: 0)
    app.test_client_class = FlaskClient  # the checked one would read the whole answer
    return app


def handed_over(app: Flask, path: str, of: str = "") -> Iterable[bytes]:
    """What the server is given: a list is taken whole, anything else is asked for by its thread."""
    headers = bearer(of) if of else {}
    return app(
        EnvironBuilder(path, headers=list(headers.items())).get_environ(), lambda *_: lambda _: None
    )


@on_sqlite
@pytest.mark.parametrize(
    "path",
    [
        "/static/attendance-status.js",
        "/manual/docs/pictures/class.png",
        "/manual/docs/rules.md",
        "/docs",
        "/openapi.json",
        "/metrics",
        EXPORT,
        session_url("large", "attendance"),
    ],
)
def test_no_thread_waits_for_an_answer_to_be_read(app: Flask, path: str) -> None:
    register(app.extensions[EXTENSION].backend.settings.database_url, SHORT_ROSTER + 1)
    assert isinstance(handed_over(app, path, ops_token()), list)


def ask(app: Flask, path: str, of: str) -> TestResponse:
    """Who asks and does not read yet."""
    return app.test_client().get(path, headers=bearer(of))


@on_sqlite
@pytest.mark.parametrize("path", [EXPORT, session_url("large", "attendance")])
def test_who_still_reads_one_is_made_no_other(full: Flask, path: str) -> None:
    of = token("teacher", "hall", roomAdmin=True)
    with ask(full, path, of) as reading:
        assert reading.status_code == 200
        with closing(ask(full, path, of)) as again:
            assert problem(again) == (429, "busy")
            assert again.headers["Retry-After"]
        with ask(full, path, token("other", "hall", roomAdmin=True)) as another:
            assert another.status_code == 200
        assert len(reading.get_data()) == int(reading.headers["Content-Length"])
    with ask(full, path, of) as later:
        assert later.status_code == 200


@on_sqlite
def test_what_needs_no_token_takes_no_thread_of_those_who_have_one(full: Flask) -> None:
    """Small answers are always handed over."""
    refused = ask(full, "/docs", ops_token())
    assert problem(refused) == (429, "busy")
    assert refused.headers["Retry-After"]
    assert isinstance(handed_over(full, "/static/attendance-status.js"), list)
    assert full.test_client().head("/docs").status_code == 200


@on_sqlite
def test_a_refused_export_takes_no_seat(full: Flask) -> None:
    of = token("teacher", "elsewhere", roomAdmin=True)
    for _ in range(2 * THREADS):
        assert problem(ask(full, EXPORT, of)) == (403, "forbidden")
    with ask(full, EXPORT, ops_token()) as export:
        assert export.status_code == 200


def test_a_quarter_of_the_threads_make_exports_and_some_are_always_left() -> None:
    admission = Admission(threads=8)
    with admission.export("5"), pytest.raises(Problem):
        admission.export("5").__enter__()
    with admission.export("5"), admission.export(None), pytest.raises(Problem):
        admission.export("6").__enter__()
    with ExitStack() as bodies, admission.export("5"):
        for number in range(5):
            bodies.enter_context(admission.seat(f"{number}"))
        with pytest.raises(Problem):
            admission.seat("6").__enter__()


def test_a_person_exports_while_their_page_joins() -> None:
    admission = Admission(threads=8)
    with admission.export("5"), admission.seat("5"):
        pass


# --- what is unsent -------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was handed over is on its connection at once, and is looked for each time."""
    monkeypatch.setattr(unsent, "ON_ITS_WAY_SECONDS", 0.0)
    monkeypatch.setattr(unsent, "LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_as_many_answers_count_as_connections_have_something_unsent() -> None:
    waiting = 2
    answers = Unsent(max_bytes=100, connections=lambda: waiting)
    assert [answers.take(size) for size in (10, 40, 40)] == [True, True, True]
    assert not answers.take(30), "two connections may have the two that are largest"
    assert answers.take(20)
    waiting = 0
    assert answers.take(100)


@pytest.mark.usefixtures("at_once")
def test_what_needs_no_token_leaves_half_of_the_memory() -> None:
    answers = Unsent(max_bytes=100, connections=lambda: 9)
    assert answers.take(50, public=True)
    assert not answers.take(1, public=True)
    assert answers.take(50)


def test_what_was_just_handed_over_counts_though_its_connection_has_nothing_of_it_yet() -> None:
    answers = Unsent(max_bytes=100, connections=lambda: 0)
    assert answers.take(100)
    assert not answers.take(1)


# --- the connection reaper ------------------------------------------------------------------------


@contextmanager
def answering(size: int) -> Iterator[tuple[socket.socket, ConnectionReaper, socket.socket]]:
    """A client to whom a server sends that many bytes, the reaper of that server's port, and its
    end of the connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening, ExitStack() as ends:
        client = ends.enter_context(closing(socket.socket()))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(CHECKED_SECONDS)
        client.connect(listening.getsockname())
        served = ends.enter_context(closing(listening.accept()[0]))
        served.setblocking(False)
        client.sendall(b"ask")
        assert served.send(bytes(size)) > 4096
        port = listening.getsockname()[1]
        yield (
            client,
            ConnectionReaper(port, request_seconds=60, idle_seconds=60, reader_seconds=0.2),
            served,
        )


def test_the_reaper_shuts_who_takes_next_to_nothing_of_an_answer() -> None:
    with answering(1 << 20) as (client, reaper, _):
        assert reaper.unsent() == 1
        wait_for(lambda: reaper.reap() == 1)
        assert reaper.unsent() == 0
        while client.recv(1 << 20):
            pass


def test_the_reaper_leaves_who_takes_what_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "READER_BYTES", 1024)
    with answering(1 << 20) as (client, reaper, _):
        while reaper.unsent():
            assert reaper.reap() == 0
            client.recv(4096)
        assert reaper.reap() == 0


def test_the_reaper_does_not_take_who_is_sent_something_for_idle() -> None:
    """A long answer takes longer than a connection may be idle, and its reader says nothing."""
    with answering(8192) as (client, _, served):
        reaper = ConnectionReaper(served.getsockname()[1], idle_seconds=0.3)
        began = monotonic()
        while monotonic() < began + 1.0:
            assert reaper.reap() == 0
            served.send(b"answer")
            client.recv(4096)
