"""What is reported of attendance that nobody meant: visits outside of all classes, rooms that name
a session in vain, people who are inside only because LiveKit's API lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from models.domain.facts import Rules
from models.lookup import astray, open_visits
from models.lookup.open_visits import Standing
from models.storage import db
from worker.health.check import Check

DAY = timedelta(days=1)
GHOST_AFTER = timedelta(hours=2)
LOOKS_BACK = timedelta(days=30)
MOST_NAMED = 3
AT_ONCE = 500


def checks(engine: Engine, now: datetime, rules: Rules) -> Iterator[Check]:
    """Nothing while the database is away: that is reported already."""
    try:
        with db.reading(engine) as conn:
            yield _outside(conn, now, rules)
            yield _naming(conn, now)
            yield _ghosts(conn, now, rules)
    except SQLAlchemyError:
        return


def _outside(conn: Connection, now: datetime, rules: Rules) -> Check:
    rooms = astray.outside_classes(conn, since=now - DAY, until=now, rules=rules)
    if not rooms:
        return Check("outside.none")
    return Check("outside.some", {"count": rooms.total(), "named": _named(rooms)})


def _naming(conn: Connection, now: datetime) -> Check:
    lives = astray.ignored_namings(conn, since=now - DAY)
    if not lives:
        return Check("naming.none")
    named = Counter(f"{life.name} → {life.named_session}" for life in lives)
    return Check("naming.ignored", {"count": len(lives), "named": _named(named)})


def _ghosts(conn: Connection, now: datetime, rules: Rules) -> Check:
    """Whoever is seen two hours after anything else ended their visit, in a room of which no
    webhook came since: LiveKit with Redis can list somebody who is gone."""
    kept = [
        visit
        for visit in _open(conn, now)
        if visit.last_seen_at is not None
        and now - visit.last_seen_at <= rules.stale_after
        and _would_be_over(visit, now - GHOST_AFTER, rules)
    ]
    quiet = astray.silent(conn, {visit.room_sid for visit in kept}, since=now - GHOST_AFTER)
    ghosts = Counter(visit.room_name for visit in kept if visit.room_sid in quiet)
    if not ghosts:
        return Check("ghosts.none")
    return Check("ghosts.some", {"count": ghosts.total(), "named": _named(ghosts)})


def _open(conn: Connection, now: datetime) -> Iterator[Standing]:
    after: str | None = ""
    while after is not None:
        page, after = open_visits.open_visits(
            conn, since=now - LOOKS_BACK, after=after, limit=AT_ONCE
        )
        yield from page


def _would_be_over(visit: Standing, by: datetime, rules: Rules) -> bool:
    """Whether the visit would have ended by then, had nobody seen the person."""
    if visit.ends_at is not None and visit.ends_at + rules.overrun <= by:
        return True
    return visit.joined_at is not None and visit.joined_at + rules.max_cycle <= by


def _named(counts: Counter[str]) -> str:
    most: Iterable[tuple[str, int]] = counts.most_common(MOST_NAMED)
    shown = [f"{name}: {count}" for name, count in most]
    return ", ".join([*shown, "…"] if len(counts) > MOST_NAMED else shown)
