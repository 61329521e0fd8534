"""The prune: what the ledger kept for RETENTION_DAYS goes, a little at a time; so do revisions, and
deliveries that are done with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import perf_counter, sleep

import structlog

from models.ledger import retention
from models.lookup import finality
from models.storage import db
from models.tables import delivery, revision
from worker.inbox import bell, own_job
from worker.process.backend import Backend, own_backend

BATCH = 500
"""Rows a transaction: a few milliseconds in which SQLite's other writers wait."""

SLICE = 4
"""Batches a job: shorter than a drain, which may be waiting behind it."""

log = structlog.get_logger()


def prune_some() -> None:
    """RQ job: remove a slice of what is past its retention, and have another job do the rest.

    One job follows another, behind whatever else waits: they never pile up, and drains come
    between them.
    """
    backend = own_backend()
    forget_revisions(backend, now=datetime.now(UTC))
    before = bound(backend, datetime.now(UTC))
    forget_deliveries(backend, before=before)
    if some(backend, before=before):
        bell.enqueue(backend.redis, own_job.PRUNE)


def forget_revisions(backend: Backend, *, now: datetime) -> None:
    """Remove the revisions that nobody needs any more, a batch after another: neither the cache nor
    whoever looks for changes of what is final."""
    removed = BATCH
    while removed == BATCH:
        with db.writing(backend.engine) as conn:
            before = now - finality.CHANGES_KEPT_FOR
            removed = revision.prune(conn, before=before, limit=BATCH)


def forget_deliveries(backend: Backend, *, before: datetime) -> None:
    """Remove the deliveries that were made before and are done with, a batch after another."""
    removed = BATCH
    while removed == BATCH:
        with db.writing(backend.engine) as conn:
            removed = delivery.prune(conn, before=before, limit=BATCH)


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
    """Remove a slice; whether there is more."""
    removed = 0
    for number, count in enumerate(batches(backend, before=before), start=1):
        removed += count
        if number == SLICE:
            break
    if removed:
        log.info("ledger.pruned", count=removed)
    return removed == SLICE * BATCH
