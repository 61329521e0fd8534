"""What a deployment needs, from how many people, rooms and polls it has: `make sizing`.

What one operation costs was measured by `make bench ONLY=sizing`, which also compares the whole
model with 10,000 and 50,000 simulated people. docs/performance.md has the table for powers of ten.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import ceil, exp
from typing import Final

MILLISECOND = 1e-3
MEBIBYTE, GIBIBYTE = 2**20, 2**30

BUSY: Final = 0.6
"""How busy a core may be: above it, requests begin to wait for each other."""

APPLIED_A_SECOND: Final = 6_000
TWO_WORKERS: Final = 1.7
"""Events that a worker applies, and how much more two do; others are worth nothing (docs say why).
"""

LARGEST = 10_000_000_000
"""There are no more people."""

LARGE_CORES, LARGE_GIB = 32, 2_000
"""A large PostgreSQL: beyond it, somebody has to think about partitions and several databases."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of processor time that one operation takes, by who takes them."""

    web: float = 0.0
    worker: float = 0.0
    postgresql: float = 0.0
    redis: float = 0.0

    def times(self, count: float) -> Cost:
        return Cost(
            self.web * count, self.worker * count, self.postgresql * count, self.redis * count
        )

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.web + other.web,
            self.worker + other.worker,
            self.postgresql + other.postgresql,
            self.redis + other.redis,
        )


@dataclass(frozen=True, slots=True)
class Costs:
    """What each operation costs. An event is stored, applied and clears its class. A miss reads a
    class of 30 people and 60 visits.

    Alone: `PACE` a second. At full load events share commits, batches and clears.
    """

    event_alone: Cost
    event: Cost
    hit_alone: Cost
    hit: Cost
    revalidated: Cost
    miss: Cost


@dataclass(frozen=True, slots=True)
class Load:
    """Operations a second."""

    events: float
    hits: float
    revalidated: float
    misses: float

    def cost(self, costs: Costs) -> Cost:
        """What they cost: above `PACE` each one more costs what it costs at full load."""
        return (
            costs.event_alone.times(min(self.events, PACE))
            + costs.event.times(max(self.events - PACE, 0))
            + costs.hit_alone.times(min(self.hits, PACE))
            + costs.hit.times(max(self.hits - PACE, 0))
            + costs.revalidated.times(self.revalidated)
            + costs.miss.times(self.misses)
        )


PACE: Final = 250
"""Operations a second at which what costs one alone was measured."""

MEASURED: Final = Costs(
    event_alone=Cost(web=2.8, worker=2.8, postgresql=1.1, redis=0.14),
    event=Cost(web=1.5, worker=1.0, postgresql=0.49, redis=0.04),
    hit_alone=Cost(web=1.6, redis=0.11),
    hit=Cost(web=0.92, redis=0.06),
    revalidated=Cost(web=2.6, postgresql=0.24, redis=0.38),
    miss=Cost(web=5.4, postgresql=1.4, redis=0.69),
)
"""By `make bench ONLY=sizing` (docs/performance.md says on what and when)."""

EVENT_BYTES: Final = 584
VISIT_BYTES: Final = 551
"""Of tables and indexes, after a VACUUM: of 40,000 events, and of 10,393 visits."""

CACHED_VISIT_BYTES: Final = 2 * 360
"""Two copies in Redis, all that belongs to the class included: 7.8 kB for a person with 10.8."""


@dataclass(frozen=True, slots=True)
class School:
    """So many people at once, in rooms of so many, whose pages poll each `poll_seconds`; all come
    within `arrival_seconds`, and send `events_an_hour` for `hours` on `days` a year. Events are
    kept for `retention_days`; attendance is kept for ever, and is counted for a year."""

    people: int
    people_a_room: int = 30
    poll_seconds: float = 60
    arrival_seconds: float = 60
    events_an_hour: float = 4
    hours: float = 5
    days: int = 200
    retention_days: int = 30
    ttl_seconds: float = 10

    @property
    def rooms(self) -> int:
        return ceil(self.people / self.people_a_room)

    @property
    def polls(self) -> float:
        """A second."""
        return self.people / self.poll_seconds

    @property
    def arriving(self) -> float:
        """Events a second at the start of a class, one a person and two a room."""
        return (self.people + 2 * self.rooms) / self.arrival_seconds

    @property
    def events_a_day(self) -> float:
        return self.people * self.events_an_hour * self.hours


@dataclass(frozen=True, slots=True)
class Needs:
    """What the start of a class needs, in cores, and what a year stores."""

    web: float
    worker: float
    postgresql: float
    redis: float
    web_processes: int
    workers: int
    redis_mib: float
    postgresql_gib: float
    full: dict[str, float]
    """How full is what can't be multiplied, as a part of 1."""

    @property
    def bottleneck(self) -> str:
        """What is full first when people are added."""
        return max(self.full, key=self.full.__getitem__)


def needs(school: School, costs: Costs = MEASURED) -> Needs:
    """What a school needs in the minute in which all come and poll."""
    second = at_start(school).cost(costs)
    web, worker, postgresql, redis = (
        milliseconds * MILLISECOND
        for milliseconds in (second.web, second.worker, second.postgresql, second.redis)
    )
    web_processes = max(1, ceil(web / BUSY))
    workers = 1 if school.arriving < APPLIED_A_SECOND * BUSY else 2
    visits = school.events_a_day * school.days / 2
    stored = school.events_a_day * min(school.retention_days, school.days) * EVENT_BYTES
    cached = school.people * school.events_an_hour / 2 * CACHED_VISIT_BYTES
    stored_gib = (stored + visits * VISIT_BYTES) / GIBIBYTE
    full = {
        "workers": school.arriving / (APPLIED_A_SECOND * TWO_WORKERS),
        "PostgreSQL's processors": postgresql / (LARGE_CORES * BUSY),
        "PostgreSQL's disk": stored_gib / LARGE_GIB,
        "Redis's core": redis / BUSY,
    }
    return Needs(
        web=web,
        worker=worker,
        postgresql=postgresql,
        redis=redis,
        web_processes=web_processes,
        workers=workers,
        redis_mib=cached / MEBIBYTE,
        postgresql_gib=stored_gib,
        full=full,
    )


def at_start(school: School) -> Load:
    """A second in which all come, and poll."""
    return load(
        events=school.arriving,
        polls=school.polls,
        rooms=school.rooms,
        ttl_seconds=school.ttl_seconds,
    )


def load(*, events: float, polls: float, rooms: float, ttl_seconds: float) -> Load:
    """Each event clears its class, so the next poll of it is a miss (events and polls come by
    chance); what is not missed is checked once in `ttl_seconds`."""
    misses = polls * (1 - exp(-events / polls))
    checks = min(polls - misses, rooms / ttl_seconds)
    return Load(events, polls - misses - checks, checks, misses)


def row(school: School) -> str:
    """A line of the table in docs/performance.md."""
    need = needs(school)
    cores = need.web + need.worker + need.postgresql + need.redis
    return (
        f"| {school.people:,} | {school.arriving:,.0f} | {school.polls:,.0f} | {need.web_processes}"
        f" | {need.workers} | {need.web:.1f} + {need.worker:.1f} + {need.postgresql:.1f} +"
        f" {need.redis:.1f} = {cores:.1f} | {need.redis_mib:,.0f} MiB"
        f" | {need.postgresql_gib:,.1f} GiB | {need.bottleneck}:"
        f" {need.full[need.bottleneck]:.0%} |"
    )


HEAD = (
    "| people at once | events/s as all come | polls/s | web processes | workers"
    " | cores: web + workers + PostgreSQL + Redis | cache | PostgreSQL, a year"
    " | full first |\n|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    usual = asdict(School(people=0))
    parser = argparse.ArgumentParser(prog="make sizing", description=__doc__)
    powers = [10**n for n in range(2, 7)]
    parser.add_argument("--people", type=_number(int), nargs="*", default=powers)
    for name in ("people_a_room", "retention_days", "days"):
        _option(parser, name, int, usual[name])
    for name in ("poll_seconds", "arrival_seconds", "events_an_hour", "hours"):
        _option(parser, name, float, usual[name])
    asked = vars(parser.parse_args())
    print(HEAD)
    for people in asked.pop("people"):
        print(row(School(people=people, **asked)))


def _option(
    parser: argparse.ArgumentParser, name: str, kind: Callable[[str], float], default: float
) -> None:
    parser.add_argument(f"--{name.replace('_', '-')}", type=_number(kind), default=default)


def _number(kind: Callable[[str], float]) -> Callable[[str], float]:
    def read(word: str) -> float:
        number = kind(word)
        if not 0 < number < LARGEST:
            raise argparse.ArgumentTypeError(f"{word} is not between 0 and {LARGEST:,}")
        return number

    read.__name__ = "number"  # argparse says so of what is none
    return read


if __name__ == "__main__":
    main()
