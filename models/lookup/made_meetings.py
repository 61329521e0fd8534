"""Meetings of sessions that nobody registered: they are made on the spot, by rooms and by manual
joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time

from sqlalchemy import Connection

from models.domain import ownership
from models.domain.facts import Meeting, Room, Rules, Session, made_for
from models.lookup import meetings
from models.lookup import reach as reaching
from models.lookup.meetings import ONE_DAY, Facts, Known
from models.lookup.reach import ClientWord, Reach, Values
from models.storage.db import is_sqlite
from models.storage.questions import Given, answers
from models.tables import cycle, room


def of_made(conn: Connection, made: Session) -> Known:
    """What was made on the spot has the rooms that name it, and the name in its id."""
    lives, by_hand = answers(conn, room.naming(made.id), cycle.named_by_hand(made.id))
    naming = [life for life in lives if life.may_name(None)]
    names = {life.name for life in naming} | by_hand.names or {made.room_name}
    room_name, _ = made_for(made.id)
    names |= {room_name} if room_name else set()
    joined = tuple(at for at in (by_hand.since, by_hand.until) if at is not None)
    return Known(made, frozenset(names), tuple(naming), joined)


def rooms_of_made(conn: Connection, made: Session, *, rules: Rules) -> list[Room]:
    """The rooms that may be in a session of this id while nobody registers it."""
    return _reach_of_made(conn, of_made(conn, made), rules)[1]


def facts_of_made(conn: Connection, known: Known, rules: Rules) -> Facts:
    """What is known of a session that was made on the spot."""
    return with_cycles_of_made(conn, known, rules, most=0)[0]


def with_cycles_of_made(
    conn: Connection, known: Known, rules: Rules, *, most: int
) -> tuple[Facts, list[Values]]:
    """The same, and the values of up to `most` cycles in reach."""
    reach, lives = _reach_of_made(conn, known, rules)
    made, words = meetings.facts_of_lives(conn, known.session, reach, lives, rules)
    reach_of_signs, on_sqlite = _reach_of_signs(made, known, rules), is_sqlite(conn)
    signs, cycles = answers(
        conn,
        reaching.last_manual_signs(reach_of_signs, on_sqlite=on_sqlite),
        reaching.values_in_reach(reach, most=most, on_sqlite=on_sqlite) if most else Given([]),
    )
    session = _as_it_was_made(made.meeting, words)
    meeting = replace(made.meeting, session=session, by_hand=meetings.said_by_hand(signs, words))
    return replace(made, meeting=meeting), cycles


def _reach_of_made(conn: Connection, known: Known, rules: Rules) -> tuple[Reach, list[Room]]:
    """What was made on the spot has the rooms that name it and those that were born again within
    `MAX_CYCLE_HOURS`, or the rooms of the name in its id that were created on its day. Manual joins
    that name it give way to what LiveKit sent of those people then."""
    begins = _begins(known, rules)
    if not begins:
        return Reach(known.session.id, known.names, frozenset()), []
    longest, since, until = rules.max_cycle, min(begins), max(begins)
    lives = room.of_names(conn, known.names, since=since - longest, until=until + 2 * longest)
    own = [life for life in lives if life.created_at <= until + 2 * longest]
    sids = frozenset(life.sid for life in own)
    by_hand = (since, _last_of(own, until + 2 * longest))
    return Reach(known.session.id, known.names, sids, by_hand=by_hand), lives


def _begins(known: Known, rules: Rules) -> list[datetime]:
    """Moments at which what was made on the spot may have begun, the first and the last of them."""
    begins = [*(life.created_at for life in known.naming), *known.joined]
    _, day = made_for(known.session.id)
    return [*begins, *_hours_of(day, rules)] if day is not None else begins


def _reach_of_signs(made: Facts, known: Known, rules: Rules) -> Reach:
    """The reach, but of manual joins only those that may be its own: until its day is over, and as
    long as one of its own rooms went on. A join on the next day is another session's."""
    begins = _begins(known, rules)
    if made.reach.by_hand is None or not begins:
        return made.reach
    ends: list[datetime | None] = [max(begins)]
    ends += [_ended_at(life) for life in ownership.own_rooms(made.meeting, rules)]
    until = None if None in ends else max(end for end in ends if end is not None)
    return replace(made.reach, by_hand=(min(begins), until))


def _ended_at(life: Room) -> datetime | None:
    return life.superseded_at or (life.finished_at if life.finished else None)


def _last_of(lives: Sequence[Room], until: datetime) -> datetime | None:
    """Until when somebody may join these rooms by hand, or what is none of theirs until then; None
    while one of them may go on."""
    ends = [life.superseded_at for life in lives]
    return None if None in ends else max([until, *(end for end in ends if end is not None)])


def _as_it_was_made(meeting: Meeting, words: Sequence[ClientWord]) -> Session:
    """The session with the first room that names it, and with what clients said of it first, where
    nobody registered it."""
    known = meeting.session
    naming = [life for life in meeting.rooms if life.named_session == known.id]
    first = min(naming, key=lambda life: life.age, default=None)
    said = {each.word: each.value for each in reversed(words)}
    return replace(
        known,
        room_name=first.name if first else made_for(known.id)[0] or known.room_name,
        session_type=said.get("session_type"),
        academy_id=said.get("academy_id"),
    )


def _hours_of(day: date, rules: Rules) -> tuple[datetime, datetime]:
    """From the start of the day to its end, in `TIMEZONE`."""
    start, end = (datetime.combine(each, time(), rules.timezone) for each in (day, day + ONE_DAY))
    return start, end
