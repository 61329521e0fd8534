"""The prune: what the ledger kept for RETENTION_DAYS goes, a little at a time; so do revisions, and
deliveries that are done with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic, perf_counter, sleep

import structlog
from sqlalchemy import Connection

from models.ledger import retention
from models.lookup import finality
from models.storage import db
from models.tables import delivery, revision
from worker.inbox import bell, own_job
from worker.process.backend import Backend, own_backend

BATCH = 500
"""Rows a transaction: a few milliseconds in which SQLite's other writers wait."""

SLICE = 4
"""Batches of each table a job: shorter than a drain, which may be waiting behind it."""

SLICE_SECONDS = 5.0
"""After which a job begins no other batch of a table: in a slow database, too, it ends in time."""

log = structlog.get_logger()


def prune_some() -> None:
    """RQ job: remove a slice of what is past its retention, and have another job do the rest.

    One job follows another, behind whatever else waits: they never pile up, and drains come
    between them. The ledger comes first: it is what grows.
    """
    backend, now = own_backend(), datetime.now(UTC)
    before = bound(backend, now)
    more = [
        some(backend, before=before),
        forget_revisions(backend, now=now),
        forget_deliveries(backend, before=before),
    ]
    if any(more):
        bell.enqueue(backend.redis, own_job.PRUNE)


def forget_revisions(backend: Backend, *, now: datetime) -> bool:
    """Remove a slice of the revisions that nobody needs any more: neither the cache nor whoever
    looks for changes of what is final. Whether there may be more."""
    before = now - finality.CHANGES_KEPT_FOR
    prune = partial(revision.prune, before=before, limit=BATCH)
    return _take_slice(_repeated(backend, prune))[1]


def forget_deliveries(backend: Backend, *, before: datetime) -> bool:
    """Remove a slice of the deliveries that were made before and are done with; whether there may
    be more."""
    prune = partial(delivery.prune, before=before, limit=BATCH)
    return _take_slice(_repeated(backend, prune))[1]


def bound(backend: Backend, now: datetime, *, days: int | None = None) -> datetime:
    """What is older than this goes."""
    return now - timedelta(days=days or backend.settings.retention_days)


def batches(backend: Backend, *, before: datetime) -> Iterator[int]:
    """Remove all that is older and done with, a transaction each step; how many in each.

    Between two steps it leaves the database to others for as long as it took itself.
    """
    since: datetime | None = None
    while True:
        started = perf_counter()
        with db.writing(backend.engine) as conn:
            found = retention.prune(conn, before=before, since=since, limit=BATCH)
        yield len(found)
        if len(found) < BATCH:
            return
        since = found[-1].received_at
        sleep(perf_counter() - started)


def some(backend: Backend, *, before: datetime) -> bool:
    """Remove a slice of the ledger; whether there may be more."""
    removed, more = _take_slice(batches(backend, before=before))
    if removed:
        log.info("ledger.pruned", count=removed)
    return more


def _repeated(backend: Backend, prune: Callable[[Connection], int]) -> Iterator[int]:
    """A transaction each step, until nothing is left; how many rows each removed."""
    removed = BATCH
    while removed == BATCH:
        with db.writing(backend.engine) as conn:
            removed = prune(conn)
        yield removed


def _take_slice(steps: Iterator[int]) -> tuple[int, bool]:
    """Take as many of these steps as a job may: how many rows they removed, and whether there may
    be more."""
    began, removed = monotonic(), 0
    for number, count in enumerate(steps, start=1):
        removed += count
        if number == SLICE or monotonic() - began >= SLICE_SECONDS:
            return removed, count == BATCH
    return removed, False
