"""Refusals: whether their time tells a session that is somebody else's from one that is not there.

Asked one at a time, now this and now that, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import random
import socket
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from statistics import median
from time import perf_counter

from tests.bench.load import BenchFailed
from tests.bench.mail import get, pupil_token
from tests.bench.polling import ROOMS, people_in_class, status_request
from tests.bench.stack import stack
from tests.bench.turns import Figure, Goal

EVENTS, ASKS = 4_000, 2_000
VISIBLE_US = 200.0
FORBIDDEN, UNKNOWN = "forbidden", "unknown"


def refusing(*, rounds: int) -> list[Figure]:
    """A pupil of another room asks for the classes of 32 rooms, whose own pupils poll, and for
    as many that nobody registered."""
    with stack("postgresql") as under, under.web() as web:
        people = people_in_class(under, web, prefix="class", events=EVENTS)
        polls = [status_request(*person) for person in people]
        turns: dict[str, list[float]] = defaultdict(list)
        over: list[float] = []
        for _ in range(rounds):
            timed = _ask(web, polls)
            for name, times in timed.items():
                turns[name].append(median(times))
            over.append(_share_over(timed))
    figure = Figure("a refusal, one at a time", "µs", dict(turns))
    apart = abs(figure.median(FORBIDDEN) - figure.median(UNKNOWN))
    figure.goals.append(Goal("unknown within 200 µs of forbidden", apart, VISIBLE_US, most=True))
    figure.notes["µs apart"] = round(apart, 1)
    figure.notes["% of forbidden that took longer than an unknown"] = round(100 * median(over), 1)
    return [figure]


def _ask(port: int, polls: list[bytes]) -> Mapping[str, list[float]]:
    """Microseconds of each ask, by what it was for; one in ten is a pupil's own poll, so that the
    classes stay in the cache."""
    chance, timed = random.Random(1), defaultdict[str, list[float]](list)
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        for number in range(2 * ASKS):
            if number % 10 == 0:
                _answer(connection, chance.choice(polls), b" 200 ")
            name = chance.choice((FORBIDDEN, UNKNOWN))
            room = f"{'class' if name == FORBIDDEN else 'glass'}-{chance.randint(1, ROOMS):04d}"
            request = get(f"/api/sessions/{room}/attendance-status", pupil_token("other", "5"))
            began = perf_counter()
            _answer(connection, request, b" 403 ")
            timed[name].append((perf_counter() - began) * 1e6)
    return {name: timed[name] for name in (FORBIDDEN, UNKNOWN)}


def _answer(connection: socket.socket, request: bytes, status: bytes) -> None:
    """Raises BenchFailed for another status."""
    connection.sendall(request)
    said = connection.recv(65536)
    if status not in said[:16]:
        raise BenchFailed(f"expected{status.decode()}and got {said[:80]!r}")


def _share_over(timed: Mapping[str, list[float]]) -> float:
    """How often one of those that are forbidden took longer than one of those that are unknown:
    half of the time when nothing tells them apart."""
    ranked = sorted((each, name) for name, times in timed.items() for each in times)
    unknown = over = 0
    for _, name in ranked:
        if name == UNKNOWN:
            unknown += 1
        else:
            over += unknown
    return over / (len(timed[FORBIDDEN]) * len(timed[UNKNOWN]))
