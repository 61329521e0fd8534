"""The group commit: requests that store at the same moment share one transaction.

Between the receiver and the inbox. Who finds nobody storing stores for all who wait, and the first
of those who came meanwhile follows. Nobody is answered before the commit of their own event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from threading import Lock
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models.storage import db, errors
from models.tables import webhook_event

Row = dict[str, Any]


def _locked() -> Lock:
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class Entry:
    """One event on its way into the inbox.

    Once stored: whether it was `fresh` (not there yet), and whether its request is the one that
    `rings` the bell for all that were stored with it.
    """

    row: Row
    fresh: bool = False
    rings: bool = False
    settled: bool = False
    error: Exception | None = None
    awake: Lock = field(default_factory=_locked)
    """Released when the entry is settled, or when its thread is to store."""


class GroupCommit:
    """One object for all threads of a process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._waiting: list[Entry] = []
        self._storing = False

    @property
    def waiting(self) -> int:
        """How many events the next transaction has so far."""
        return len(self._waiting)

    def put(self, row: Row) -> Entry:
        """Store one event, and return after its commit. Raises what the database raises."""
        entry = Entry(row)
        with self._lock:
            self._waiting.append(entry)
            waits, self._storing = self._storing, True
        if waits:
            entry.awake.acquire()
        if not entry.settled:
            entry.rings = True
            self._store_waiting()
        if entry.error is not None:
            raise entry.error
        return entry

    def _store_waiting(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        try:
            self._settle(batch)
        finally:
            self._hand_over()
            for entry in batch:
                entry.settled = True
                entry.awake.release()

    def _settle(self, batch: Sequence[Entry]) -> None:
        """Store them together; what is wrong with one of them is no other's fault.

        In the order of their ids: another process may be storing some of the same. After an error
        that is about the rows, each is stored alone.
        """
        rows = sorted((entry.row for entry in batch), key=itemgetter("event_id"))
        try:
            with db.inserting(self._engine) as conn:
                fresh = webhook_event.insert_rows(conn, rows)
        except Exception as error:
            if len(batch) > 1 and _is_about_rows(error):
                for entry in batch:
                    self._settle([entry])
                return
            for entry in batch:
                entry.error = error
        else:
            for entry in batch:
                entry.fresh = entry.row["event_id"] in fresh

    def _hand_over(self) -> None:
        with self._lock:
            self._storing = bool(self._waiting)
            following = self._waiting[:1]
        for entry in following:
            entry.awake.release()


def _is_about_rows(error: Exception) -> bool:
    """Other errors of the database would come again with each of the rows."""
    return not isinstance(error, SQLAlchemyError) or errors.is_about_rows(error)
