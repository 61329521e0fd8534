"""Events applied by one worker from a backlog, beside the peer's job: one commit an event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter, sleep

from google.protobuf.json_format import Parse
from livekit.protocol.webhook import WebhookEvent
from rq import Queue

from tests.bench import inbox
from tests.bench.load import BenchFailed
from tests.bench.mail import Classes
from tests.bench.peer import jobs
from tests.bench.stack import Stack, peer, peer_worker, stack
from tests.bench.turns import Figure, Goal, Measure, in_turns
from webhooks.simulator.event import Event

ROOMS, PEOPLE = 100, 30
BACKLOG, SQLITE_BACKLOG, PEER_BACKLOG = 100_000, 20_000, 500
"""What each side gets through in seconds; a rate does not depend on how much there is."""

PATIENCE_SECONDS = 300
PEER = "peer's job, PostgreSQL"


def draining(*, rounds: int) -> list[Figure]:
    """Each side in turn has one worker that waits for its backlog."""
    with ExitStack() as resources:
        production = resources.enter_context(stack("postgresql"))
        embedded = resources.enter_context(stack("sqlite"))
        measures = {
            "one worker, PostgreSQL": resources.enter_context(_backlog(production, BACKLOG)),
            PEER: resources.enter_context(_peer_backlog(production)),
            "one worker, SQLite": resources.enter_context(_backlog(embedded, SQLITE_BACKLOG)),
        }
        turns = in_turns(measures, rounds=rounds)
    figure = Figure(f"events applied from a backlog of {BACKLOG:,}", "events/s", turns)
    figure.goals.append(Goal(">= 3,000/s", figure.median(figure.ours), 3_000))
    figure.goals.append(Goal(">= 30 times the peer's job", figure.ratio(PEER), 30))
    return [figure]


@contextmanager
def _backlog(under: Stack, size: int) -> Iterator[Measure]:
    inbox.fill(under, Classes(rooms=ROOMS, people=PEOPLE, prefix="class").next(size))
    inbox.keep(under)
    with under.worker():
        yield lambda: inbox.timed_drain(under, size, within=PATIENCE_SECONDS)


@contextmanager
def _peer_backlog(under: Stack) -> Iterator[Measure]:
    classes = Classes(rooms=ROOMS, people=PEOPLE, prefix="peer")
    queue = Queue("peer", connection=under.redis)

    def measure() -> float:
        visits = [one for one in classes.next(2 * PEER_BACKLOG) if one.visit][:PEER_BACKLOG]
        mail = [
            Queue.prepare_data(jobs.apply, kwargs=jobs.told(_event(one)), result_ttl=0)
            for one in visits
        ]
        queue.enqueue_many(mail)
        began = perf_counter()
        while queue.count or queue.started_job_registry.count:
            if perf_counter() - began > PATIENCE_SECONDS:
                raise BenchFailed("the peer's jobs were not done in time")
            sleep(0.005)
        return len(visits) / (perf_counter() - began)

    with peer(under.database_url, under.redis_url), peer_worker(under):
        yield measure


def _event(planned: Event) -> WebhookEvent:
    return Parse(planned.body(), WebhookEvent(), ignore_unknown_fields=True)
