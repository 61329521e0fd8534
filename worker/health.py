"""What this process can find out about its own health: for /readyz, and for the doctor.

LiveKit's API is not asked, so that the web process need not load its client.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from models.storage import db, reasons, schema, suitability
from models.tables import webhook_event
from worker.inbox import rejections, spool, workers
from worker.inbox.rejections import Refused
from worker.process import redis_state
from worker.process.backend import Backend
from worker.process.redis_state import RedisState

WAITS_TOO_LONG = timedelta(seconds=30)
CLOCKS_APART = timedelta(seconds=30)
"""Tokens are good for 60 s around now; half of that is worth a warning."""

_READ_ONLY = (
    "name the primary in DATABASE_URL (of several hosts: ?target_session_attrs=read-write), or set"
    " default_transaction_read_only off"
)

CLOCKS = "run NTP here and on the LiveKit server: their clocks are more than 60 s apart"
REMEDIES = {
    "unknown_key": "put the API key {issuer} and its secret into LIVEKIT_KEYS, or have LiveKit sign"
    " with a key that is configured here",
    "signature": "the secret of the API key {issuer} is another one here than at LiveKit: mend it",
    "expired": CLOCKS,
    "not_yet_valid": CLOCKS,
    "too_large": "raise MAX_BODY_BYTES",
    "other_body": "a proxy in between changes bodies: have it pass their bytes on",
}
"""What to do about refused webhooks, by reason. Others come from strangers and worry nobody."""

NO_EVICTION = "noeviction"
MOST_NAMED = 5

RECENT = timedelta(days=1)
"""How long an unreadable webhook is worth a look: it stays in the ledger, and nothing mends it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it is well, what was seen, and what to do when it is not.

    `seconds`: how long the oldest event waits, or how far apart the clocks are.
    """

    what: str
    well: bool
    seen: str
    todo: str = ""
    seconds: float | None = None


def checks(here: Backend, *, now: datetime) -> list[Check]:
    """Everything that this process can look at without LiveKit's API."""
    of_database = list(database(here, now))
    return [*of_database, *_redis(here, now, takes_events=all(map(serves, of_database)))]


def keeps_in(seen: Sequence[Check]) -> Literal["database", "spool"] | None:
    """Where a webhook that comes now is kept; None when it can't be, and LiveKit must repeat it."""
    if all(map(serves, seen)):
        return "database"
    return "spool" if any(it.what == "redis" and it.well for it in seen) else None


def serves(check: Check) -> bool:
    """Whether webhooks can be stored in spite of it: the one thing that readiness is about."""
    return check.well or check.what not in {"database", "migrations"}


def database(here: Backend, now: datetime) -> Iterator[Check]:
    try:
        with db.reading(here.engine) as conn:
            current = schema.is_current(conn)
            yield _database(conn)
            yield _migrations(conn, current=current)
            if current:
                yield from (
                    _pending(conn, now),
                    _failed(conn),
                    _unreadable(conn, now),
                    _clock(conn),
                    _received(conn, now),
                )
    except SQLAlchemyError as error:
        seen = f"does not answer: {reasons.of(error)}"
        todo = "check DATABASE_URL and the server: does it have this database and user?"
        yield Check("database", well=False, seen=seen, todo=todo)


def _database(conn: Connection) -> Check:
    name = conn.dialect.name
    if (encoding := suitability.server_encoding(conn)) not in suitability.ENCODINGS:
        seen = f"{name}'s encoding is {encoding}: events with other letters stay in the spool"
        todo = "make a database with ENCODING 'UTF8' and move what there is into it"
        return Check("database", well=False, seen=seen, todo=todo)
    if suitability.is_read_only(conn):
        return Check("database", well=False, seen=f"{name} is read-only", todo=_READ_ONLY)
    return Check("database", well=True, seen=f"{name} answers")


def _migrations(conn: Connection, *, current: bool) -> Check:
    if current:
        return Check("migrations", well=True, seen="newest")
    if schema.is_ahead(conn):
        seen, todo = "newer than this code", "deploy the code that migrated it"
    else:
        seen, todo = "not the newest", "run `alembic upgrade head` (the Procfile's release)"
    return Check("migrations", well=False, seen=seen, todo=todo)


def _pending(conn: Connection, now: datetime) -> Check:
    waited = webhook_event.longest_wait(conn, now=now)
    seconds = waited.total_seconds()
    return Check(
        "pending",
        well=waited < WAITS_TOO_LONG,
        seen=f"{webhook_event.pending(conn)} waiting, the oldest for {seconds:.0f} s",
        todo="are workers and the scheduler running?",
        seconds=round(seconds, 1),
    )


def _failed(conn: Connection) -> Check:
    count = webhook_event.failed(conn)
    todo = "`flask events list --status failed`, mend the cause, `flask events replay`"
    return Check("failed", well=count == 0, seen=f"{count} failed", todo=todo)


def _unreadable(conn: Connection, now: datetime) -> Check:
    lately, count = (webhook_event.unreadable(conn, since=at) for at in (now - RECENT, None))
    return Check(
        "unreadable",
        well=lately == 0,
        seen=f"{lately} in the last day, {count} in all",
        todo="`flask events list --status unreadable` says what was not understood",
    )


def _clock(conn: Connection) -> Check:
    """Events can come late but not early: the least delay of the latest tells the clocks' gap."""
    delay = webhook_event.least_delay(conn)
    if delay is None:
        return Check("clock", well=True, seen="no webhook has come yet")
    seconds = delay.total_seconds()
    return Check(
        "clock",
        well=abs(delay) < CLOCKS_APART,
        seen=f"webhooks arrive {seconds:.1f} s after LiveKit's clock says they were sent",
        todo="run NTP here and on the LiveKit server: tokens are refused from 60 s on",
        seconds=round(seconds, 1),
    )


def _received(conn: Connection, now: datetime) -> Check:
    """No finding of its own: nobody knows when the next class is."""
    latest = webhook_event.last_accepted(conn)
    if latest is None:
        return Check("received", well=True, seen="no webhook has come yet")
    seconds = (now - latest).total_seconds()
    seen = f"the last webhook was accepted {max(seconds, 0):.0f} s ago"
    return Check("received", well=True, seen=seen, seconds=round(seconds, 1))


def _redis(here: Backend, now: datetime, *, takes_events: bool) -> Iterator[Check]:
    try:
        state = redis_state.examine(here.redis)
    except RedisError as error:
        seen = f"does not answer ({reasons.of(error)}): slower, nothing is lost"
        yield Check("redis", well=False, seen=seen, todo="check REDIS_URL and the server")
        return
    yield _works(state)
    yield _eviction(state)
    with suppress(RedisError):  # a cluster answers no more than that
        yield from _kept_in_redis(here, now, takes_events=takes_events)


def _kept_in_redis(here: Backend, now: datetime, *, takes_events: bool) -> Iterator[Check]:
    """Raises RedisError."""
    yield _refused(rejections.refused(here.redis, now=now))
    yield _spool(spool.length(here.redis), takes_events=takes_events)
    working, scheduling = workers.alive(here.redis), workers.schedulers(here.redis)
    todo = "start the Procfile's `worker`"
    yield Check("workers", well=working > 0, seen=f"{working} alive", todo=todo)
    todo = "start the Procfile's `scheduler`"
    yield Check("scheduler", well=scheduling > 0, seen=f"{scheduling} alive", todo=todo)


def _spool(spooled: int, *, takes_events: bool) -> Check:
    """A spool is there to be used while the database is down: that is no finding of its own."""
    if not spooled:
        return Check("spool", well=True, seen="empty")
    if not takes_events:
        return Check("spool", well=True, seen=f"keeps {spooled} events until the database is back")
    return Check(
        "spool",
        well=False,
        seen=f"{spooled} events in Redis that are not in the database, which is up",
        todo="a web process copies them within seconds; else its log says why (spool.waiting,"
        " spool.refused)",
    )


def _works(state: RedisState) -> Check:
    if state.hindrance:
        return Check("redis", well=False, seen=state.hindrance, todo=state.todo)
    return Check("redis", well=True, seen="writes, reads and runs scripts")


def _eviction(state: RedisState) -> Check:
    policy = state.eviction_policy
    if policy is None:
        return Check("eviction", well=True, seen="this user may not ask for it")
    return Check(
        "eviction",
        well=policy == NO_EVICTION,
        seen=f"maxmemory-policy is {policy}",
        todo=f"set maxmemory-policy to {NO_EVICTION}: jobs and spooled events may be thrown away",
    )


def _refused(refused: Refused) -> Check:
    """By reason and issuer, the most frequent first; a finding when there is something to do."""
    hour, day = refused.last_hour, refused.last_day
    named = ", ".join(
        f"{number} {reason} of {issuer}"
        for (reason, issuer), number in hour.most_common(MOST_NAMED)
    )
    of_hour = f"{hour.total()} in the last hour" + (f" ({named})" if named else "")
    seen = f"{of_hour}, {day.total()} in the last day"
    worries = [refusal for refusal, _ in hour.most_common() if refusal[0] in REMEDIES]
    if not worries:
        return Check("refused", well=True, seen=seen)
    reason, issuer = worries[0]
    return Check("refused", well=False, seen=seen, todo=REMEDIES[reason].format(issuer=issuer))
