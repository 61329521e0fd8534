"""An erasure reaches the copies that we make: no byte of their files has the name afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from string import ascii_letters
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import make_url, select

from models.domain import event as events
from models.domain.event import Event
from models.ledger import retention
from models.settings.settings import Settings
from models.storage import db
from models.tables.webhook_event import pending_row, webhook_events
from tests.build import DAY, Words, joined, left, webhook
from tests.doors import Rollcall, a_worker, ago, on_sqlite, serving, token, told, wait_for
from tests.faults import Valkey
from tests.terminal import Terminal
from tests.test_erase import NAME, SOMEBODY, counts, delete
from worker.inbox import spool

pytestmark = on_sqlite

WORDS = (SOMEBODY.encode(), NAME.encode())


def mail(seed: int) -> list[Event]:
    """Visits to many rooms, every fourth theirs, with names of all lengths."""
    dice = Random(seed)
    found: list[Event] = []
    for number in range(300):
        theirs = number % 4 == 0
        name = NAME if theirs else "".join(dice.choices(ascii_letters, k=dice.randint(1, 250)))
        visit: Words = {
            "sid": f"PA_{dice.randrange(10**9)}_{number}",
            "user": SOMEBODY if theirs else f"user-{dice.randrange(10**6)}",
            "name": name,
            "room": f"RM_{number % 40}",
            "room_name": f"class-{number % 40}",
        }
        found += [joined("14:00", **visit), left("14:30", **visit)]
    return found


def bytes_of(path: Path) -> bytes:
    """All of a file, or of the files in a directory; again when one is renamed meanwhile."""
    try:
        files = [path, *path.rglob("*")]
        return b"".join(each.read_bytes() for each in files if each.is_file())
    except FileNotFoundError:
        return bytes_of(path)


def sqlite_files(settings: Settings) -> bytes:
    database = Path(make_url(settings.database_url).database or "")
    assert database.is_file()
    return b"".join(bytes_of(each) for each in database.parent.glob("rollcall.db*"))


def still_in(held: bytes) -> list[bytes]:
    return [word for word in WORDS if word in held]


@pytest.mark.parametrize("seed", range(3))
def test_no_byte_of_sqlites_files_has_the_name_afterwards(
    rollcall: Rollcall, settings: Settings, seed: int
) -> None:
    rollcall.put_in(mail(seed), status="pending")
    rollcall.drain()
    with db.writing(rollcall.backend.engine) as conn:  # what was pruned left pages behind
        retention.prune(conn, before=DAY.replace(year=2100), since=None, limit=200)
    assert still_in(sqlite_files(settings)) == list(WORDS)
    assert told(delete(rollcall))["copies_left"] == []
    assert still_in(sqlite_files(settings)) == []


def test_a_name_that_an_earlier_prune_left_in_the_file_goes_too(
    rollcall: Rollcall, settings: Settings, terminal: Terminal
) -> None:
    """Nothing is kept of them but what no table has any more."""
    rollcall.put_in(mail(7))
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(webhook_events.delete())
    assert still_in(sqlite_files(settings)) == list(WORDS)
    assert terminal("users", "erase-copies").exit_code == 0
    assert still_in(sqlite_files(settings)) == []


def test_a_file_that_others_use_is_told_and_can_be_done_later(
    rollcall: Rollcall, settings: Settings, terminal: Terminal
) -> None:
    rollcall.put_in([joined(user=SOMEBODY, name=NAME)])
    with a_worker(settings) as other, db.reading(other.engine) as holding:
        holding.execute(select(webhook_events)).all()
        result = terminal("users", "erase", SOMEBODY, "--yes")
        assert result.exit_code == 0
        assert "SQLite's file could not be rewritten" in result.stderr
        assert terminal("users", "erase-copies").exit_code == 1
    assert terminal("users", "erase-copies").exit_code == 0
    assert still_in(sqlite_files(settings)) == []


# --- Redis ----------------------------------------------------------------------------------------


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey with an append-only file."""
    valkey = Valkey(tmp_path / "valkey", durable=True)
    yield valkey
    valkey.stop()


def fill(rollcall: Rollcall) -> None:
    """They are in the cache, by their class and by its room's name, and were in the spool."""
    expected = [{"user_id": SOMEBODY, "name": NAME}]
    start = ago(5).isoformat()
    rollcall.put("98", room_name="quran-98", scheduled_at=start, expected=expected)
    here: Any = {"user": SOMEBODY, "name": NAME, "joined_at": ago(4), "room_created": ago(6)}
    rollcall.deliver(joined(ago(4), **here))
    rollcall.status(of=token(SOMEBODY))
    rollcall.status("quran-98", of=token(SOMEBODY))
    again = joined(ago(3), sid="PA_2", **(here | {"joined_at": ago(3)}))
    row = pending_row(again, events.redact(webhook(again)), received_at=again.created_at)
    spool.add(rollcall.backend.redis, row)


def test_redis_rewrites_its_append_only_file(
    settings: Settings, durable: Valkey, tmp_path: Path
) -> None:
    kept = tmp_path / "valkey" / "appendonlydir"
    with serving(settings.model_copy(update={"redis_url": durable.url})) as rollcall:
        fill(rollcall)
        wait_for(lambda: still_in(bytes_of(kept)) == list(WORDS))
        assert told(delete(rollcall)) == counts(2, 2, 1)
        wait_for(lambda: still_in(bytes_of(kept)) == [])


def test_a_rewrite_that_began_before_is_waited_for(
    settings: Settings, durable: Valkey, tmp_path: Path
) -> None:
    kept = tmp_path / "valkey" / "appendonlydir"
    with (
        serving(settings.model_copy(update={"redis_url": durable.url})) as rollcall,
        Redis.from_url(durable.url) as redis,
    ):
        fill(rollcall)
        redis.config_set("rdb-key-save-delay", 20_000)  # µs a key: it is at work for a while
        redis.bgrewriteaof()
        wait_for(lambda: redis.info("persistence")["aof_rewrite_in_progress"] == 1)
        assert told(delete(rollcall))["copies_left"] == []
        wait_for(lambda: still_in(bytes_of(kept)) == [])


def test_a_redis_that_refuses_is_told_and_fails_nothing(
    settings: Settings, durable: Valkey
) -> None:
    with Redis.from_url(durable.url) as admin:
        admin.acl_setuser(
            "rollcall",
            enabled=True,
            passwords=["+secret"],
            keys=["*"],
            channels=["*"],
            categories=["+@all", "-@dangerous"],
            commands=["+info"],
        )
    url = make_url(durable.url).set(username="rollcall", password="secret")
    here = {"redis_url": url.render_as_string(hide_password=False)}
    with serving(settings.model_copy(update=here)) as rollcall:
        fill(rollcall)
        assert told(delete(rollcall))["copies_left"] == ["redis-append-only-file"]
        fill(rollcall)
        terminal = Terminal(rollcall.client.application)
        result = terminal("users", "erase", SOMEBODY, "--yes")
        assert result.exit_code == 0
        assert "ACL: +bgrewriteaof" in result.stderr
        assert SOMEBODY not in result.output
