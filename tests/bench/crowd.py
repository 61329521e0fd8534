"""A crowd that polls: 10,000 people in 300 classes, each once a minute, on a faster clock.

With the clock five times faster a minute is twelve seconds, what both sides may show for ten
seconds lives for two, and what is kept for five minutes lives for a minute. Served as fast as it
goes; queries are counted at the pace of that clock (833 polls a second), over five of its minutes,
in which each class is read anew once and checked between. A clock that the machine can't follow
would have it check each class more often for a poll than in a real minute. The peer runs in two
processes, and is compared with two. Three rounds: a turn is ten thousand polls, and half a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from random import Random
from time import sleep

from sqlalchemy import text

from models.storage import db
from tests.bench import inbox
from tests.bench.load import drive
from tests.bench.mail import Classes, people_in
from tests.bench.polling import CONNECTIONS, status_request
from tests.bench.stack import Stack, peer, register, stack
from tests.bench.turns import Figure, Goal, Measure, in_turns

ROOMS, PEOPLE, EVENTS = 300, 34, 16_000
FASTER = 5
MINUTE_SECONDS = 60 / FASTER
TTL = {"CACHE_TTL_SECONDS": str(10 // FASTER)}
MINUTES, PEERS_MINUTES = 5, 2
"""The peer keeps nothing for longer than ten seconds of its clock: each of its minutes is alike."""

MOST_ROUNDS = 3
FLUSH_SECONDS = 11
"""After which PostgreSQL's idle sessions have told what they counted."""

OURS, TWO, PEER = "rollcall", "rollcall, two processes", "peer"


def crowd(*, rounds: int) -> list[Figure]:
    with ExitStack() as resources:
        ours = resources.enter_context(stack("postgresql"))
        theirs = resources.enter_context(stack("postgresql", name="bench_peer"))
        polls = people_of_300_classes(ours)
        resources.enter_context(ours.scheduler(**TTL))
        web = resources.enter_context(ours.web(**TTL))
        two = resources.enter_context(ours.web(WEB_PROCESSES="2", **TTL))
        peer_web = resources.enter_context(peer(theirs.database_url, theirs.redis_url, **TTL))
        register(web, sorted({room for room, _ in polls}))
        _copy_to_peer(ours, theirs)
        requests = [status_request(*person) for person in polls]
        ports = {OURS: web, TWO: two, PEER: peer_web}
        everybody = {name: polled_by(port, requests) for name, port in ports.items()}
        turns = in_turns(everybody, rounds=min(rounds, MOST_ROUNDS))
        queries = {
            TWO: queries_a_poll(ours, two, requests),
            PEER: queries_a_poll(theirs, peer_web, requests, minutes=PEERS_MINUTES),
        }
    return [_served(turns), _asked(queries)]


def people_of_300_classes(under: Stack) -> list[tuple[str, str]]:
    """Everybody who came, in the order in which they poll: nobody's."""
    classes = Classes(rooms=ROOMS, people=PEOPLE, prefix="class")
    events = classes.next(EVENTS)
    inbox.fill(under, events)
    with under.worker():
        inbox.drained(under, within=60)
    people = people_in(events)
    Random(1).shuffle(people)
    return people


def _copy_to_peer(ours: Stack, theirs: Stack) -> None:
    """The same visits in the peer's table."""
    with db.reading(ours.engine) as conn:
        visits = text(
            "SELECT cycle_id AS sid, rooms.name AS room, user_id, joined_at, left_at"
            " FROM cycles JOIN rooms ON rooms.sid = cycles.room_sid"
        )
        rows = [dict(row._mapping) for row in conn.execute(visits)]
    insert = text(
        "INSERT INTO peer_attendance (participant_sid, room, identity, name, joined_at, left_at)"
        " VALUES (:sid, :room, :user_id, '', :joined_at, :left_at)"
    )
    with db.writing(theirs.engine) as conn:
        conn.execute(insert, rows)


def polled_by(port: int, requests: Sequence[bytes]) -> Measure:
    """Everybody polls once, as fast as they are answered."""
    return lambda: drive(port, _lanes(requests), seconds=60).only(200).rate


def queries_a_poll(
    under: Stack, port: int, requests: Sequence[bytes], *, minutes: int = MINUTES
) -> float:
    """Database transactions a poll over some minutes of the faster clock, the scheduler's
    included; ours are one query each, and so are the peer's."""
    pace = len(requests) / MINUTE_SECONDS
    sleep(FLUSH_SECONDS)
    before, polls = _transactions(under), 0
    for _ in range(minutes):
        polls += drive(port, _lanes(requests), seconds=120, rate=pace).only(200).answered
    sleep(FLUSH_SECONDS)
    return (_transactions(under) - before) / polls


def _transactions(under: Stack) -> int:
    counts = text(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database"
        " WHERE datname = current_database()"
    )
    with db.reading(under.engine) as conn:
        return int(conn.execute(counts).scalar_one())


def _lanes(requests: Sequence[bytes]) -> list[islice[bytes]]:
    return [islice(requests, number, None, CONNECTIONS) for number in range(CONNECTIONS)]


def _served(turns: dict[str, list[float]]) -> Figure:
    figure = Figure("10,000 people poll, each once a minute", "polls/s", turns)
    ratio = figure.ratio(PEER, of=TWO)
    figure.goals.append(Goal(">= 2.5 times the peer, two processes each", ratio, 2.5))
    return figure


def _asked(queries: dict[str, float]) -> Figure:
    turns = {name: [value] for name, value in queries.items()}
    figure = Figure("the same: database queries", "queries/poll", turns)
    figure.goals.append(Goal("<= 1/5 of the peer's", figure.ratio(PEER), 1 / 5, most=True))
    return figure
