"""Everything that this process can find out about its own health.

LiveKit's API is not asked, so that the web process need not load its client.
"""

from __future__ import annotations

from datetime import datetime

from worker.health import attendance, database, deliveries, redis, standby
from worker.health.check import Check
from worker.process.backend import Backend


def findings(here: Backend, *, now: datetime) -> list[Check]:
    """All of `checks`, and what is reported of attendance and sent to receivers: for people who
    ask, not for each probe."""
    of_attendance = attendance.checks(here.engine, now, here.rules)
    return [*checks(here, now=now), *of_attendance, *deliveries.checks(here, now)]


def checks(here: Backend, *, now: datetime) -> list[Check]:
    """Of the database first, then of its standby and of Redis. What can't be asked is left out."""
    of_database = list(database.checks(here.engine, now))
    takes_events = all(check.serves for check in of_database)
    of_redis = redis.checks(here.redis, now, takes_events=takes_events)
    return [*of_database, *standby.checks(here.standby, now), *of_redis]
