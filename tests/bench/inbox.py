"""The inbox as the receiver would have filled it, without waiting for a receiver."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from time import monotonic, sleep

from sqlalchemy import text

from models import db, webhook_event
from models import event as events
from tests.bench.load import BenchFailed
from tests.bench.stack import Stack
from webhooks.livekit_plan import Event
from worker import bell

ROWS_AT_ONCE = 1_000


def fill(stack: Stack, planned: Iterable[Event]) -> None:
    """Store each event, pending."""
    now = datetime.now(UTC)
    rows = []
    for one in planned:
        payload = events.redact(events.parse(one.body()))
        rows.append(webhook_event.pending_row(events.read(payload), payload, received_at=now))
    with db.writing(stack.engine) as conn:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            webhook_event.insert_rows(conn, rows[start : start + ROWS_AT_ONCE])


def keep(stack: Stack) -> None:
    """Set the inbox aside, so that every turn can begin with the same one."""
    with db.writing(stack.engine) as conn:
        conn.execute(text("DROP TABLE IF EXISTS backlog"))
        conn.execute(text("CREATE TABLE backlog AS SELECT * FROM webhook_events"))


def refill(stack: Stack) -> None:
    """Empty everything and put the kept inbox back."""
    stack.empty()
    with db.writing(stack.engine) as conn:
        conn.execute(text("INSERT INTO webhook_events SELECT * FROM backlog ORDER BY id"))


def drained(stack: Stack, *, within: float) -> None:
    """Ring, and wait until nothing is pending. Raises BenchFailed after `within` seconds."""
    deadline = monotonic() + within
    bell.ring(stack.redis)
    while waiting(stack):
        if monotonic() > deadline:
            raise BenchFailed(f"{stack.name}: the inbox was not drained within {within} s")
        sleep(0.01)


def waiting(stack: Stack) -> bool:
    with db.reading(stack.engine) as conn:
        return webhook_event.oldest_pending(conn) is not None
