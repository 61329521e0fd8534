"""`/metrics`: what the processes counted, and what the tables and Redis say at this moment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import structlog
from flask import Blueprint
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from models.ledger import failures
from models.storage import db, reasons
from models.tables import cycle, delivery, final_session, pending_event, webhook_event
from webhooks.door.context import backend, present
from webhooks.door.operation import Answer, operation
from webhooks.door.responses import Response
from worker.health import standby
from worker.inbox import bell, spool, workers
from worker.process import metrics_dir

metrics = Blueprint("metrics", __name__)

log = structlog.get_logger()


@metrics.get("/metrics")
@operation(answers={200: Answer("Prometheus' text format.", {CONTENT_TYPE_LATEST: None})})
def exposition() -> Response:
    """Prometheus' text format. What can't be asked now is left out, and `up` gauges say so."""
    registry = CollectorRegistry()
    registry.register(_Present())
    return Response(_counted() + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _counted() -> bytes:
    """This host's counts, or in a process that shares no directory its own."""
    if metrics_dir.VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's
    with metrics_dir.reading():
        return generate_latest(registry)


class _Present:
    """The gauges, asked for at each scrape."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from _of_database()
        yield from _of_standby()
        yield from _of_redis()


def _of_database() -> Iterator[GaugeMetricFamily]:
    try:
        with db.reading(backend().engine) as conn:
            waiting = pending_event.count(conn)
            waited = pending_event.longest_wait(conn, now=present())
            failed, unreadable = webhook_event.failed(conn), webhook_event.unreadable(conn)
            failed_again, accepted = failures.again(conn), webhook_event.last_accepted(conn)
            since = present() - backend().rules.max_cycle
            inside = cycle.open_count(conn, since=since)
            counts = delivery.counts(conn)
            unread = final_session.unreadable(conn)
    except SQLAlchemyError as error:
        log.warning("metrics.database_down", reason=reasons.of(error))
        yield _gauge("rollcall_database_up", "Whether the database answers.", 0)
        return
    yield _gauge("rollcall_database_up", "Whether the database answers.", 1)
    yield _gauge("rollcall_events_pending", "Events that wait to be applied.", waiting)
    about = "How long the oldest has waited, but for those that a replay put back."
    yield _gauge("rollcall_oldest_pending_seconds", about, waited.total_seconds())
    yield _gauge("rollcall_events_failed", "Failed events in the ledger.", failed)
    about = "Failed events in the ledger that a replay did not mend."
    yield _gauge("rollcall_events_failed_again", about, failed_again)
    if accepted is not None:
        about = "When LiveKit's last webhook was accepted."
        yield _gauge("rollcall_last_accepted_timestamp_seconds", about, accepted.timestamp())
    yield _gauge("rollcall_events_unreadable", "Unreadable events in the ledger.", unreadable)
    yield _gauge("rollcall_open_cycles", "Visits that nobody has ended, of late.", inside)
    about = "Webhooks of our own that no receiver took yet."
    yield _gauge("rollcall_deliveries_pending", about, counts.pending)
    about = "Webhooks of our own that nobody tries to send again by itself."
    yield _gauge("rollcall_deliveries_failed", about, counts.failed)
    about = "Sessions that could not be read, so that nobody is told whether they are final."
    yield _gauge("rollcall_sessions_unreadable", about, unread.count)


def _of_standby() -> Iterator[GaugeMetricFamily]:
    """Nothing where there is none."""
    for check in standby.checks(backend().standby, present()):
        if check.finding != "standby.none":
            about = "Whether the standby answers rosters and exports."
            yield _gauge("rollcall_standby_up", about, check.well)
        if check.seconds is not None:
            about = "How far the standby is behind the primary."
            yield _gauge("rollcall_standby_lag_seconds", about, check.seconds)


def _of_redis() -> Iterator[GaugeMetricFamily]:
    try:
        redis = backend().redis
        spooled, queued = spool.length(redis), bell.queue(redis).count
        working, scheduling = workers.alive(redis), workers.schedulers(redis)
    except RedisError as error:
        log.warning("metrics.redis_down", reason=reasons.of(error))
        yield _gauge("rollcall_redis_up", "Whether Redis answers.", 0)
        return
    yield _gauge("rollcall_redis_up", "Whether Redis answers.", 1)
    yield _gauge("rollcall_spooled_events", "Events in Redis until the database is back.", spooled)
    yield _gauge("rollcall_queued_jobs", "Drains and sweeps that wait for a worker.", queued)
    yield _gauge("rollcall_workers", "Workers that are alive.", working)
    yield _gauge("rollcall_schedulers", "Schedulers that are alive.", scheduling)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)
