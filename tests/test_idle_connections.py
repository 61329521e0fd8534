"""Connections that wait in a pool, and are cut or forgotten meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from urllib.parse import urlsplit

import psycopg
import pytest
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import OperationalError

from models.storage import db, postgres
from models.storage.breaker import Breaker
from models.storage.engine import make_engine
from tests.doors import on_postgresql
from tests.faults import until
from tests.proxy import Proxy, proxy
from worker.process.quick_redis import QuickRedis

LIMIT = 2.0
"""Seconds for each round trip."""

MANY = 5


@contextmanager
def behind_a_proxy(url: str) -> Iterator[tuple[Engine, Proxy]]:
    """An engine with as many open connections as a busy minute leaves."""
    parts = make_url(url)
    path = f"{parts.query['host']}/.s.PGSQL.5432"
    with proxy(lambda: connected_to(path)) as way:
        there = f"postgresql://postgres@127.0.0.1:{way.port}/{parts.database}"
        engine = make_engine(there, timeout=LIMIT)
        with ExitStack() as everybody:
            for _ in range(MANY):
                ask(everybody.enter_context(db.reading(engine)))
        yield engine, way
        engine.dispose()


def connected_to(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def ask(conn: Connection) -> int:
    return int(conn.execute(text("SELECT 1")).scalar_one())


def answer(engine: Engine) -> int:
    with db.reading(engine) as conn:
        return ask(conn)


def is_open(engine: Engine) -> bool:
    breaker: Breaker = engine.get_execution_options()["breaker"]
    return breaker.is_open


@on_postgresql
def test_nobody_notices_that_postgresql_closed_what_was_idle(database_url: str) -> None:
    with behind_a_proxy(database_url) as (engine, way):
        way.cut()
        assert [answer(engine) for _ in range(MANY)] == [1] * MANY
        assert not is_open(engine)


@on_postgresql
def test_what_a_firewall_forgot_costs_one_limit_and_no_more(database_url: str) -> None:
    with behind_a_proxy(database_url) as (engine, way):
        way.forget()
        began = monotonic()
        with pytest.raises(OperationalError):
            answer(engine)
        until(lambda: not is_open(engine), seconds=LIMIT)
        assert [answer(engine) for _ in range(MANY)] == [1] * MANY
        assert monotonic() - began < 2 * LIMIT


@on_postgresql
def test_an_idle_connection_says_each_minute_that_it_is_there(database_url: str) -> None:
    with behind_a_proxy(database_url) as (engine, _), db.reading(engine) as conn:
        number = conn.connection.driver_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=number) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            sock.detach()


def test_what_the_url_says_of_keeping_connections_alive_is_kept_to() -> None:
    asked = list[dict[str, object]]()

    def connect(*_: str, **options: object) -> None:
        asked.append(options)
        raise psycopg.OperationalError("nobody is there")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(postgres.TimedConnection, "connect", connect)
        engine = make_engine("postgresql://db.invalid/rollcall?keepalives_idle=5", timeout=LIMIT)
        with pytest.raises(OperationalError):
            answer(engine)
    first = asked[0]
    assert (first["keepalives_idle"], first["keepalives_interval"]) == ("5", 10)
    assert first["connect_timeout"] == 2


def test_the_idle_connections_to_redis_are_made_anew_when_one_was_forgotten(
    redis_url: str,
) -> None:
    parts = urlsplit(redis_url)
    with proxy(lambda: socket.create_connection((parts.hostname, parts.port))) as way:
        there = redis_url.replace(f":{parts.port}/", f":{way.port}/")
        redis = QuickRedis.connect(there, timeout=LIMIT)
        at_once(MANY, redis)
        way.forget()
        with pytest.raises(RedisError):
            redis.get("any")
        until(lambda: not redis.breaker.is_open, seconds=LIMIT)
        at_once(MANY, redis)
        assert not redis.breaker.is_open


def at_once(number: int, redis: QuickRedis) -> None:
    """So many threads each have a command on its way at the same time."""
    failed, together = list[BaseException](), threading.Barrier(number)

    def go() -> None:
        try:
            together.wait()
            redis.execute_command("BLPOP", "nothing", 0.3)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go) for _ in range(number)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []


# --- the breaker ----------------------------------------------------------------------------------


def down() -> OperationalError:
    return OperationalError("SELECT 1", None, ConnectionError("down"))


def test_a_probe_that_fails_in_an_unknown_way_is_tried_again() -> None:
    tries = iter((RuntimeError("can't start new thread"), None))
    breaker = Breaker("database", lambda: raised(next(tries)))
    breaker.trip(down())
    until(lambda: not breaker.is_open, seconds=10)


def raised(error: Exception | None) -> None:
    if error is not None:
        raise error


def test_without_a_thread_to_probe_in_the_next_failure_opens_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaker = Breaker("database", lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        breaker.trip(down())
    assert not breaker.is_open
    breaker.trip(down())
    until(lambda: not breaker.is_open, seconds=10)


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@on_postgresql
def test_without_a_thread_to_connect_in_the_database_is_down_and_nothing_else(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(database_url, timeout=LIMIT)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(OperationalError):
            answer(engine)
    until(lambda: not is_open(engine), seconds=10)
    assert answer(engine) == 1
    engine.dispose()


def test_what_keeps_it_open_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    tries = iter((OSError("no route"), OSError("no route"), None))
    breaker = Breaker("database", lambda: raised(next(tries)))
    breaker.trip(down())
    until(lambda: not breaker.is_open, seconds=10)
    assert capsys.readouterr().out.count("breaker.still_open") == 1
