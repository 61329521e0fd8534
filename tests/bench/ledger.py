"""A million events stored: what each filter of the ledger takes, and what it costs the others.

`python -m tests.bench.ledger` runs it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import quantiles
from time import perf_counter
from typing import Any

from models.domain import event as events
from models.ledger import entry
from models.ledger.filters import Cursor, Filters
from models.settings.settings import Settings
from models.storage import db, schema
from models.tables import pending_event, webhook_event
from tests import servers
from tests.bench import incident, report
from tests.bench.mail import Classes
from tests.bench.turns import ROUNDS, Figure, Goal, Measure, in_turns
from tests.build import KEY, SECRET
from worker.jobs import draining
from worker.process import logs
from worker.process.backend import Backend

FEW, MANY = 1_000, 1_000_000
MOST_MS = 50.0
QUERIES = 30
RECEIVED, DRAINED = 1_000, 5_000
"""Events a turn."""

SLOWER = 0.8
"""Of the rate with a thousand events stored: what is left with a million."""


def ledger(*, rounds: int) -> list[Figure]:
    """Queries by themselves; receiving and draining in turns with a nearly empty ledger."""
    with ExitStack() as resources:
        few = resources.enter_context(_stored(FEW))
        many = resources.enter_context(_stored(MANY))
        figures = [_queries(many)]
        for title, measure in (("received", _receive), ("drained", _drain)):
            measures: dict[str, Measure] = {
                f"{MANY:,} stored": partial(measure, many),
                f"{FEW:,} stored": partial(measure, few),
            }
            figure = Figure(f"events {title}", "events/s", in_turns(measures, rounds=rounds))
            ratio = figure.ratio(figure.others[0])
            figure.goals.append(Goal(f">= {SLOWER:.0%} of it", ratio, SLOWER))
            figures.append(figure)
    return figures


@dataclass(frozen=True, slots=True)
class _Ledger:
    backend: Backend
    classes: Classes


@contextmanager
def _stored(number: int) -> Iterator[_Ledger]:
    """A database of its own with so many events; of a thousand, one failed."""
    with servers.postgres(f"bench_{number}") as url, servers.valkey() as redis_url:
        schema.upgrade(url)
        settings = Settings(
            livekit_api_key=KEY,
            livekit_api_secret=SECRET,
            database_url=url,
            redis_url=redis_url,
            log_level="error",
            _env_file=None,
        )
        logs.configure(settings)
        backend = Backend.of(settings)
        incident.fill(backend.engine, count=number, failed=1, rooms=True)
        yield _Ledger(backend, Classes(rooms=100, people=30, prefix="new"))
        backend.close()


def _queries(stored: _Ledger) -> Figure:
    """The slowest of each filter's pages, the first and a deep one."""
    now = datetime.now(UTC)
    deep = Cursor(now - incident.SPAN / 2, MANY)
    slowest = {}
    for name, asked in _filters(now).items():
        taken = [_page(stored, one, after=after) for one in asked for after in (None, deep)]
        slowest[name] = quantiles(taken, n=20)[-1]
    figure = Figure(
        f"a page of the ledger by each filter, {MANY:,} events stored (p95)",
        "ms",
        {name: [ms] for name, ms in slowest.items()},
        compared=False,
    )
    goal = Goal(f"each < {MOST_MS:g} ms", max(slowest.values()), MOST_MS, most=True)
    figure.goals.append(goal)
    return figure


def _filters(now: datetime) -> dict[str, list[Filters]]:
    some = range(QUERIES)
    return {
        "no filter": [Filters() for _ in some],
        "status failed": [Filters(status="failed") for _ in some],
        "status applied": [Filters(status="applied") for _ in some],
        "status pending": [Filters(status="pending") for _ in some],
        "event": [Filters(event="participant_left") for _ in some],
        "event that never came": [Filters(event="participant_seen") for _ in some],
        "room_name": [Filters(room_name=f"class-{n}") for n in some],
        "session_id": [Filters(session_id=f"session-{n}") for n in some],
        "user_id": [Filters(user_id=f"pupil-{n}") for n in some],
        "since": [Filters(since=now - timedelta(hours=n)) for n in some],
        "until": [Filters(until=now - timedelta(hours=n)) for n in some],
        "status, event and user_id": [
            Filters(status="failed", event="participant_left", user_id=f"pupil-{n}") for n in some
        ],
    }


def _page(stored: _Ledger, asked: Filters, *, after: Cursor | None) -> float:
    began = perf_counter()
    with db.reading(stored.backend.engine) as conn:
        entry.page(conn, asked, after=after, limit=100)
    return 1000 * (perf_counter() - began)


def _receive(stored: _Ledger) -> float:
    """Events stored one by one, each with its own commit, as the receiver does: per second."""
    rows = _rows(stored, RECEIVED)
    began = perf_counter()
    for row in rows:
        with db.inserting(stored.backend.engine) as conn:
            webhook_event.insert_rows(conn, [row])
    seconds = perf_counter() - began
    _empty_inbox(stored)
    return RECEIVED / seconds


def _drain(stored: _Ledger) -> float:
    """Events applied from a backlog by this process, per second."""
    with db.writing(stored.backend.engine) as conn:
        webhook_event.insert_rows(conn, _rows(stored, DRAINED))
    began = perf_counter()
    _empty_inbox(stored)
    return DRAINED / (perf_counter() - began)


def _empty_inbox(stored: _Ledger) -> None:
    while _pending(stored):
        draining.work_off(stored.backend)


def _pending(stored: _Ledger) -> int:
    with db.reading(stored.backend.engine) as conn:
        return pending_event.count(conn)


def _rows(stored: _Ledger, number: int) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    payloads = [events.redact(events.parse(one.body())) for one in stored.classes.next(number)]
    return [webhook_event.pending_row(events.read(one), one, received_at=now) for one in payloads]


if __name__ == "__main__":
    report.show(ledger(rounds=ROUNDS))
