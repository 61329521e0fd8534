"""A standby: the copy of the database that PostgreSQL keeps elsewhere, to be read from.

How old its data are is worked out in two ways, of which the later moment counts. A busy standby
says when the last commit was that it has replayed. Of an idle one that is long ago, though nothing
is missing: so the primary is asked where its log ends, and a standby that has replayed it to there
has all that there was at that moment. (That a standby has replayed all that it *received* would
not do: it is true as well of a standby that receives nothing any more.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Literal

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from models.storage import db, reasons, schema

MOST_BEHIND = timedelta(minutes=1)
"""Of data that are older than this, the primary answers instead."""

WAL_PAGE, WAL_PAGE_HEADER = 8192, 40
"""Bytes. The primary counts the header of a page that it has not begun to write, a standby not."""

Hindrance = Literal["primary", "other", "rights", "migrations", "behind"]

_OF_PRIMARY = text(
    "SELECT CAST(pg_current_wal_insert_lsn() AS text) AS ends_at, system_identifier AS cluster"
    " FROM pg_control_system()"
)
_OF_STANDBY = text(
    "SELECT pg_is_in_recovery() AS in_recovery, system_identifier AS cluster,"
    " CAST(pg_last_wal_replay_lsn() AS text) AS replayed,"
    " pg_last_xact_replay_timestamp() AS last_commit,"
    " (SELECT bool_and(has_table_privilege(name, 'SELECT'))"
    "   FROM unnest(ARRAY['sessions', 'session_rooms', 'rooms', 'cycles', 'corrections']) AS name)"
    "  AS may_read,"
    " (SELECT max(version_num) FROM alembic_version) AS revision"
    " FROM pg_control_system()"
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class State:
    """As of when its data are, if that can be known, and why the primary must answer, if it must:
    it is no standby, one of another server, may not be read, is not migrated, or is too far
    behind."""

    as_of: datetime | None
    hindrance: Hindrance | None


class Standby:
    """The engine of `READ_DATABASE_URL`, and that of the primary, which knows what there is."""

    def __init__(self, engine: Engine, primary: Engine) -> None:
        self.engine, self._primary = engine, primary
        self._cluster: int | None = None
        self._lock, self._why_not = Lock(), ""

    def as_of(self, now: datetime) -> datetime | None:
        """The moment of its data; None while the primary has to answer."""
        try:
            state = self.examine(now)
        except SQLAlchemyError as error:
            self.failed(error)
            return None
        if state.hindrance:
            self._note(state.hindrance)
            return None
        return state.as_of

    def failed(self, error: SQLAlchemyError) -> None:
        """It did not answer, or cancelled a query since its data had to change meanwhile."""
        self._note(reasons.of(error))

    def answered(self) -> None:
        self._note("")

    def examine(self, now: datetime) -> State:
        """Raises SQLAlchemyError when it does not answer."""
        with db.reading(self.engine) as conn:
            ends_at = self._end_of_primary()
            here = conn.execute(_OF_STANDBY).one()
        if not here.in_recovery:
            self.engine.dispose()  # of several hosts, another may be the standby now
            return State(None, "primary")
        if self._cluster not in (None, here.cluster):
            return State(None, "other")
        if not here.may_read:
            return State(None, "rights")
        if here.revision != schema.newest():
            return State(None, "migrations")
        as_of = None if here.last_commit is None else min(here.last_commit.astimezone(UTC), now)
        if ends_at is not None and _has_replayed(here.replayed, ends_at):
            as_of = now
        is_behind = as_of is None or now - as_of > MOST_BEHIND
        return State(as_of, "behind" if is_behind else None)

    def dispose(self) -> None:
        self.engine.dispose()

    def _end_of_primary(self) -> str | None:
        """None while it is away, or is a standby itself."""
        try:
            with db.reading(self._primary) as conn:
                primary = conn.execute(_OF_PRIMARY).one()
        except SQLAlchemyError:
            return None
        self._cluster = primary.cluster
        return str(primary.ends_at)

    def _note(self, why_not: str) -> None:
        """Log why the primary answers, once, and when it no longer does."""
        with self._lock:
            before, self._why_not = self._why_not, why_not
        if why_not == before:
            return
        if why_not:
            log.warning("standby.left_out", reason=why_not)
        else:
            log.info("standby.used")


def _has_replayed(replayed: str, ends_at: str) -> bool:
    """Whether a standby that has replayed the log to here has all that the primary's has."""
    here, end = _position(replayed), _position(ends_at)
    return here >= end or (here % WAL_PAGE == 0 and end - here <= WAL_PAGE_HEADER)


def _position(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return int(high, 16) << 32 | int(low, 16)
