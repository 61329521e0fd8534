"""Webhooks of our own: whether receivers take them, and whether anybody sends them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from models.storage import db
from models.tables import delivery
from models.tables.delivery import Counts
from worker.health.check import Check, Values
from worker.process.backend import Backend

DUE_TOO_LONG = timedelta(minutes=5)
"""What is due is sent within seconds, unless very much is."""

HOUR = timedelta(hours=1)


def checks(here: Backend, now: datetime) -> Iterator[Check]:
    """Nothing while the database is away: that is told already."""
    if not here.settings.attendance_webhook_url:
        yield Check("deliveries.none")
        return
    try:
        with db.reading(here.engine) as conn:
            yield _judged(delivery.counts(conn), now)
    except SQLAlchemyError:
        return


def _judged(counts: Counts, now: datetime) -> Check:
    values: Values = {"failed": counts.failed, "pending": counts.pending}
    if counts.due_since is not None and now - counts.due_since > DUE_TOO_LONG:
        seconds = round((now - counts.due_since).total_seconds())
        return Check("deliveries.late", {**values, "seconds": seconds}, seconds=seconds)
    if counts.failed_since is not None:
        hours = (now - counts.failed_since) // HOUR
        return Check("deliveries.failed", {**values, "hours": hours})
    return Check("deliveries.good", values)
