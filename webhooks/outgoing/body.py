"""The body of our webhook: the roster of a session that is final, and a digest of what it says.

It is made of the facts, by the same `session_facts` as every roster, each time that it is sent: so
nothing of anybody is stored, and who was erased is in none that is sent later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from sqlalchemy import Connection

from models.domain.attendance import Attendance
from models.domain.facts import Rules
from models.lookup import reach as reaching
from models.lookup import session_facts
from models.lookup.meetings import Facts
from models.storage import reasons
from models.tables.final_session import FinalSession
from webhooks.schemas import answers
from webhooks.schemas.fields import instant

TYPE = "attendance.final"

MOST_PEOPLE = 1_000
MOST_BYTES = 1024 * 1024
"""A larger roster is not in the body, which then only says where it is."""

NOBODY = ""
"""No user id: what is final for them is final for everybody who is not inside."""

IN_A_PATH = {".", "..", "-"}


@dataclass(frozen=True, slots=True)
class Final:
    """The attendance of a session that is final. `last_at` is when anybody was last inside."""

    content: dict[str, Any]
    digest: str
    last_at: datetime | None

    def body(self, known: FinalSession, *, path_prefix: str) -> bytes:
        """The JSON of this version. The same version has the same bytes each time."""
        roster_path = roster_of(known.session_id, path_prefix)
        data = {"version": known.version, **self.content, "roster_path": roster_path}
        return orjson.dumps({"type": TYPE, "timestamp": instant(known.final_at), "data": data})


@dataclass(frozen=True, slots=True)
class NotFinal:
    """A session that is not final; `since` is when it ended or was last heard of."""

    since: datetime | None


class TooLong(Exception):
    """Reading a session took longer than it may."""


def why(error: Exception) -> str:
    """Why a session could not be read, without anybody's data."""
    return "reading it takes too long" if isinstance(error, TooLong) else reasons.of(error)


def read(
    conn: Connection, session_id: str, *, now: datetime, rules: Rules, seconds: float
) -> Final | NotFinal | None:
    """The session's attendance at `now`; None when it is not there (any more).

    It is final when it is for each of its people, and nobody is inside. Use a snapshot: people are
    read one after another. Raises TooLong after so many seconds.
    """
    ends_at = monotonic() + seconds
    known = session_facts.facts(conn, session_id, rules=rules)
    if known is None:
        return None
    if not known.view(NOBODY, [], now=now, rules=rules).final:
        return NotFinal(_last_heard(known))
    cycles = reaching.by_user(conn, known.reach)
    people = list(_until(ends_at, session_facts.everyone(known, cycles, now=now, rules=rules)))
    if any(not person.final or person.is_currently_in_meeting for person in people):
        return NotFinal(_last_heard(known))
    content = answers.roster(known.meeting, people, now)
    del content["as_of"]  # it is the moment of the look, and says nothing of the attendance
    return _final(content, people, known)


def _until(ends_at: float, people: Iterable[Attendance]) -> Iterator[Attendance]:
    """These people, while there is time."""
    for person in people:
        if monotonic() > ends_at:
            raise TooLong
        yield person


def _final(content: dict[str, Any], people: Sequence[Attendance], known: Facts) -> Final:
    written = orjson.dumps(content)
    if len(people) > MOST_PEOPLE or len(written) > MOST_BYTES:
        content = content | {"attendances": None}
    left = [person.last_left_at for person in people if person.last_left_at is not None]
    last_at = max(left, default=known.meeting.session.ends_at or _last_heard(known))
    return Final(content, hashlib.sha256(written).hexdigest(), last_at)


def roster_of(session_id: str, path_prefix: str) -> str:
    """The path of its roster in the API; what a path can't carry stands in the query."""
    if "/" in session_id or session_id in IN_A_PATH:
        query = urlencode({"session": session_id}, quote_via=quote)
        return f"{path_prefix}/api/sessions/-/attendance?{query}"
    return f"{path_prefix}/api/sessions/{quote(session_id, safe='')}/attendance"


def _last_heard(known: Facts) -> datetime | None:
    meeting = known.meeting
    if meeting.session.ends_at is not None:
        return meeting.session.ends_at
    heard = [room.last_event_at for room in meeting.rooms]
    return max([*heard, *([meeting.heard_at] if meeting.heard_at else [])], default=None)
