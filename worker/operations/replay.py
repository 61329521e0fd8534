"""Replay: events go back to pending, oldest first, and the bell rings; the drain does the rest.

A replay keeps only a few batches ahead of the workers: what LiveKit sends meanwhile is drained
after them, and must not wait behind a whole incident.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic, sleep

from models.ledger import replay as replays
from models.ledger.filters import Cursor, Filters
from models.storage import db
from worker.jobs.draining import BATCH
from worker.operations import pacing
from worker.process.backend import Backend

TIMEOUT_SECONDS = 60.0
"""How long a batch may take before a replay gives up waiting for its workers."""


class Stalled(Exception):
    """A worker is there, and applied nothing for {0:g} s. What was put back stays pending: look at
    the worker's log, then replay again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(" ".join((self.__doc__ or "").split()).format(seconds))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is: events put back, applied since, failed again; `at` is its place."""

    put_back: int = 0
    applied: int = 0
    failed: int = 0
    at: Cursor | None = None

    @property
    def waiting(self) -> int:
        return self.put_back - self.applied - self.failed


def put_back(
    backend: Backend, asked: Filters, *, after: Cursor | None = None, limit: int, now: datetime
) -> tuple[int, Cursor | None]:
    """Put back up to `limit` matching events and ring; how many, and the place of the last."""
    count, at = 0, after
    while count < limit:
        batch = _next(backend, asked, after=at, limit=min(BATCH, limit - count), now=now)
        if not batch:
            break
        count, at = count + len(batch), batch[-1]
    return count, at


def replay(
    backend: Backend,
    asked: Filters,
    *,
    after: Cursor | None = None,
    limit: int | None = None,
    rate: float | None = None,
    now: datetime,
    timeout: float = TIMEOUT_SECONDS,
) -> Iterator[Progress]:
    """Put back what matches and was received before `now`, and wait until it was applied.

    At most `rate` events a second. Stop it between any two steps: what was put back is applied all
    the same. Without any worker nothing is waited for. Raises Stalled.
    """
    asked = replace(asked, until=min(asked.until or now, now))
    watched = bool(pacing.workers_alive(backend))
    run = _Run(backend, Progress(at=after), watched=watched, timeout=timeout)
    started = monotonic()
    while limit is None or run.progress.put_back < limit:
        size = _size(rate, limit, run.progress.put_back)
        yield from run.wait(until_ahead=pacing.AHEAD - 1)
        yield from run.pace(started, rate)
        batch = _next(backend, asked, after=run.progress.at, limit=size, now=now)
        if not batch:
            break
        yield run.add(batch)
    yield from run.wait(until_ahead=0)


@dataclass(slots=True)
class _Run:
    """The batches of one replay that the workers still have before them."""

    backend: Backend
    progress: Progress
    watched: bool
    timeout: float
    ahead: deque[list[int]] = field(default_factory=deque)

    def add(self, batch: list[Cursor]) -> Progress:
        self.ahead.append([cursor.id for cursor in batch])
        put_back = self.progress.put_back + len(batch)
        self.progress = replace(self.progress, put_back=put_back, at=batch[-1])
        return self.progress

    def wait(self, *, until_ahead: int) -> Iterator[Progress]:
        """Wait for the workers until only so many batches are ahead of them."""
        deadline = monotonic() + self.timeout
        while self.watched and len(self.ahead) > until_ahead:
            if self._settle():
                deadline = monotonic() + self.timeout
                yield self.progress
            elif monotonic() > deadline:
                raise Stalled(self.timeout)
            else:
                pacing.ring(self.backend)
                sleep(pacing.POLL_SECONDS)
                yield self.progress  # a moment to stop at

    def pace(self, started: float, rate: float | None) -> Iterator[Progress]:
        """Wait until the next batch is due."""
        while rate and monotonic() < started + self.progress.put_back / rate:
            yield self.progress
            sleep(pacing.POLL_SECONDS)

    def _settle(self) -> bool:
        """Take account of what became of the oldest batch; whether that is known yet."""
        with db.reading(self.backend.engine) as conn:
            became: Counter[str] = replays.statuses(conn, self.ahead[0])
        if became["pending"]:
            return False
        self.ahead.popleft()
        failed = self.progress.failed + became["failed"]
        applied = self.progress.applied + became.total() - became["failed"]
        self.progress = replace(self.progress, applied=applied, failed=failed)
        return True


def _next(
    backend: Backend, asked: Filters, *, after: Cursor | None, limit: int, now: datetime
) -> list[Cursor]:
    """Put the next matching events back and ring; their places."""
    with db.writing(backend.engine) as conn:
        batch = replays.replayable(conn, asked, after=after, limit=limit)
        replays.put_back(conn, [cursor.id for cursor in batch], now=now)
    if batch:
        pacing.ring(backend)
    return batch


def _size(rate: float | None, limit: int | None, put_back: int) -> int:
    """A batch; less when the rate allows less in a second, or the limit is near."""
    size = min(BATCH, max(1, int(rate))) if rate else BATCH
    return size if limit is None else min(size, limit - put_back)
