"""What a correction must be to be taken: whether its session has the person, the visit and the time
that it names, and whether it would change anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection

from models.domain import ownership
from models.domain.attendance import Attendance
from models.domain.corrections import Correction, Corrections, effective
from models.domain.facts import Session, made_for
from models.domain.json_fields import EPOCH
from models.domain.timetable import WINDOW
from models.lookup import session_facts, session_list
from models.lookup.meetings import Facts
from models.lookup.session_list import Wanted
from models.tables import correction
from webhooks.door.context import backend
from webhooks.door.problems import Problem, refused

MOST_CORRECTIONS = 1_000
"""Of one session, undone ones too."""

MOST_ALWAYS = 1_000
"""Of one room: each of its later sessions reads them all."""

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Corrected:
    """The session that is corrected: its facts, and by whom it is. `standing` are the corrections
    that count in it."""

    known: Facts
    author: str
    standing: Sequence[Correction] = ()

    @property
    def session(self) -> Session:
        return self.known.meeting.session


def same(made: Correction, standing: Sequence[Correction]) -> Correction | None:
    """The correction that says the same and counts already, if any."""
    return next((each for each in standing if _what(each) == _what(made)), None)


def _what(made: Correction) -> tuple[object, ...]:
    """What a correction says. The reason is a part of it in a note alone, which is nothing else."""
    return (
        made.user_id,
        made.kind,
        made.starts_at,
        made.ends_at,
        made.participant_sid,
        made.same_as,
        made.always,
        made.reason if made.kind == "note" else None,
    )


def check(conn: Connection, corrected: Corrected, made: Correction, now: datetime) -> None:
    """Raise Problem: 400 for a correction that would change nothing, or too much; 409 where there
    are too many already, or where another one has to be undone first."""
    _check_count(conn, corrected.session, made)
    if made.kind == "present":
        _check_span(conn, corrected, made, now)
        return
    visits = _visits(conn, corrected, made.user_id, now)
    if made.kind == "not_a_visit":
        _check_visit(corrected, made, visits)
        return
    meeting = corrected.known.meeting
    is_there = visits or made.user_id in meeting.session.awaited | meeting.listed
    if not is_there and not made.always:
        raise refused("user_id", "is nobody whom the session expects, and nobody who was there")
    if made.kind == "excused":
        _check_excuse(conn, corrected, made.user_id, now)
    if made.kind == "same_person":
        _check_identity(corrected, made)


def _check_count(conn: Connection, session: Session, made: Correction) -> None:
    if correction.count(conn, session.id) >= MOST_CORRECTIONS:
        detail = f"This session has {MOST_CORRECTIONS} corrections, and takes no more."
        raise Problem(409, "too-many-corrections", detail)
    if made.always and correction.count_always(conn, session.room_name) >= MOST_ALWAYS:
        detail = (
            f"This room has {MOST_ALWAYS} corrections for always, and takes no more: undo those "
            "that nobody needs any longer."
        )
        raise Problem(409, "too-many-corrections", detail)


def _check_span(conn: Connection, corrected: Corrected, made: Correction, now: datetime) -> None:
    """A visit that is added is over, not longer than any other, and near its session."""
    start, end = made.starts_at, made.ends_at
    if start is None or end is None:
        return
    for field, at in (("from", start), ("to", end)):
        if at > now:
            raise refused(field, "is still to come")
    if start == EPOCH:
        raise refused("from", "is no time of any class")
    if end - start > backend().rules.max_cycle:
        raise refused("to", "is later than MAX_CYCLE_HOURS after `from`")
    first, last = corrected.session.scheduled_at, corrected.session.ends_at
    if first is None or last is None:
        _check_is_near(conn, corrected, start, end, now)
    elif start < first - WINDOW or end > last + WINDOW:
        raise refused("from", "is more than an hour before or after the class")


def _check_is_near(
    conn: Connection, corrected: Corrected, start: datetime, end: datetime, now: datetime
) -> None:
    """Without a schedule what is known of the session says when it was."""
    longest = backend().rules.max_cycle
    moments = _moments(conn, corrected, now)
    if not any(begun - longest <= start and end <= last + longest for begun, last in moments):
        detail = (
            "is more than MAX_CYCLE_HOURS from when anything was in the rooms of this session, "
            "which has no schedule, and from when it was registered"
        )
        raise refused("from", detail)


def _moments(
    conn: Connection, corrected: Corrected, now: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """When something is known of a session without a schedule: each from when to when."""
    meeting, session = corrected.known.meeting, corrected.session
    for room in ownership.own_rooms(meeting, backend().rules):
        yield room.created_at, room.last_event_at
    if meeting.heard_at is not None:
        yield meeting.heard_at, meeting.heard_at
    _, day = made_for(session.id)
    if session.registered:
        wanted = Wanted(now, ids=frozenset({session.id}))
        for made_at in session_list.beginnings(conn, wanted).values():
            yield made_at, made_at
    elif day is not None:
        midnight = datetime.combine(day, time(), UTC)
        yield midnight, midnight + ONE_DAY


def _check_visit(corrected: Corrected, made: Correction, visits: set[str]) -> None:
    added = {each.id for each in corrected.standing if each.adds}
    if made.participant_sid in added:
        said = "is a visit that a correction added: undo that correction"
        raise refused("participant_sid", said)
    if made.participant_sid not in visits:
        raise refused("participant_sid", "is no visit of this person in this session")


def _check_excuse(conn: Connection, corrected: Corrected, user_id: str, now: datetime) -> None:
    """An excuse counts for who does not come: ahead of a class nobody knows who that is."""
    if corrected.known.meeting.is_host(user_id):
        raise refused("user_id", "is a host of this session, and a host is never absent")
    if _came(corrected.session, _seen(conn, corrected, user_id, now)):
        raise refused("user_id", "was there, so there is no absence to excuse")


def _came(session: Session, seen: Attendance) -> bool:
    """Whether the person was in class, or without a schedule was there."""
    return bool(seen.visits) if session.scheduled_at is None else seen.is_late is not None


def _check_identity(corrected: Corrected, made: Correction) -> None:
    """An identity is one person's in a session, and what it is for always another session may
    say otherwise for itself."""
    before = [each for each in corrected.standing if _is_of_identity(each, made.user_id)]
    for each in before:
        if each.session_id == made.session_id or each.same_as == made.same_as:
            detail = (
                f"The correction {each.id} says already that {made.user_id} is {each.same_as}: "
                "undo it first."
            )
            raise Problem(409, "same-person-already", detail)
    others = [each for each in corrected.standing if each not in before]
    if made.user_id not in effective([*others, made]).same_as:
        raise refused("as", "is this `user_id` already, by another correction: undo that one first")


def _is_of_identity(each: Correction, user_id: str) -> bool:
    return each.kind == "same_person" and each.user_id == user_id


def _seen(conn: Connection, corrected: Corrected, user_id: str, now: datetime) -> Attendance:
    """The attendance of the person whose identity this is, as the roster has it."""
    known = corrected.known
    owner = known.meeting.corrections.owner(user_id)
    cycles = session_facts.cycles_of(conn, known, owner)
    return known.view(owner, cycles, now=now, rules=backend().rules)


def _visits(conn: Connection, corrected: Corrected, user_id: str, now: datetime) -> set[str]:
    """The ids of the person's visits in the session, as the facts have them: under all their
    identities, also those that a correction took away."""
    known = corrected.known
    cycles = session_facts.cycles_of(conn, known, user_id)
    made = known.meeting.corrections.made
    identities = Corrections(tuple(each for each in made if each.kind == "same_person"))
    meeting = replace(known.meeting, corrections=identities)
    all_of_it = replace(known, meeting=meeting)
    seen = all_of_it.view(user_id, cycles, now=now, rules=backend().rules)
    return {visit.cycle.cycle_id for visit in seen.visits}
