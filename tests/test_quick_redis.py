"""The quick client: connections that Redis may close at any moment, and no more than are in use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
from annotated_types import Le
from redis import Redis, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError

from models.settings.settings import Settings
from tests.faults import until
from worker.process.quick_redis import MOST_CONNECTIONS, QuickRedis

MOST_THREADS: int = next(
    each.le for each in Settings.model_fields["web_threads"].metadata if isinstance(each, Le)
)  # type: ignore[assignment]  # whatever can be compared


def kill_all(redis: Redis) -> None:
    """As a restart, or a limit on idle connections, does."""
    redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]


def test_a_connection_that_redis_closed_is_made_anew_and_nobody_takes_it_for_down(
    valkey_url: str,
) -> None:
    redis = QuickRedis.connect(valkey_url, timeout=5.0)
    redis.set("quick", "1")
    with Redis.from_url(valkey_url) as other:
        kill_all(other)
    assert redis.get("quick") == b"1"
    assert not redis.breaker.is_open


def test_threads_that_come_and_go_use_one_connection(valkey_url: str) -> None:
    """As in a web process, whose server ends threads that have nothing to do."""
    redis = QuickRedis.connect(valkey_url, timeout=5.0)
    found: set[int] = set()
    for _ in range(MOST_CONNECTIONS + 1):
        thread = Thread(target=lambda: found.add(redis.client_id()))
        thread.start()
        thread.join()
    assert len(found) == 1
    assert not redis.breaker.is_open


def test_as_many_threads_as_a_web_process_may_have_ask_at_once(valkey_url: str) -> None:
    redis = QuickRedis.connect(valkey_url, timeout=30.0)
    everybody = [str(number).encode() for number in range(MOST_THREADS)]
    with ThreadPoolExecutor(MOST_THREADS) as pool, Redis.from_url(valkey_url) as other:
        waiting = [pool.submit(redis.blpop, ["quick:queue"], 30) for _ in everybody]
        until(lambda: other.info("clients")["blocked_clients"] == MOST_THREADS)
        other.rpush("quick:queue", *everybody)
        found = [one.result() for one in waiting]
    assert {each[1] for each in found if each} == set(everybody)


def test_an_answer_that_nobody_waited_for_is_not_the_next_commands(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a job's time is over while it waits."""
    redis = QuickRedis.connect(valkey_url, timeout=5.0)
    redis.set("quick", "1")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(redis, "parse_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            redis.get("quick")
    assert redis.get("another") is None


def test_what_redis_refuses_costs_no_connection(valkey_url: str) -> None:
    redis = QuickRedis.connect(valkey_url, timeout=5.0)
    connection = redis.client_id()
    redis.set("quick", "text")
    with pytest.raises(ResponseError):
        redis.hgetall("quick")
    assert redis.client_id() == connection
    assert not redis.breaker.is_open


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("rediss://:p@cache:6380/1", SSLConnection),
        ("unix:///run/valkey.sock", UnixDomainSocketConnection),
    ],
)
def test_the_urls_scheme_is_kept_to(url: str, kind: type) -> None:
    """A password for a connection over TLS must never travel in the open."""
    pool = QuickRedis.connect(url, timeout=5.0).connection_pool
    assert isinstance(pool.make_connection(), kind)
