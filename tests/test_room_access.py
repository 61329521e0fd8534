"""Nothing is done before it is allowed: what is forbidden costs what is unknown costs, and leaves
nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import cast

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from models.domain.event import Event
from tests.build import joined
from tests.doors import (
    Rollcall,
    ago,
    bearer,
    counting,
    ops_token,
    problem,
    session_url,
    token,
    told,
)
from webhooks.door.context import EXTENSION
from webhooks.door.room_access import RoomAccess
from worker.cache import cache, entry

OTHERS, LARGE = "other-room", 20
"""The room of everything that is somebody else's; visits that make a session large here."""

PARTICIPANT, TEACHER = token(), token("teacher", roomAdmin=True)
Ask = Callable[[str], TestResponse]


@pytest.fixture(autouse=True)
def _large_sessions_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "WHOLE_UP_TO", LARGE)


def today() -> str:
    return f"{OTHERS}@{datetime.now(UTC).date()}"


FORBIDDEN: dict[str, Callable[[], str]] = {
    "registered": lambda: "98",
    "large": lambda: "large",
    "by its room": lambda: OTHERS,
    "made on the spot": today,
    "named by metadata": lambda: "named",
    "joined by hand": lambda: "by hand",
}
"""What is asked for, of what `somebody_elses` makes."""


@pytest.fixture
def somebody_elses(rollcall: Rollcall) -> Rollcall:
    """Sessions with which the room of the tokens has nothing to do."""
    rollcall.put("98", room_name=OTHERS, rooms=["side-*"])
    rollcall.put("large", room_name="hall", expected=[{"user_id": f"{n}"} for n in range(50)])
    people = (
        joined(ago(9), sid=f"PA_{n}", room="RM_hall", room_name="hall", user=f"{n}")
        for n in range(LARGE + 5)
    )
    rollcall.put_in(people)
    rollcall.deliver(
        joined(ago(8), sid="PA_o", room="RM_o", room_name=OTHERS),
        joined(ago(8), sid="PA_n", room="RM_n", room_name="third", names="named"),
    )
    rollcall.put("by hand", room_name="fourth")
    rollcall.join("by hand", of=token("5", "fourth"))
    rollcall.delete("by hand")
    for address, room in (("98", OTHERS), ("large", "hall"), ("named", "third")):
        told(rollcall.status(address, of=token("5", room)))  # others poll: it is in the cache
    return rollcall


@dataclass(frozen=True)
class Cost:
    """What an answer was, and what it took."""

    answer: bytes
    statements: list[str]
    redis_commands: int


def cost(rollcall: Rollcall, ask: Callable[[], TestResponse]) -> Cost:
    before = commands(rollcall.backend.redis)
    with counting(rollcall.backend.engine) as statements:
        answer = ask()
    asked = commands(rollcall.backend.redis) - before - 1  # to count is a command itself
    assert problem(answer) == (403, "forbidden")
    return Cost(answer.data, [each for each in statements if each != "BEGIN"], asked)


def commands(redis: Redis) -> int:
    """How many commands Redis has handled, by its own count."""
    stats = redis.info("stats")
    assert isinstance(stats, dict)
    return int(stats["total_commands_processed"])


def doors(rollcall: Rollcall) -> dict[str, Ask]:
    """Each door that a room's token opens, with whom it asks for."""

    def export(address: str) -> TestResponse:
        url = session_url(address, "attendance", format="csv")
        return rollcall.client.get(url, headers=bearer(TEACHER))

    return {
        "own status": lambda address: rollcall.status(address, of=PARTICIPANT),
        "another's status": lambda address: rollcall.status(address, of=TEACHER, user_id="7"),
        "roster": lambda address: rollcall.roster(address, of=TEACHER),
        "join": lambda address: rollcall.join(address, of=PARTICIPANT),
        "export": export,
    }


DOORS = ("own status", "another's status", "roster", "join", "export")


@pytest.mark.parametrize("door", DOORS)
def test_the_forbidden_and_the_unknown_take_the_same_statements_and_nothing_of_redis(
    somebody_elses: Rollcall, door: str
) -> None:
    """Of addresses of one length: SQLite's statement has a place for each beginning of one."""
    ask = doors(somebody_elses)[door]
    for name, address in FORBIDDEN.items():
        unknown = cost(somebody_elses, partial(ask, "x" * len(address())))
        assert len(unknown.statements) == 1
        assert unknown.redis_commands == 0
        for _ in range(2):  # nothing of the first time is remembered
            assert cost(somebody_elses, partial(ask, address())) == unknown, name


def test_what_a_token_opens_nowhere_takes_nothing_at_all(somebody_elses: Rollcall) -> None:
    """Another person's status, a roster without the right to it."""
    asks: list[Ask] = [
        lambda address: somebody_elses.status(address, of=PARTICIPANT, user_id="7"),
        lambda address: somebody_elses.roster(address, of=PARTICIPANT),
        lambda address: somebody_elses.status(address, of=token("5", None), user_id="5"),
    ]
    for ask in asks:
        for address in ("quran-98", "nowhere", *(each() for each in FORBIDDEN.values())):
            seen = cost(somebody_elses, partial(ask, address))
            assert (seen.statements, seen.redis_commands) == ([], 0)


def test_who_asks_for_what_is_not_theirs_leaves_nothing(somebody_elses: Rollcall) -> None:
    redis = somebody_elses.backend.redis
    access: RoomAccess = somebody_elses.client.application.extensions[EXTENSION].room_access
    before, remembered = kept(redis), len(access)
    for number in range(50):
        for address in ("large", f"made-up-{number}"):
            somebody_elses.status(address, of=TEACHER, user_id=f"made-up-{number}")
            somebody_elses.status(address, of=token(f"made-up-{number}"))
    assert len(access) == remembered
    assert kept(redis) <= before


def kept(redis: Redis) -> set[tuple[bytes, int]]:
    """The keys of the cache, each with how many fields it has."""
    keys = [key for key in redis.scan_iter("rc:*") if redis.type(key) == b"hash"]
    return {(key, int(str(redis.hlen(key)))) for key in keys}


@pytest.mark.parametrize(
    "of", [ops_token(), token("teacher", "hall", roomAdmin=True)], ids=["operator", "room admin"]
)
def test_who_may_ask_for_anybody_fills_the_cache_with_nobody(
    somebody_elses: Rollcall, of: str
) -> None:
    redis = somebody_elses.backend.redis
    told(somebody_elses.status("large", of=of, user_id="6"))
    before = fields(redis)
    for number in range(20):
        seen = told(somebody_elses.status("large", of=of, user_id=f"made-up-{number}"))
        assert seen["attendance_status"] == "not_joined"
    assert fields(redis) == before
    assert b"u:6" in before


def fields(redis: Redis) -> set[bytes]:
    return set(cast("list[bytes]", redis.hkeys(entry.place("kept-facts", "large"))))


def test_who_has_yet_to_come_into_a_large_session_is_kept_for_themselves(
    somebody_elses: Rollcall,
) -> None:
    late = token("late", "hall")
    seen = [somebody_elses.status("large", of=late).headers["X-Cache"] for _ in range(2)]
    assert seen == ["miss", "hit"]


def test_a_room_that_may_ask_is_remembered_and_no_other(somebody_elses: Rollcall) -> None:
    somebody_elses.put("7", room_name="quran-98")
    with counting(somebody_elses.backend.engine) as statements:
        told(somebody_elses.status("7", of=PARTICIPANT))
        first = len(statements)
        told(somebody_elses.status("7", of=PARTICIPANT))
    assert first
    assert len(statements) == first, "a hit takes no statement"
    somebody_elses.put("7", room_name="elsewhere")
    assert problem(somebody_elses.status("7", of=PARTICIPANT)) == (403, "forbidden")


def test_pairs_of_rooms_and_sessions_are_remembered_up_to_a_bound(rollcall: Rollcall) -> None:
    access: RoomAccess = rollcall.client.application.extensions[EXTENSION].room_access
    access.most = 5
    for number in range(12):
        rollcall.put(f"{number}", room_name="quran-98")
        told(rollcall.status(f"{number}", of=PARTICIPANT))
        assert len(access) <= 5


# --- nobody is refused what is theirs -------------------------------------------------------------

ROOMS = ("main", "side-1", "side-2", "sid", "third")
IDS = ("a", "b", "main", "side-1")


def anything(chance: random.Random) -> Iterator[tuple[str, dict[str, object]] | Event]:
    """Registrations, and rooms, some of which name a session."""
    for session_id in IDS:
        if chance.random() < 0.6:
            rooms = chance.sample(["side-1", "side-*", "si*", "*", "third"], chance.randrange(3))
            words: dict[str, object] = {"room_name": chance.choice(ROOMS), "rooms": rooms}
            yield session_id, words
    for number in range(6):
        names = chance.choice([None, *IDS, "free", f"main@{ago().date()}"])
        at, life, room = ago(60 - 9 * number), f"RM_{number}", chance.choice(ROOMS)
        sid = f"PA_{number}"
        yield joined(at, sid=sid, room=life, room_name=room, names=names, room_created=at)


@contextmanager
def unchecked(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The facts alone decide."""
    with patch.context() as facts_alone:
        facts_alone.setattr(RoomAccess, "check", lambda *_, **__: None)
        yield


@pytest.mark.parametrize("seed", range(8))
def test_whatever_its_facts_allow_may_be_asked_for(
    rollcall: Rollcall, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for each in anything(random.Random(seed)):
        if isinstance(each, Event):
            rollcall.deliver(each)
        else:
            session_id, words = each
            rollcall.put(session_id, **words)
    for session_id in (*IDS, "free"):
        rollcall.join(session_id, of=token("5", random.Random(seed).choice(ROOMS)))
    rollcall.delete("a")
    for asked in (*IDS, "free", f"main@{ago().date()}", f"side-1@{ago().date()}"):
        for room in ROOMS:
            of = token("5", room)
            with unchecked(monkeypatch):
                by_facts = rollcall.status(asked, of=of).status_code
            assert rollcall.status(asked, of=of).status_code == by_facts, (asked, room)
