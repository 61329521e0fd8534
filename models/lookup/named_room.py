"""What a room's name may mean: who owns the moments there, what last began under it, and which
sessions its metadata may name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from models.domain import ownership, visit
from models.domain.facts import Cycle, Room, Rules, Session
from models.domain.ownership import Expecting, Owners
from models.storage.db import is_sqlite
from models.storage.questions import answers
from models.tables import cycle, revision, room, session

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NamedRoom:
    """What a room's name may mean: who owns its moments, and what last began there."""

    owners: Owners
    last_begun: str | None = None
    expecting: Expecting = field(default_factory=dict)

    def session_id(self, user_id: str | None, *, now: datetime) -> str | None:
        """The session that the name means at `now` for this person; None when nobody knows one.

        The one that metadata gave the live room, else the registered one that owns the moment, else
        what last began under the name.
        """
        for latest in self.owners.rooms[-1:]:
            if latest.named_session is not None and not latest.finished:
                return latest.named_session
        return self.of(user_id or "").owners.registered(now) or self.last_begun

    def of(self, user_id: str) -> NamedRoom:
        """The same for this person: the owners know who expects them."""
        expecting = self.expecting.get(user_id, frozenset())
        return replace(self, owners=replace(self.owners, expecting=expecting))

    def owner(self, user_id: str | None, room_sid: str | None, at: datetime) -> str:
        """The session that owns this moment of a person in a life of the room; without its sid, in
        the one that was live."""
        if room_sid is None:
            life = visit.live_room(self.owners.rooms, at)
        else:
            life = self.owners.by_sid.get(room_sid)
        return self.of(user_id or "").owners.at(at, life, at)

    def is_outside(self, user_id: str, room_sid: str | None, at: datetime) -> bool:
        """Whether no registered session owns the moment, and metadata names none."""
        life = self.owners.by_sid.get(room_sid or "")
        if life is not None and life.named_session is not None:
            return False
        return self.of(user_id).owners.registered(at) is None


def of_name(conn: Connection, name: str, *, now: datetime, rules: Rules) -> NamedRoom:
    """What the rooms of this name may mean, at `now` and for some minutes after it."""
    return of_name_at_revision(conn, name, now=now, rules=rules)[0]


def of_name_at_revision(
    conn: Connection, name: str, *, now: datetime, rules: Rules
) -> tuple[NamedRoom, int]:
    """The same, and the revision of the name when it was read."""
    on_sqlite = is_sqlite(conn)
    earliest = now - 2 * rules.max_cycle
    number, lives, last_join, waiting, near = answers(
        conn,
        revision.numbers([name], on_sqlite=on_sqlite),
        room.lives([name], since=earliest, on_sqlite=on_sqlite),
        cycle.latest_manual_join(name),
        session.next_waiting(name),
        session.near([name], since=earliest - ONE_DAY, until=now + ONE_DAY, on_sqlite=on_sqlite),
    )
    begun = [life.created_at for life in lives[-1:]]
    begun += [last_join.joined_at] if last_join and last_join.joined_at else []
    latest = max(begun, default=now)
    if latest < earliest:  # nothing began here for so long: who owned that moment?
        near = session.registered_near(conn, [name], since=latest - ONE_DAY, until=now + ONE_DAY)
    owners = Owners(name, rules, ownership.calendar(name, near), tuple(valid(conn, lives, near)))
    last_begun = _last_begun(owners, last_join) or waiting
    return NamedRoom(owners, last_begun, ownership.expecting(near)), number[name]


def homes(
    conn: Connection, names: Iterable[str], since: datetime, until: datetime, *, rules: Rules
) -> dict[str, NamedRoom]:
    """Who owns the moments of that span in rooms of these names, by name."""
    around = rules.max_cycle + ONE_DAY
    registered = session.registered_near(conn, names, since=since - around, until=until + around)
    lives = room.of_names(conn, names, since=since - around, until=until)
    lives, expecting = valid(conn, lives, registered), ownership.expecting(registered)
    return {
        name: NamedRoom(
            Owners(
                name,
                rules,
                ownership.calendar(name, registered),
                tuple(life for life in lives if life.name == name),
            ),
            expecting=expecting,
        )
        for name in names
    }


def _last_begun(owners: Owners, last_join: Cycle | None) -> str | None:
    """The session of the latest room of this name, or of the latest manual join by it."""
    joined_at = last_join.joined_at if last_join else None
    life = owners.rooms[-1] if owners.rooms else None
    if life is not None and (joined_at is None or life.created_at >= joined_at):
        return owners.at(life.created_at, life, life.created_at)
    if joined_at is None:
        return None
    return owners.at(joined_at, visit.live_room(owners.rooms, joined_at), joined_at)


def valid(conn: Connection, lives: Sequence[Room], registered: Iterable[Session]) -> list[Room]:
    """The rooms, without the names of registered sessions that their metadata may not name."""
    names = {life.named_session for life in lives if life.named_session}
    if not names:
        return list(lives)
    known = {each.id: each for each in registered}
    known |= session.registered(conn, names - known.keys())
    return [
        life
        if life.may_name(known.get(life.named_session or ""))
        else life._replace(named_session=None)
        for life in lives
    ]


def ignored(conn: Connection, lives: Sequence[Room]) -> list[Room]:
    """Those of the rooms whose metadata names a session that is another room's."""
    known = session.registered(conn, {life.named_session for life in lives if life.named_session})
    return [life for life in lives if not life.may_name(known.get(life.named_session or ""))]
