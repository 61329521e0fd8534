"""Statuses from the cache, their token checked, beside routes that check and compute nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from statistics import median

from tests.bench import inbox
from tests.bench.load import Load, drive
from tests.bench.mail import Classes, get, people_in, pupil_token
from tests.bench.stack import Stack, floors, register, stack
from tests.bench.turns import Figure, Goal, in_turns

ROOMS, PEOPLE, EVENTS = 32, 30, 4_000
CONNECTIONS = 32
TURN_SECONDS = 2.0
PATIENCE_SECONDS = 120


class Poller:
    """Pages that poll, each as soon as it was answered; the first turn warms up."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self.port, self.requests, self.turns = port, requests, list[Load]()

    def measure(self) -> float:
        lanes = [self._lane(number) for number in range(CONNECTIONS)]
        self.turns.append(drive(self.port, lanes, seconds=TURN_SECONDS).only(200))
        return self.turns[-1].rate

    def _lane(self, number: int) -> Iterator[bytes]:
        return islice(cycle(self.requests), number, None, CONNECTIONS)

    @property
    def p99_ms(self) -> float:
        return round(median(turn.percentile(99) for turn in self.turns[1:]), 1)


def polling(*, rounds: int) -> list[Figure]:
    """Everybody of 32 classes polls in turn; a class that falls out of the cache is read anew."""
    with ExitStack() as resources:
        under = resources.enter_context(stack("postgresql"))
        web = resources.enter_context(under.web())
        people = people_in_class(under, web, prefix="class", events=EVENTS)
        floor = resources.enter_context(floors(under.redis_url))
        pollers = {
            "status, cache hit": Poller(web, [status_request(*person) for person in people]),
            "one HMGET": Poller(floor, [get("/hmget")]),
            "bare route": Poller(floor, [get("/bare")]),
        }
        turns = in_turns({name: one.measure for name, one in pollers.items()}, rounds=rounds)
    figure = Figure("statuses from the cache, token checked", "answers/s", turns)
    figure.goals.append(Goal(">= 90% of one HMGET", figure.ratio("one HMGET"), 0.9))
    figure.notes.update({f"p99 ms, {name}": one.p99_ms for name, one in pollers.items()})
    return [figure]


def people_in_class(under: Stack, web: int, *, prefix: str, events: int) -> list[tuple[str, str]]:
    """Everyone who came into 32 registered classes, in rooms of that prefix, in so many events."""
    classes = Classes(rooms=ROOMS, people=PEOPLE, prefix=prefix)
    told = classes.next(events)
    with under.worker():
        inbox.fill(under, told)
        inbox.drained(under, within=PATIENCE_SECONDS)
    register(web, classes.room_names)
    return people_in(told)


def status_request(room: str, user_id: str) -> bytes:
    """A poll with the person's own token."""
    return get(f"/api/sessions/{room}/attendance-status", pupil_token(room, user_id))
