"""What is in no class, or names one in vain: looked for by whoever wonders (worker/health)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, or_, select

from models.domain.facts import Room, Rules
from models.lookup import named_room
from models.storage.db import among
from models.tables import room, session
from models.tables.cycle import cycles
from models.tables.room import rooms
from models.tables.webhook_event import webhook_events

MOST_VISITS = 5_000
MOST_ROOMS = 1_000


def outside_classes(
    conn: Connection, *, since: datetime, until: datetime, rules: Rules
) -> Counter[str]:
    """By room name, the visits of people that began in this span in rooms that have classes in it,
    when no registered session owned the moment. At most MOST_VISITS are looked at."""
    names = session.names_of_classes(conn, since=since, until=until, most=MOST_ROOMS)
    columns = cycles.c
    began = (
        select(columns.room_name, columns.room_sid, columns.user_id, columns.joined_at)
        .where(
            among(conn, columns.room_name, names),
            columns.joined_at.between(since, until),
            columns.kind.in_(sorted(rules.person_kinds)),
            or_(columns.hidden.is_(None), ~columns.hidden),
        )
        .limit(MOST_VISITS)
    )
    homes = named_room.homes(conn, names, since, until, rules=rules)
    return Counter(
        row.room_name
        for row in conn.execute(began)
        if homes[row.room_name].is_outside(row.user_id, row.room_sid, row.joined_at)
    )


def ignored_namings(conn: Connection, *, since: datetime) -> list[Room]:
    """The rooms heard of since then that name a session which is not registered for them."""
    naming = select(rooms).where(rooms.c.last_event_at > since, rooms.c.named_session.is_not(None))
    lives = [room.read(row) for row in conn.execute(naming.limit(MOST_ROOMS)).mappings()]
    return named_room.ignored(conn, lives)


def silent(conn: Connection, sids: Collection[str], *, since: datetime) -> set[str]:
    """Those of the rooms of which no webhook came that was sent since then."""
    sent = select(webhook_events.c.room_sid).where(
        among(conn, webhook_events.c.room_sid, sids),
        webhook_events.c.source != "reconciler",
        webhook_events.c.created_at > since,
    )
    return set(sids) - set(conn.execute(sent.distinct()).scalars())
