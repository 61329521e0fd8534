"""The inbox as the receiver would have filled it, without waiting for a receiver."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from time import monotonic, perf_counter, sleep

from sqlalchemy import func, select, text

from models.domain import event as events
from models.storage import db
from models.tables import pending_event, webhook_event
from models.tables.webhook_event import LEDGER, STATUS
from tests.bench.load import BenchFailed
from tests.bench.stack import Stack
from webhooks.simulator.event import Event
from worker.inbox import bell

ROWS_AT_ONCE = 1_000

KEPT = {"backlog": "webhook_events", "backlog_pending": "pending_events"}
"""Where each table of the inbox is set aside."""


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
        for kept, table in KEPT.items():
            conn.execute(text(f"DROP TABLE IF EXISTS {kept}"))
            conn.execute(text(f"CREATE TABLE {kept} AS SELECT * FROM {table}"))  # noqa: S608


def refill(stack: Stack) -> None:
    """Empty everything and put the kept inbox back."""
    stack.empty()
    with db.writing(stack.engine) as conn:
        for kept, table in KEPT.items():
            conn.execute(text(f"INSERT INTO {table} SELECT * FROM {kept} ORDER BY id"))  # noqa: S608


def drained(stack: Stack, *, within: float) -> None:
    """Ring, and wait until nothing is pending. Raises BenchFailed after `within` seconds."""
    deadline = monotonic() + within
    bell.ring(stack.redis)
    while waiting(stack):
        if monotonic() > deadline:
            raise BenchFailed(f"{stack.name}: the inbox was not drained within {within} s")
        sleep(0.01)


def timed_drain(stack: Stack, size: int, *, within: float) -> float:
    """Events a second that the stack's workers apply of the kept inbox, which has `size`."""
    refill(stack)
    applied_a_second = rate(stack, size, within=within)
    with db.reading(stack.engine) as conn:
        applied = select(func.count()).select_from(LEDGER).where(STATUS == "applied")
        count = conn.execute(applied).scalar_one()
    if count != size:
        raise BenchFailed(f"{stack.name}: {count} of {size} events were applied")
    return applied_a_second


def rate(stack: Stack, size: int, *, within: float) -> float:
    """Events a second from the bell to an empty inbox, which has `size` now."""
    began = perf_counter()
    drained(stack, within=within)
    return size / (perf_counter() - began)


def waiting(stack: Stack) -> bool:
    with db.reading(stack.engine) as conn:
        return pending_event.oldest(conn) is not None
