"""Webhooks of our own: whether receivers take them, and whether anybody finds and sends them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from models.lookup import finality
from models.storage import db
from models.tables import delivery, final_session
from models.tables.delivery import Counts
from models.tables.final_session import Unreadable
from worker.health.check import Check, Values
from worker.process.backend import Backend

DUE_TOO_LONG = timedelta(minutes=5)
"""What is due is sent within seconds, unless very much is."""

UNSEEN_TOO_LONG = timedelta(minutes=15)
"""What may be final is looked at within a minute or two, unless very much is."""

MOST_NAMED = 3

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Since:
    """Since when the oldest delivery is due, and the oldest session waits to be looked at."""

    due: datetime | None
    to_find: datetime | None


def checks(here: Backend, now: datetime) -> Iterator[Check]:
    """Nothing while the database is away: that is reported already."""
    try:
        with db.reading(here.engine) as conn:
            counts = delivery.counts(conn)
            receivers = [*map(delivery.receiver_of, here.settings.attendance_webhook_url)]
            if not receivers:
                yield _without_receivers(counts, delivery.due_since(conn), now)
                return
            made_before = now - delivery.FOR_OTHERS - DUE_TOO_LONG
            due_since = delivery.not_done_since(conn, receivers, made_before=made_before)
            waiting_since = finality.waiting_since(conn, now=now)
            unreadable = final_session.unreadable(conn, named=MOST_NAMED)
    except SQLAlchemyError:
        return
    yield _judged(counts, Since(due_since, waiting_since), unreadable, now)


def _without_receivers(counts: Counts, due_since: datetime | None, now: datetime) -> Check:
    """What waits may wait for a setting that somebody lost; later it is nobody's any more."""
    if due_since is None or now - due_since > finality.LOOKS_BACK:
        return Check("deliveries.none")
    return Check("deliveries.unset", {"pending": counts.pending})


def _judged(counts: Counts, since: Since, unreadable: Unreadable, now: datetime) -> Check:
    """The worst of what is seen."""
    values: Values = {"failed": counts.failed, "pending": counts.pending}
    if (seconds := _late(since.due, DUE_TOO_LONG, now)) is not None:
        return Check("deliveries.late", {**values, "seconds": seconds}, seconds=seconds)
    if (seconds := _late(since.to_find, UNSEEN_TOO_LONG, now)) is not None:
        return Check("deliveries.unseen", {**values, "seconds": seconds}, seconds=seconds)
    if unreadable.count:
        named = _named(unreadable)
        return Check("deliveries.unreadable", {**values, "count": unreadable.count, "named": named})
    if counts.failed_since is not None:
        hours = (now - counts.failed_since) // HOUR
        return Check("deliveries.failed", {**values, "hours": hours})
    return Check("deliveries.good", values)


def _late(since: datetime | None, at_most: timedelta, now: datetime) -> int | None:
    """For how many seconds it waits, when that is too long."""
    if since is None or now - since <= at_most:
        return None
    return round((now - since).total_seconds())


def _named(unreadable: Unreadable) -> str:
    more = ["…"] if unreadable.count > len(unreadable.first) else []
    return ", ".join([*unreadable.first, *more])
