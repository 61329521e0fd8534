"""The same work with more and more stored: what an event or a poll costs must not depend on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from sqlalchemy import text

from models import db
from models.engine import make_engine
from tests.bench import inbox
from tests.bench.load import drive
from tests.bench.mail import Classes, people_in
from tests.bench.polling import Poller, status_request
from tests.bench.receiving import Receiver
from tests.bench.stack import Stack, register, stack
from tests.bench.turns import Figure, Goal, Measure, in_turns

SIZES = (1_000, 100_000, 2_000_000)
SEED = 1_000
"""Events that are applied for real; what is stored more are copies of them, under other names."""

BACKLOG, MISSES = 5_000, 9
PATIENCE_SECONDS, COPYING_SECONDS = 60, 900
WITHIN = 0.2

COPIED = {
    "sessions": ("id", "room_name"),
    "rooms": ("sid", "name", "session_id"),
    "cycles": ("cycle_id", "room_sid", "user_id"),
    "webhook_events": ("event_id", "room_sid", "room_name", "participant_sid", "user_id"),
}
"""What of each table's rows gets another name in every copy."""


@dataclass(frozen=True, slots=True)
class _Measures:
    receive: Measure
    poll: Measure
    miss: Measure
    drain: Measure


def growth(*, rounds: int) -> list[Figure]:
    with ExitStack() as resources:
        sizes = {f"{size:,} stored": resources.enter_context(_stored(size)) for size in SIZES}
        return [
            _figure("webhooks acknowledged", sizes, lambda one: one.receive, rounds),
            _figure("statuses from the cache", sizes, lambda one: one.poll, rounds),
            _figure("statuses that are not cached", sizes, lambda one: one.miss, rounds),
            _figure(f"a backlog of {BACKLOG:,} drained", sizes, lambda one: one.drain, rounds),
        ]


@contextmanager
def _stored(size: int) -> Iterator[_Measures]:
    with ExitStack() as resources:
        under = resources.enter_context(stack("postgresql", name=f"bench_{size}"))
        seed = Classes(rooms=10, people=20, prefix="seed", seed=size)
        polled = Classes(rooms=32, people=30, prefix="class", seed=size)
        events = polled.next(2_000)
        with under.worker():
            inbox.fill(under, seed.next(SEED))
            inbox.drained(under, within=PATIENCE_SECONDS)
            _copy(under, size // SEED - 1)
            inbox.fill(under, events)
            inbox.drained(under, within=PATIENCE_SECONDS)
        web = resources.enter_context(under.web())
        register(web, polled.room_names)
        people = people_in(events)
        yield _Measures(
            receive=Receiver(web, f"at-{size}").measure,
            poll=Poller(web, [status_request(*person) for person in people]).measure,
            miss=_misses(under, web, dict(people)),
            drain=_drain(under, size),
        )


def _copy(under: Stack, copies: int) -> None:
    engine = make_engine(under.database_url, limit=COPYING_SECONDS)
    with db.writing(engine) as conn:
        for table, names in COPIED.items():
            changes = [f"'{name}', one.{name} || '-' || n" for name in names]
            if table == "webhook_events":
                changes.append("'id', nextval(pg_get_serial_sequence('webhook_events', 'id'))")
            copied = (
                f"INSERT INTO {table} SELECT (jsonb_populate_record(one,"  # noqa: S608  (our own)
                f" jsonb_build_object({', '.join(changes)}))).*"
                f" FROM {table} one, generate_series(1, :copies) n"
            )
            conn.execute(text(copied), {"copies": copies})
    with db.reading(engine) as conn:
        conn.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def _misses(under: Stack, port: int, somebody: dict[str, str]) -> Measure:
    """Somebody of each class polls, one after another, and the cache has none of them."""
    requests = [status_request(*person) for person in somebody.items()]

    def once() -> float:
        under.redis.delete(*under.redis.scan_iter("rc:*"))
        return drive(port, [iter(requests)], seconds=60).only(200).rate

    return lambda: median(once() for _ in range(MISSES))


def _drain(under: Stack, size: int) -> Callable[[], float]:
    classes = Classes(rooms=100, people=30, prefix="backlog", seed=size + 1)

    def drain() -> float:
        with under.worker():
            inbox.drained(under, within=PATIENCE_SECONDS)
            inbox.fill(under, classes.next(BACKLOG))
            return inbox.rate(under, BACKLOG, within=PATIENCE_SECONDS)

    return drain


def _figure(
    what: str, sizes: dict[str, _Measures], of: Callable[[_Measures], Measure], rounds: int
) -> Figure:
    most_first = dict(reversed(sizes.items()))
    turns = in_turns({name: of(one) for name, one in most_first.items()}, rounds=rounds)
    figure = Figure(f"{what}, by what is stored", "/s", turns)
    least = f"{SIZES[0]:,} stored"
    for name in turns:
        if name != least:
            ratio = figure.ratio(least) / (figure.ratio(name) if name != figure.ours else 1)
            figure.goals.append(Goal(f"{name}: within 20% of {least}", ratio, 1 - WITHIN))
    return figure
