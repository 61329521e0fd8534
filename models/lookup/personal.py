"""One person's sessions: those on whose roster they stand. It expects them or has them as a host,
or they had a counted visit, and are nobody else there by a correction.

The last are looked for by their cycles, and each is confirmed by the session's own view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from models.domain import attendance
from models.domain.attendance import Attendance
from models.domain.corrections import Correction
from models.domain.facts import Rules, Session
from models.domain.json_fields import EPOCH
from models.lookup import batches, session_list, stays
from models.lookup.session_list import Wanted
from models.storage.db import among as has_one_of
from models.tables import correction, cycle, session_people
from models.tables.cycle import cycles


@dataclass(frozen=True, slots=True)
class Attended:
    """A session, whether it is over, and the person's attendance in it. `made_at`: when its row
    was made. `merged`: the user id is an identity of another person there, who has the line on the
    roster."""

    session: Session
    made_at: datetime
    over: bool
    attendance: Attendance
    merged: bool = False

    @property
    def began_at(self) -> datetime:
        """When it began, to be ordered by: its schedule's start, else when the person first came.

        Not when its row was made, unless they never came: the row of a session that is made on the
        spot is made anew, with another time, when an earlier event comes late.
        """
        came_at = self.attendance.first_joined_at
        return self.session.scheduled_at or came_at or self.made_at

    @property
    def counts(self) -> bool:
        """Whether it counts in what their attendances amount to, as in a report."""
        return self.over and not self.merged and not self.attendance.is_host


def identities(conn: Connection, user_id: str) -> tuple[set[str], list[Correction]]:
    """The user ids that may be the person's somewhere, and what was corrected of them."""
    known, named, made = set[str](), {user_id}, dict[str, Correction]()
    while named:  # each of them is looked for once: a room's admin can make a chain of a thousand
        known |= named
        latest = correction.naming(conn, named)
        made |= {each.id: each for each in latest}
        named = {each.user_id for each in latest if each.same_as in named} - known
    return known, list(made.values())


def candidates(
    conn: Connection,
    user_id: str,
    known: Iterable[str],
    corrected: Iterable[Correction],
    *,
    now: datetime,
    rules: Rules,
) -> set[str]:
    """The ids of all sessions that may be the person's, and perhaps of more: `known` and
    `corrected` are what `identities` found."""
    rows = conn.execute(select(cycles).where(has_one_of(conn, cycles.c.user_id, known)))
    theirs = [cycle.read(row) for row in rows.mappings()]
    owned = stays.owned_by(conn, theirs, user_id, now=now, rules=rules)
    ids = {each.session_id for each in corrected}
    ids.update(*(session_people.sessions_of(conn, each) for each in known))
    return ids.union(*owned.values())


def attendances(
    conn: Connection, user_id: str, wanted: Wanted, *, rules: Rules, with_merged: bool = False
) -> Iterator[Attended]:
    """The person's sessions among those that are wanted, about the one that began last first:
    `newest_first` sorts them. `with_merged`: also those in which their visits are another's."""
    known, corrected = identities(conn, user_id)
    ids = candidates(conn, user_id, known, corrected, now=wanted.now, rules=rules)
    began = session_list.beginnings(conn, wanted.among(ids))
    newest = sorted(sorted(began), key=lambda each: began[each], reverse=True)
    gathered = batches.of_sessions(
        conn, newest, rules=rules, user_ids=sorted(known), seen_from=wanted.of_room
    )
    for each in gathered:
        meeting = each.facts.meeting
        merged = meeting.corrections.owner(user_id) != user_id
        if merged and not with_merged:
            continue
        own = [
            one
            for identity in meeting.corrections.identities(user_id)
            for one in each.cycles.get(identity, ())
        ]
        seen = each.facts.view(user_id, own, now=wanted.now, rules=rules)
        if seen.visits or user_id in meeting.listed:
            over = attendance.is_over(meeting, now=wanted.now, rules=rules)
            yield Attended(meeting.session, began[meeting.session.id], over, seen, merged)


def newest_first(attended: Attended) -> tuple[timedelta, str]:
    """The order of one person's sessions: the one that began last first; of those that began
    together by id."""
    return EPOCH - attended.began_at, attended.session.id


def session_ids(conn: Connection, user_id: str, wanted: Wanted, *, rules: Rules) -> frozenset[str]:
    """The ids of the person's sessions among those that are wanted."""
    theirs = attendances(conn, user_id, wanted, rules=rules)
    return frozenset(each.session.id for each in theirs)


def among(conn: Connection, wanted: Wanted, *, rules: Rules) -> Wanted:
    """What is wanted, with the ids of the person's sessions where a person is asked for."""
    if wanted.user_id is None:
        return wanted
    return wanted.among(session_ids(conn, wanted.user_id, wanted, rules=rules))
