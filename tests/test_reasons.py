"""Reasons: the driver's first line reaches logs and operators, and nobody's data does."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from psycopg import errors as states
from redis import Redis
from redis.exceptions import ConnectionError as RedisDown
from redis.exceptions import ResponseError
from redis.sentinel import MasterNotFoundError
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from models.settings.urls import database_address, redis_address
from models.storage import reasons
from models.storage.engine import make_engine
from tests.faults import free_port
from worker.process.redis_client import connect

REFUSED = "connection failed: connection to server at"
CASES: list[tuple[BaseException, str]] = [
    (
        psycopg.OperationalError(
            f'{REFUSED} "db.internal" (10.0.0.5), port 5433 failed: Connection refused\n\tIs it up?'
        ),
        f'{REFUSED} "…", port 5433 failed: Connection refused',
    ),
    (
        psycopg.OperationalError(
            "Multiple connection attempts failed. All failures were:\n- host: 'db', port: 5432,"
            " hostaddr: '10.0.0.5': connection timeout expired"
        ),
        (
            "Multiple connection attempts failed. All failures were: - host: …, port: 5432,"
            " hostaddr: …: connection timeout expired"
        ),
    ),
    (
        states.NotNullViolation('null value in column "x"\nDETAIL:  Failing row (Huda)'),
        'null value in column "…" (SQLSTATE 23502)',
    ),
    (
        states.UntranslatableCharacter(
            'character with byte sequence 0xd9 0x87 in encoding "UTF8" has no equivalent'
        ),
        'character with byte sequence 0x… in encoding "UTF8" has no equivalent (SQLSTATE 22P05)',
    ),
    (
        states.DiskFull("could not extend: No space left"),
        "could not extend: No space left (SQLSTATE 53100)",
    ),
    (sqlite3.OperationalError("database or disk is full"), "database or disk is full"),
    (
        ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
        "OOM command not allowed when used memory > 'maxmemory'.",
    ),
    (
        RedisDown("Error 111 connecting to redis.internal:6379. Connection refused."),
        "Error 111 connecting to …:6379. Connection refused.",
    ),
    (
        ResponseError("User rollcall has no permissions to run the 'eval' command"),
        "User … has no permissions to run the 'eval' command",
    ),
    (
        MasterNotFoundError("No master found for 'mymaster'"),
        "No master found for 'mymaster'",
    ),
    (KeyError("Huda"), "KeyError"),
]


def test_of_sentinels_that_do_not_answer_the_reason_is_no_list_of_options() -> None:
    url = f"redis+sentinel://u:s3cret@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/mymaster/0"
    with pytest.raises(MasterNotFoundError) as caught:
        connect(url, Redis).ping()
    assert reasons.of(caught.value) == (
        "No master found for 'mymaster'; a Sentinel does not answer (ConnectionError)"
    )


@pytest.mark.parametrize(("error", "said"), CASES)
def test_a_reason_is_the_first_line_without_names_and_values(
    error: BaseException, said: str
) -> None:
    assert reasons.of(error) == said


def test_of_sqlalchemys_errors_the_drivers_reason_is_given() -> None:
    wrapped = OperationalError("SELECT 'Huda'", {"name": "Huda"}, states.DiskFull("full"))
    assert reasons.of(wrapped) == "full (SQLSTATE 53100)"


def test_a_real_servers_refusals_differ_from_each_other(postgres_url: str) -> None:
    url = make_url(postgres_url)
    wrong = {
        "role": url.set(username="nobody-private"),
        "database": url.set(database="private"),
        "port": url.set(host="127.0.0.1", port=free_port(), query={}),
    }
    said = {}
    for what, bad in wrong.items():
        engine = make_engine(bad.render_as_string(hide_password=False), timeout=5)
        with pytest.raises(OperationalError) as caught:
            engine.connect()
        said[what] = reasons.of(caught.value)
        engine.dispose()
    assert 'role "…" does not exist' in said["role"]
    assert 'database "…" does not exist' in said["database"]
    assert "Connection refused" in said["port"]
    assert "private" not in str(said)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://u:s3cret@db:5433/r?sslpassword=s3cret", "postgresql://db:5433/r"),
        ("postgresql://u:s3cret@a:1,b:2/r", "postgresql://a,b:1,2/r"),
        ("sqlite:///var/rollcall.db", "sqlite:///var/rollcall.db"),
    ],
)
def test_an_address_of_a_database_has_no_secret(url: str, address: str) -> None:
    assert database_address(url) == address


def test_an_address_of_redis_has_no_secret() -> None:
    assert redis_address("rediss://u:s3cret@r:6380/1?x=y") == "rediss://r:6380/1"
    several = "rediss+sentinel://u:s3cret@one:26379,two:26379/mymaster/1?sentinel_password=hidden"
    assert redis_address(several) == "rediss+sentinel://one:26379,two:26379/mymaster/1"
