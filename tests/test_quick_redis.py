"""The quick client: a thread's own connection, which Redis may close at any moment."""

from __future__ import annotations

from threading import Thread

import pytest
from redis import Redis, SSLConnection, UnixDomainSocketConnection

from worker.process.quick_redis import QuickRedis


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


def test_each_thread_asks_on_a_connection_of_its_own(valkey_url: str) -> None:
    redis = QuickRedis.connect(valkey_url, timeout=5.0)
    found: list[int] = []

    def ask() -> None:
        found.extend(redis.client_id() for _ in range(3))

    for _ in range(2):
        thread = Thread(target=ask)
        thread.start()
        thread.join()
    assert found[0:3] == 3 * found[0:1]
    assert found[3:6] == 3 * found[3:4]


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
