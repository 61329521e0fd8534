"""Which sessions may have become final, or changed since: for whoever tells receivers of it.

Each is found by its end, by its revision, which each change of its facts raises, or by the time at
which it is to be looked at again. So no look depends on what a queue or a process remembers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from models.domain.attendance import SETTLES_AFTER
from models.tables.final_session import final_sessions
from models.tables.revision import KEPT_FOR, revisions
from models.tables.session import sessions

LOOKS_BACK = timedelta(days=7)
"""Of a session that ended earlier nobody hears that it is final: such as imported history, and
what there was before anybody wanted to hear it. It is also how long an outage may last."""

CHANGES_KEPT_FOR = KEPT_FOR + LOOKS_BACK
"""How long the revisions stay, by which changes are found: as an outage may last, and a day."""

DAY = timedelta(days=1)

CHANGES_TOGETHER = timedelta(minutes=30)
"""Between two looks at a session that was final: what changes meanwhile is sent together. A class
that runs in its room raises its revision with each event, whether anything of it changes or not."""


def waiting_since(conn: Connection, *, now: datetime) -> datetime | None:
    """Since when the session that waits longest could have been looked at, of those that ended
    within a day and those that were not final; None when none waits. Left out are those that were
    first heard of less than half an hour ago."""
    known = sessions.c.created_at <= now - SETTLES_AFTER
    ended = select(func.min(sessions.c.ends_at)).where(*_unseen(now, now - DAY), known)
    ended_at = conn.execute(ended).scalar_one()
    column = final_sessions.c.look_at
    look_at = conn.execute(select(func.min(column)).where(column <= now)).scalar_one()
    ready_at = ended_at + SETTLES_AFTER if ended_at is not None else None
    return min((at for at in (ready_at, look_at) if at is not None), default=None)


def candidates(
    conn: Connection, *, now: datetime, changed_since: datetime, limit: int
) -> list[str]:
    """The ids of up to `limit` sessions to look at, those that ended first before the others; of
    those that may have changed, those whose facts did since then."""
    found: dict[str, None] = {}
    for statement in (_ended(now), _waiting(now), _changed(now, changed_since)):
        if len(found) < limit:
            found |= dict.fromkeys(conn.execute(statement.limit(limit)).scalars())
    return list(found)[:limit]


def _ended(now: datetime) -> Select[Any]:
    """Classes that ended lately and were never looked at: also those in which nothing happened."""
    unseen = _unseen(now, now - LOOKS_BACK)
    return select(sessions.c.id).where(*unseen).order_by(sessions.c.ends_at)


def _unseen(now: datetime, since: datetime) -> tuple[ColumnElement[bool], ...]:
    seen = exists().where(final_sessions.c.session_id == sessions.c.id)
    return sessions.c.ends_at.between(since, now - SETTLES_AFTER), ~seen


def _waiting(now: datetime) -> Select[Any]:
    """Those that were not final yet."""
    column = final_sessions.c
    return select(column.session_id).where(column.look_at <= now).order_by(column.look_at)


def _changed(now: datetime, since: datetime) -> Select[Any]:
    """Those whose facts may have changed since they were looked at: at once when they were not
    final. Without a schedule: those whose facts did, and did not any more for so long that they may
    be final."""
    raised, seen = revisions.c, final_sessions.c
    joined = revisions.join(sessions, sessions.c.id == raised.key).outerjoin(
        final_sessions, seen.session_id == raised.key
    )
    is_other: ColumnElement[bool] = seen.revision != raised.revision
    is_open = and_(seen.look_at.is_not(None), seen.error.is_(None))
    is_time = or_(is_open, seen.looked_at <= now - CHANGES_TOGETHER)
    classes = and_(sessions.c.ends_at <= now - SETTLES_AFTER, is_other, is_time)
    others = and_(
        sessions.c.ends_at.is_(None),
        raised.raised_at <= now - SETTLES_AFTER,
        or_(seen.session_id.is_(None), is_other),
    )
    statement = select(sessions.c.id).select_from(joined)
    return statement.where(raised.raised_at > since, or_(classes, others)).order_by(
        raised.raised_at
    )
