"""Slow, silent and greedy clients, over real connections: they tie up nobody but themselves."""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest
from sqlalchemy import event

from models.domain.facts import Session
from models.settings.settings import Settings
from models.storage import db
from models.storage.engine import make_engine
from models.storage.write_queue import WriteQueue
from models.tables import made_session, session
from tests.build import KEY, SECRET, signed
from tests.doors import (
    Rollcall,
    a_worker,
    ago,
    aside,
    bearer,
    on_postgresql,
    on_sqlite,
    ops_token,
    problem,
    serving,
    together,
    token,
    wait_for,
    waits_for_a_lock,
)
from tests.faults import free_port
from tests.processes import environment, listens, running
from webhooks.api import join
from webhooks.door.admission import WAIT_SECONDS, Admission, Budget
from webhooks.door.problems import Problem
from webhooks.server import connections
from webhooks.server.connections import ConnectionReaper, Talk
from worker.process.backend import REQUEST, Timeouts

THREADS = 8
CHECKED_SECONDS = 20.0

SOON = Timeouts(database=2.0, redis=2.0)
"""A request's timeouts, with a busy machine's share on top."""


@pytest.fixture(scope="module")
def port(
    migrated_sqlite: Path, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The port of a web process of our own; what a test opens, it closes."""
    directory, chosen = tmp_path_factory.mktemp("limits"), free_port()
    shutil.copy(migrated_sqlite, directory / "rollcall.db")
    settings = Settings(
        livekit_api_key=KEY,
        livekit_api_secret=SECRET,
        database_url=f"sqlite:///{directory}/rollcall.db",
        redis_url=valkey_url,
        _env_file=None,
    )
    env = environment(settings, directory, PORT=str(chosen), WEB_THREADS=str(THREADS))
    with running("webhooks", env):
        wait_for(lambda: listens(chosen), seconds=60)
        yield chosen


@contextmanager
def begun(port: int, path: str, *, of: str | None, method: str = "POST") -> Iterator[socket.socket]:
    """A request whose body never comes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: rollcall", "Content-Length: 1000"]
    if of is not None:
        lines.append(f"Authorization: {of}")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(CHECKED_SECONDS)
        connection.sendall("\r\n".join([*lines, "", "{"]).encode())
        yield connection


def status_of(connection: socket.socket) -> int:
    """The status that it was answered with."""
    return int(connection.recv(4096).split(b" ", 2)[1])


def joined_by(port: int, number: int) -> tuple[str, str]:
    """A pupil, and the visit that their page joined."""
    pupil, told = f"pupil-{number}", json.dumps({"session_id": "quran-98"})
    with closing(HTTPConnection("127.0.0.1", port, timeout=CHECKED_SECONDS)) as page:
        page.request("POST", "/api/sessions/meeting/join", told, bearer(token(pupil)))
        said = page.getresponse().read()
        assert b"visit" in said, said
        return pupil, json.loads(said)["visit"]


def leave_of(visit: str, pupil: str, in_header: bool) -> bytes:
    """The whole request, as a page sends it when it closes."""
    told, lines = {"session_id": "quran-98", "visit": visit}, ["Host: rollcall"]
    if in_header:
        lines.append(f"Authorization: {bearer(token(pupil))['Authorization']}")
    else:
        told["access_token"] = token(pupil)
    body = json.dumps(told) + " " * 60_000
    lines = ["POST /api/sessions/meeting/leave HTTP/1.1", *lines, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body]).encode()


def any_refused(connections: list[socket.socket]) -> bool:
    """Whether the first of them to be answered is told to come back."""
    answered, _, _ = select.select(connections, [], [], CHECKED_SECONDS)
    return status_of(answered[0]) == 429


def is_served(port: int) -> bool:
    """Whether somebody else gets an answer, soon."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=CHECKED_SECONDS)) as other:
        began = monotonic()
        other.request("GET", "/api/sessions/quran-98/attendance-status", headers=bearer(token()))
        return other.getresponse().status == 200 and monotonic() - began < CHECKED_SECONDS


def test_a_webhook_without_a_good_token_is_refused_before_its_body_comes(port: int) -> None:
    with ExitStack() as all_of_them:
        for _ in range(2 * THREADS):
            opened = begun(port, "/webhooks/livekit", of="not.a.token")
            assert status_of(all_of_them.enter_context(opened)) == 401
        assert is_served(port)


def test_bodies_that_never_come_leave_threads_for_everybody_else(port: int) -> None:
    """Of people with a token each, and of others who say that theirs is in the body."""
    path = "/api/sessions/meeting/leave"
    with ExitStack() as all_of_them:
        for number in range(2 * THREADS):
            of = bearer(token(f"pupil-{number}"))["Authorization"] if number % 2 else None
            all_of_them.enter_context(begun(port, path, of=of))
        assert is_served(port)
        late = (
            begun(port, path, of=bearer(token(f"late-{number}"))["Authorization"])
            for number in range(THREADS)
        )
        assert any_refused([all_of_them.enter_context(one) for one in late])


def test_nobody_has_two_bodies_on_their_way(port: int) -> None:
    path, of = "/api/sessions/meeting/join", bearer(token())["Authorization"]
    with begun(port, path, of=of) as one, begun(port, path, of=of) as other:
        assert any_refused([one, other])


def test_a_class_that_closes_its_tabs_in_one_instant_is_heard_to_the_last(port: int) -> None:
    """Nothing sends a beacon again; some of the pages send their token in the header, twice."""
    with ExitStack() as all_of_them, ThreadPoolExecutor(4) as pupils:
        visits = dict(pupils.map(partial(joined_by, port), range(6 * THREADS)))
        asks = [
            leave_of(visit, pupil, number % 3 == 0)
            for number, (pupil, visit) in enumerate(visits.items())
        ]
        asks += asks[::3]
        connections = [
            all_of_them.enter_context(
                socket.create_connection(("127.0.0.1", port), CHECKED_SECONDS)
            )
            for _ in asks
        ]
        for connection, ask in zip(connections, asks, strict=True):
            connection.sendall(ask)
        assert Counter(map(status_of, connections)) == {200: len(asks)}


def test_operators_and_livekit_need_no_seat(port: int) -> None:
    """LiveKit's body, which comes late, is still taken while others take every seat."""
    with ExitStack() as all_of_them:
        for number in range(2 * THREADS):
            of = bearer(token(f"pupil-{number}"))["Authorization"]
            all_of_them.enter_context(begun(port, "/api/sessions/meeting/join", of=of))
        body, signature = signed(b"{}" + b" " * 998)
        with begun(port, "/webhooks/livekit", of=signature) as livekit:
            livekit.sendall(body[1:])
            assert status_of(livekit) == 400  # unreadable, and read
        with closing(HTTPConnection("127.0.0.1", port, timeout=CHECKED_SECONDS)) as other:
            other.request("PUT", "/api/sessions/98", b"{}", bearer(ops_token()))
            assert other.getresponse().status == 201


def test_more_idle_connections_than_a_server_usually_takes_keep_nobody_out(port: int) -> None:
    with ExitStack() as all_of_them:
        for _ in range(1_200):
            all_of_them.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert is_served(port)


def test_one_connection_carries_no_second_request_beside_the_first(port: int) -> None:
    """HTTP/2 would: 200 bodies at a time."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(CHECKED_SECONDS)
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        assert not connection.recv(4096).startswith(b"\0\0")


# --- the connection reaper ------------------------------------------------------------------------


@contextmanager
def a_server() -> Iterator[socket.socket]:
    """Somebody who accepts and does nothing, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@contextmanager
def connected(listening: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection: the client's, and the server's."""
    with socket.create_connection(listening.getsockname()) as client:
        client.settimeout(CHECKED_SECONDS)
        served, _ = listening.accept()
        with served:
            yield client, served


def test_the_reaper_shuts_what_was_begun_and_never_completed() -> None:
    with a_server() as listening, connected(listening) as (client, _):
        reaper = ConnectionReaper(listening.getsockname()[1], request_seconds=0.2, idle_seconds=60)
        client.sendall(b"POST")
        wait_for(lambda: reaper.reap() == 1)
        assert client.recv(1) == b""


def test_the_reaper_shuts_what_trickles() -> None:
    with a_server() as listening, connected(listening) as (client, _):
        reaper = ConnectionReaper(listening.getsockname()[1], request_seconds=0.2, idle_seconds=60)

        def trickles() -> bool:
            client.sendall(b"x")
            return reaper.reap() == 1

        wait_for(trickles)


def test_the_reaper_leaves_who_is_answered() -> None:
    with a_server() as listening, connected(listening) as (client, served):
        reaper = ConnectionReaper(listening.getsockname()[1], request_seconds=0.3, idle_seconds=60)
        began = monotonic()
        pause = threading.Event()
        while monotonic() < began + 1.0:
            client.sendall(b"ask")
            pause.wait(0.01)
            assert reaper.reap() == 0
            served.sendall(b"answer")
            pause.wait(0.01)
            assert reaper.reap() == 0


def test_the_reaper_shuts_what_is_idle_for_long_and_nothing_else() -> None:
    with a_server() as listening, connected(listening) as (client, served):
        port = listening.getsockname()[1]
        client.sendall(b"ask")
        assert served.recv(3) == b"ask"
        served.sendall(b"answer")
        assert ConnectionReaper(port, request_seconds=60, idle_seconds=60).reap() == 0
        assert ConnectionReaper(free_port(), request_seconds=0, idle_seconds=0).reap() == 0
        patient = ConnectionReaper(port, request_seconds=60, idle_seconds=0.2)
        wait_for(lambda: patient.reap() == 1)
        assert client.recv(6) == b"answer"
        assert client.recv(1) == b""


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """For this process, as for one whose connections took them all."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as taken:
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        most = 1 + max(map(int, os.listdir(connections.DESCRIPTORS)))
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
        with suppress(OSError):
            while True:
                taken.enter_context(Path(os.devnull).open())
        yield


def test_the_reaper_shuts_what_is_idle_when_no_descriptor_is_left() -> None:
    with a_server() as listening, connected(listening) as (client, served):
        reaper = ConnectionReaper(listening.getsockname()[1], idle_seconds=0.2, request_seconds=60)
        client.sendall(b"ask")
        served.sendall(b"answer")
        with no_descriptor_left():
            wait_for(lambda: reaper.reap() == 1)
        assert client.recv(6) == b"answer"
        assert client.recv(1) == b""
        assert served.fileno() > 0


def test_the_reaper_keeps_no_connection_open() -> None:
    """Neither one that it looked at nor one that it shut: the client would not hear of its end."""
    with a_server() as listening, connected(listening) as (client, _):
        reaper = ConnectionReaper(listening.getsockname()[1], request_seconds=0.1, idle_seconds=60)
        client.sendall(b"POST")
        before = set(os.listdir(connections.DESCRIPTORS))
        wait_for(lambda: reaper.reap() == 1)
        assert set(os.listdir(connections.DESCRIPTORS)) <= before
        again = socket.create_connection(listening.getsockname())
        other, _ = listening.accept()
        reaper.reap()
        other.close()
        with closing(again):
            again.settimeout(CHECKED_SECONDS)
            assert again.recv(1) == b""


def test_the_reaper_goes_on_after_a_look_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count()

    def fail_once(connection: socket.socket) -> Talk | None:
        if next(looks) == 0:
            raise OSError(errno.EMFILE, "as whatever may happen")
        return talk(connection)

    talk = connections._talk
    monkeypatch.setattr(connections, "_talk", fail_once)
    with a_server() as listening, connected(listening) as (client, _):
        reaper = ConnectionReaper(listening.getsockname()[1], request_seconds=0.1, idle_seconds=60)
        client.sendall(b"POST")
        ended = reaper.start(every=0.05)
        assert client.recv(1) == b""
        ended.set()


@pytest.mark.parametrize(("descriptors", "most"), [(300, 150), (1024, 768), (4096, 3840)])
def test_a_process_lets_in_no_more_connections_than_it_has_descriptors_for(
    descriptors: int, most: int
) -> None:
    script = (
        "import resource\n"
        "from webhooks.__main__ import _allow_connections\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors // 2}, {descriptors}))\n"
        "print(_allow_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert said.stdout.split() == [b"%d" % most, b"%d" % descriptors]


# --- what one person can have stored --------------------------------------------------------------


def test_seats_are_given_back() -> None:
    admission = Admission(threads=4)
    for _ in range(10):
        with admission.seat("5"), admission.seat("6"), admission.seat(None), pytest.raises(Problem):
            admission.seat("7").__enter__()


def test_all_who_wait_for_a_seat_may_only_wait_so_long() -> None:
    """Four of eight threads for as long as one may, and then one of them at a time."""
    budget, now = Budget(threads=8), 1000.0
    assert [budget.begin(now) for _ in range(5)] == [True] * 4 + [False]
    for _ in range(4):
        budget.end(now, now + WAIT_SECONDS)
    later = [now + WAIT_SECONDS * (n + 0.01) for n in range(1, 9)]
    for at in later:
        assert [budget.begin(at) for _ in range(2)] == [True, False]
        budget.end(at, at + WAIT_SECONDS)


def test_who_soon_finds_a_seat_takes_nothing_from_who_comes_after() -> None:
    budget, now = Budget(threads=8), 1000.0
    for _ in range(1000):
        assert budget.begin(now)
        budget.end(now, now)


@on_sqlite
def test_a_visit_that_is_joined_again_and_again_keeps_so_many_joins(rollcall: Rollcall) -> None:
    first = rollcall.join("quran-98")
    for number in range(join.MOST_SIGNS + 5):
        again = rollcall.join("quran-98", name=f"name {number}")
        assert again.status_code == 200
        assert again.json is not None
        assert first.json is not None
        assert again.json["visit"] == first.json["visit"]
    assert len(rollcall.ledger()) == join.MOST_SIGNS


@on_sqlite
def test_a_person_makes_so_many_visits_and_no_more(rollcall: Rollcall) -> None:
    for _ in range(join.MOST_VISITS):
        joined = rollcall.join("quran-98")
        assert joined.json is not None
        rollcall.leave(joined.json["visit"], "quran-98")
    refused = rollcall.join("quran-98")
    assert problem(refused) == (429, "too-many-joins")
    assert refused.headers["Retry-After"]
    assert rollcall.join("quran-98", of=token("6")).status_code == 201
    assert len(rollcall.ledger()) == 2 * join.MOST_VISITS + 1


# --- others who are at work on the same -----------------------------------------------------------


def test_a_join_that_would_wait_for_long_is_told_so_and_nobody_thinks_of_an_outage(
    settings: Settings,
) -> None:
    with serving(settings, SOON) as rollcall:
        with a_worker(settings) as worker, db.writing(worker.engine) as conn:
            db.lock(conn, ["person:5"])
            assert problem(rollcall.join("quran-98")) == (503, "busy")
            assert rollcall.status("quran-98").status_code == 200
        assert rollcall.join("quran-98").status_code == 201


def test_those_who_write_to_sqlite_take_turns(sqlite_url: str) -> None:
    """SQLite lets a thread sleep while others come and go, until it gives up. So nobody asks it for
    its turn while another of this process has it."""
    engine, writing, in_vain = make_engine(sqlite_url), threading.Event(), list[str]()

    @event.listens_for(engine, "before_cursor_execute")
    def look(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == "BEGIN IMMEDIATE" and writing.is_set():
            in_vain.append(statement)

    def write_again_and_again() -> None:
        for _ in range(100):
            with db.writing(engine) as conn:
                writing.set()
                made_session.enter(conn, [(Session(uuid4().hex, "quran-98", "client"), ago())])
                writing.clear()

    together(*[write_again_and_again] * THREADS)
    engine.dispose()
    assert in_vain == []


def test_turns_are_taken_in_the_order_in_which_they_were_asked_for() -> None:
    turn, order = WriteQueue(60), list[int]()

    def waiting(number: int) -> bool:
        return turn.waiting == number

    def take(number: int) -> None:
        with turn.held():
            order.append(number)

    with ExitStack() as at_work:
        with turn.held():
            for number in range(THREADS):
                at_work.enter_context(aside(partial(take, number)))
                wait_for(partial(waiting, number + 1))
        wait_for(lambda: len(order) == THREADS)
    assert order == [*range(THREADS)]


def test_who_waited_too_long_for_a_turn_goes_on_without_it_and_spoils_nothing() -> None:
    turn = WriteQueue(0.01)
    with turn.held(), turn.held():
        assert turn.waiting == 0
    with turn.held():
        pass


@on_postgresql
def test_changing_a_session_waits_for_whoever_changes_it(
    rollcall: Rollcall, settings: Settings, postgres_url: str
) -> None:
    rollcall.put("98")
    with a_worker(settings) as worker, ExitStack() as at_work:
        with db.writing(worker.engine) as conn:
            session.find(conn, "98", lock=True)
            put = at_work.enter_context(aside(lambda: rollcall.put("98")))
            wait_for(lambda: waits_for_a_lock(postgres_url))
            waited = monotonic()
            wait_for(lambda: monotonic() - waited > REQUEST.database)
            assert not put.done()
        assert put.result().status_code == 200
