"""One deployment: a recorded class is posted to it, and its database is away in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from models.settings.settings import Settings
from tests.build import captured
from tests.deployments.databases import Database, brought_back
from tests.deployments.redises import Store
from tests.doors import Rollcall, serving
from tests.faults import until
from tests.test_captures import rosters, timeless
from worker.inbox import spool
from worker.jobs import draining
from worker.process.backend import REQUEST

RECORDING = "class_of_30"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a class left behind, and how often a webhook had to be repeated."""

    event_ids: frozenset[str]
    statuses: frozenset[str]
    rosters: list[Any]
    repeated: int


def outcome(settings: Settings, database: Database | None, store: Store) -> Outcome:
    """Post the recording; with a database, that is away for the second third."""
    bodies = [post.body for post in captured(RECORDING)]
    third = len(bodies) // 3
    with serving(settings, REQUEST) as rollcall:
        refused = send(rollcall, bodies[:third])
        if database is not None:
            database.stop()
        refused += send(rollcall, bodies[third : 2 * third])
        if database is not None:
            brought_back(database)
        store.afterwards()
        refused += send(rollcall, bodies[2 * third :])
        waiting = list(refused)
        until(lambda: repeat(rollcall, waiting), seconds=30)
        until(lambda: drained(rollcall), seconds=60)
        ledger = rollcall.ledger()
        return Outcome(
            event_ids=frozenset(row["event_id"] for row in ledger),
            statuses=frozenset(row["status"] for row in ledger),
            rosters=timeless(rosters(rollcall)),
            repeated=len(refused),
        )


def send(rollcall: Rollcall, bodies: Sequence[bytes]) -> list[bytes]:
    """Post these; those that LiveKit would repeat."""
    answers = [(body, rollcall.send(body)) for body in bodies]
    assert {status for _, [status] in answers} <= {204, 503}
    return [body for body, [status] in answers if status == 503]


def repeat(rollcall: Rollcall, waiting: list[bytes]) -> bool:
    """Post what waits once more, as LiveKit does; whether all of it was taken."""
    waiting[:] = send(rollcall, waiting)
    return not waiting


def drained(rollcall: Rollcall) -> bool:
    """A worker's tries, until nothing waits in the spool and in the inbox. What the web process
    applies at this moment itself is held, and no worker sees it."""
    try:
        rollcall.drain()
        spooled = spool.length(rollcall.backend.redis)
        return not spooled and all(row["status"] != "pending" for row in rollcall.ledger())
    except (*draining.NOBODYS_FAULT, RedisError):
        return False
