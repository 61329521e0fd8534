"""Whose facts a change touches: the names of its rooms, and the sessions that may own anything
there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from models.domain.corrections import Correction
from models.domain.facts import Cycle, Room, Rules, Session
from models.ledger import made
from models.settings.settings import Settings
from models.storage.db import is_sqlite
from models.storage.questions import answers
from models.tables import correction, room, session

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Touched:
    """Whose facts changed: sessions by id, and the names of their rooms."""

    sessions: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    @property
    def keys(self) -> set[str]:
        """Everything that a cache may know them by."""
        return self.sessions | self.names


def by(
    conn: Connection,
    some_rooms: Sequence[Room],
    some_cycles: Sequence[Cycle],
    *,
    fresh: Sequence[Room] = (),
    corrected: Sequence[Correction] = (),
    now: datetime,
    settings: Settings,
) -> Touched:
    """The sessions that these rooms and cycles may belong to, in part or entirely, as things
    stand: by name, by metadata, by id, or made on the spot. `fresh` are the rooms that are new, or
    elsewhere than before: what was joined by hand while they lived may be theirs now. What is
    `corrected` is its session's, and for always its room's too."""
    said = by_corrections(conn, corrected)
    names = {each.name for each in some_rooms}
    names |= {each.room_name for each in some_cycles if each.room_name}
    if not names:
        return said
    some_rooms = [*some_rooms, *_rooms_of(conn, some_cycles, {each.sid for each in some_rooms})]
    some_rooms += _live_rooms(conn, some_cycles, settings.rules)
    moments = [each.created_at for each in some_rooms]
    moments += [at for each in some_cycles for at in (each.began_at, each.left_at) if at]
    reach = settings.rules.max_cycle
    since, until = min(moments, default=now) - reach, max([now, *moments]) + reach
    on_sqlite = is_sqlite(conn)
    registered, named = answers(
        conn,
        session.ids_near(names, since=since, until=until, on_sqlite=on_sqlite),
        room.naming_near(names, since=since, on_sqlite=on_sqlite),
    )
    ids = registered | named | made.ids(some_rooms, some_cycles, settings)
    ids |= {each.named_session for each in some_cycles if each.named_session}
    if fresh:
        began = min(each.created_at for each in fresh)
        own = {each.name for each in fresh}
        ids |= session.made_near(conn, own, since=began - ONE_DAY, until=None)
    return Touched(ids | said.sessions, names | said.names)


def by_corrections(conn: Connection, corrected: Iterable[Correction]) -> Touched:
    """The sessions that are corrected; for always, those in which it counts too, and the name of
    the room."""
    made = list(corrected)
    always = [each for each in made if each.always_from is not None]
    ids = {each.session_id for each in made}
    ids |= correction.counts_in(conn, always)
    return Touched(ids, {each.room_name for each in always})


def by_expectations(conn: Connection, expecting: Iterable[Session], rules: Rules) -> set[str]:
    """Everything that a cache may know the facts by of which it is part whom these sessions expect:
    their own, and those of the sessions whose neighbours they are."""
    keys: set[str] = set()
    for _, of_week in groupby(sorted(expecting, key=_week), key=_week):
        some = list(of_week)
        names = {name for each in some for name in each.exact_names}
        names |= room.names_of(conn, [prefix for each in some for prefix in each.prefixes])
        moments = [at for each in some for at in (each.scheduled_at, each.ends_at) if at]
        keys |= names | {each.id for each in some}
        keys |= session.that_reach(conn, names, moments, reach=rules.max_cycle)
    return keys


def _week(each: Session) -> tuple[int, ...]:
    """What is looked up together; sessions without a schedule, which may own any moment, are."""
    return tuple(each.scheduled_at.isocalendar()[:2]) if each.scheduled_at else ()


def earlier_lives(conn: Connection, moved: Sequence[Room]) -> list[Room]:
    """The lives before and beside these rooms, whose visits end or go on because of them."""
    if not moved:
        return []
    names, since = {each.name for each in moved}, min(each.created_at for each in moved)
    return room.of_names(conn, names, since=since)


def _live_rooms(conn: Connection, some_cycles: Iterable[Cycle], rules: Rules) -> list[Room]:
    """The rooms that may have been live at the manual joins: those may be visits there."""
    manual = [each for each in some_cycles if each.provisional and each.joined_session is None]
    joins = [each.joined_at for each in manual if each.joined_at is not None]
    if not joins:
        return []
    names = {each.room_name for each in manual if each.room_name}
    return room.of_names(conn, names, since=min(joins) - 2 * rules.max_cycle, until=max(joins))


def _rooms_of(conn: Connection, some_cycles: Sequence[Cycle], known: set[str]) -> list[Room]:
    sids = {each.room_sid for each in some_cycles if each.room_sid} - known
    return room.of_sids(conn, sids) if sids else []
