"""Visits: which cycles of one person count, and when and why each of them ended. Pure.

A cycle ends by the first rule that applies, in the order of this file; every end is at least its
join. A provisional cycle (a manual join) ends at the earliest instead. That is decided for the
rooms of one name, whatever session they belong to; the visit is then cut where its session ends
(`ownership`). docs/rules.md says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.domain import counting
from models.domain.corrections import Correction
from models.domain.facts import Cycle, Room, Session
from models.domain.ownership import Owners

NEAR = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Visit:
    """A counted cycle with its end, or the part of it that is in one session.

    `ended_at` and `ended_by` are None while it is open. `room_end_reason` is LiveKit's, where the
    finish of the room ended it.
    """

    cycle: Cycle
    joined_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    estimated: bool = False
    room_end_reason: str | None = None

    @property
    def confirmed(self) -> bool:
        """Whether somebody else than the person's own page reported it."""
        return not self.cycle.provisional or self.cycle.source == "operator"


@dataclass(frozen=True, slots=True)
class _End:
    at: datetime
    by: str
    estimated: bool = True
    reason: str | None = None


def parts(
    session_id: str, owners: Owners, cycles: Sequence[Cycle], *, now: datetime
) -> Iterator[Visit]:
    """The parts in this session of one person's visits, whose cycles in rooms of one name these
    are."""
    person = _Person(owners, cycles, now=now)
    for visit in (*person.known_visits(), *person.provisional_visits()):
        yield from _cut(session_id, owners, visit, room_of(visit.cycle, owners), now=now)


def added(session: Session, correction: Correction) -> Visit | None:
    """The visit that a correction adds to the session: it is over, and no room's. None when the
    session is at another time now."""
    part = session.part_of(correction)
    if part is None:
        return None
    joined_at, left_at = part
    cycle = Cycle(
        correction.id,
        correction.user_id,
        named_session=correction.session_id,
        joined_at=joined_at,
        left_at=left_at,
        source="operator",
    )
    return Visit(cycle, joined_at, left_at, "corrected")


def open_visit(owners: Owners, cycles: Sequence[Cycle], *, now: datetime) -> Cycle | None:
    """The manual join that another one, made now by the same person, still belongs to, if any."""
    return _Person(owners, cycles, now=now).open_visit()


def unconfirmed(owners: Owners, cycles: Sequence[Cycle], *, now: datetime) -> list[Cycle]:
    """The manual joins that do not count because LiveKit sent webhooks of their room, and none of
    this person: with MANUAL_JOINS set to `hint`."""
    person = _Person(owners, cycles, now=now)
    return [cycle for cycle, joined_at in person.provisional if person.is_hint(cycle, joined_at)]


def stands_for(manual: Cycle, joined_at: datetime, known: Sequence[Cycle]) -> Cycle | None:
    """The cycle that a manual join is about, of those of the same person and room name that LiveKit
    reported: the claimed one, else the nearest join."""
    for each in known:
        if each.cycle_id == manual.claimed_sid:
            return each
    near = (
        (abs(each.began_at - joined_at), each.cycle_id, each)
        for each in known
        if each.began_at is not None and _near(each, each.began_at, joined_at)
    )
    return min(near, default=(None, None, None))[2]


def room_of(cycle: Cycle, owners: Owners) -> Room | None:
    """Which life of the room the cycle is in; of a manual join the one that was live."""
    if cycle.room_sid is not None:
        return owners.by_sid.get(cycle.room_sid)
    return live_room(owners.rooms, cycle.joined_at) if cycle.joined_at is not None else None


def live_room(rooms: Iterable[Room], joined_at: datetime) -> Room | None:
    """The latest of these rooms that was live at a manual join, or began within two minutes
    after."""
    live = [room for room in rooms if _live(room, joined_at)]
    return max(live, key=lambda room: room.age, default=None)


def home(owners: Owners, cycle: Cycle, *, now: datetime) -> str:
    """The session in which this person's visit of this cycle is at `now`, or was last."""
    if cycle.joined_session is not None:
        return cycle.joined_session
    person = _Person(owners, [cycle], now=now)
    room, began_at = room_of(cycle, owners), cycle.joined_at or now
    for visit in (*person.known_visits(), *person.provisional_visits()):
        *_, (owner, _, _) = owners.pieces(room, began_at, visit.ended_at, now=now)
        return owner
    return owners.at(now, room, began_at)


class _Person:
    """One person's cycles in the rooms of one name, seen at one moment."""

    def __init__(self, owners: Owners, cycles: Sequence[Cycle], *, now: datetime) -> None:
        self.owners, self.now, self.rules = owners, now, owners.rules
        self.known = [cycle for cycle in cycles if not cycle.provisional]
        self.provisional = sorted(
            (
                (manual, manual.joined_at)
                for manual in cycles
                if manual.provisional and manual.joined_at
            ),
            key=lambda pair: (pair[1], pair[0].cycle_id),
        )
        self.dropped = {
            manual.cycle_id: stands_for(manual, at, self.known) for manual, at in self.provisional
        }

    def known_visits(self) -> Iterator[Visit]:
        """The visits that LiveKit (or a reconciler) reported; one only aborted is none."""
        for cycle in self.known:
            if cycle.joined_at is not None and counting.why_not(cycle, self.rules) is None:
                yield _visit(cycle, cycle.joined_at, self._end(cycle, cycle.joined_at))

    def provisional_visits(self) -> Iterator[Visit]:
        """The manual joins that stand for no visit that LiveKit reported."""
        for cycle, joined_at in self.provisional:
            if self.dropped[cycle.cycle_id] is not None or self.is_hint(cycle, joined_at):
                continue
            if counting.why_not(cycle, self.rules) is None:
                yield _visit(cycle, joined_at, self._provisional_end(cycle, joined_at))

    def is_hint(self, cycle: Cycle, joined_at: datetime) -> bool:
        """Whether this manual join stands for nothing, since LiveKit reported the room itself."""
        if self.rules.manual_joins != "hint" or self.dropped[cycle.cycle_id] is not None:
            return False
        return live_room(self.owners.rooms, joined_at) is not None

    def open_visit(self) -> Cycle | None:
        """The manual join without a leave that nothing has ended.

        One that stands for a visit that LiveKit reported is open for as long as that visit is.
        """
        for cycle, joined_at in reversed(self.provisional):
            known = self.dropped[cycle.cycle_id]
            if known is None:
                ended = self._provisional_end(cycle, joined_at)
            else:
                ended = self._end(known, known.began_at or joined_at)
            if ended is None and cycle.client_leave is None:
                return cycle
        return None

    def _end(self, cycle: Cycle, joined_at: datetime) -> _End | None:
        """Rules 1 to 9 for a cycle that LiveKit reported."""
        if cycle.left_at is not None and not cycle.left_inferred:
            return _End(cycle.left_at, "left", estimated=False)
        if cycle.aborted_at is not None:
            return _End(cycle.aborted_at, "aborted", estimated=False)
        found_gone = _found_gone(cycle)
        longest = self._longest(cycle, joined_at)
        again = self._next_join(cycle, joined_at)
        if again is not None and again <= longest:
            rejoined = self._in_no_later_class(cycle, joined_at, _End(again, "rejoined"))
            return _earlier(rejoined, found_gone)
        room = room_of(cycle, self.owners)
        ended = self._room_end(room, joined_at)
        if ended is not None:
            late = ended.at > longest
            ended = None if late else self._in_no_later_class(cycle, joined_at, ended)
        ended = ended or self._stale_end(cycle, joined_at) or self._longest_end(cycle, joined_at)
        ended = _earlier(self._restart(room, cycle, joined_at), ended)
        ended = _earlier(ended, found_gone)
        if ended is not None and (hint := self._hint(cycle, joined_at)) is not None:
            return _End(min(hint, ended.at), "client_left")
        return ended

    def _provisional_end(self, cycle: Cycle, joined_at: datetime) -> _End | None:
        """The earliest of what can end a manual join; else it goes stale like any other."""
        ends = [
            self._own_leave(cycle),
            self._found_gone_by_hand(cycle),
            self._next_life(joined_at),
            self._next_known_join(joined_at),
            self._next_manual_join(joined_at),
            self._room_end(room_of(cycle, self.owners), joined_at, superseding_too=True),
        ]
        longest = self._longest(cycle, joined_at)
        known = [end for end in ends if end is not None and end.at <= longest]
        if known:
            ended = min(known, key=lambda end: end.at)
            return self._in_no_later_class(cycle, joined_at, ended) if ended.estimated else ended
        return self._stale_end(cycle, joined_at) or self._longest_end(cycle, joined_at)

    def _next_join(self, cycle: Cycle, joined_at: datetime) -> datetime | None:
        """LiveKit keeps one connection an identity and room: a later join ends this one."""
        later = (
            other.joined_at
            for other in self.known
            if other.room_sid == cycle.room_sid and other.joined_at and other.joined_at > joined_at
        )
        return min(later, default=None)

    def _hint(self, cycle: Cycle, joined_at: datetime) -> datetime | None:
        """When this cycle's client said that it left, unless it joined again by hand since."""
        joins = (
            manual.client_joined_at for manual, _ in self.provisional if manual.client_joined_at
        )
        last_join = max(joins, default=joined_at)
        hints = (
            leave
            for manual, _ in self.provisional
            if self.dropped[manual.cycle_id] is cycle and (leave := manual.client_leave) is not None
            if leave >= max(joined_at, last_join)
        )
        return max(hints, default=None)

    def _room_end(
        self, room: Room | None, joined_at: datetime, *, superseding_too: bool = False
    ) -> _End | None:
        """Finished at or after the second of the join (LiveKit gives whole seconds), else
        superseded; with `superseding_too` the earlier of the two."""
        if room is None:
            return None
        ends = []
        if room.finished_at is not None and room.finished_at >= _second(joined_at):
            ends.append(_End(room.finished_at, "room_finished", reason=room.end_reason))
        if room.superseded_at is not None:
            ends.append(_End(room.superseded_at, "superseded"))
        if superseding_too:
            return min(ends, key=lambda end: end.at, default=None)
        return ends[0] if ends else None

    def _restart(self, room: Room | None, cycle: Cycle, joined_at: datetime) -> _End | None:
        """The server came back, and nobody has seen this person since: who was inside joins anew,
        and of who does not LiveKit says nothing."""
        restarts = room.restarts if room is not None else []
        later = [at for at in restarts if _second(at) > _second(joined_at)]
        seen_at = cycle.last_seen_at
        if not later or (seen_at is not None and seen_at > later[0]):
            return None
        return _End(later[0], "room_restarted")

    def _stale_end(self, cycle: Cycle, joined_at: datetime) -> _End | None:
        """The class is over and nobody says that this person is still inside."""
        ends = self._class_end(cycle, joined_at)
        if ends is None or self.now < ends[0]:
            return None
        if self.now - joined_at <= self.rules.stale_after or self._seen_lately(cycle):
            return None
        return _End(max(ends), "stale")

    def _in_no_later_class(self, cycle: Cycle, joined_at: datetime, end: _End) -> _End:
        """The estimate, unless it reaches into a class that began when the visit had been stale:
        nobody saw the person there, and that class has said so meanwhile."""
        room, stale = room_of(cycle, self.owners), self._stale_end(cycle, joined_at)
        named = cycle.joined_session or (room is not None and room.named_session)
        if stale is None or named or stale.at >= end.at:
            return end
        later = self.owners.classes_within(stale.at, end.at)
        return stale if any(each.end > stale.at for each in later) else end

    def _class_end(self, cycle: Cycle, joined_at: datetime) -> list[datetime] | None:
        """When the last class that the visit reaches into ends, and the other moments before which
        it is not stale; None without a class.

        Where another class owns the stale end, and is not over by then, the visit goes on in it.
        """
        fixed = [joined_at + self.rules.stale_after]
        if cycle.last_seen_at is not None:
            fixed.append(cycle.last_seen_at + self.rules.stale_after)
        room = room_of(cycle, self.owners)
        named = cycle.joined_session or (room.named_session if room is not None else None)
        if named is not None:
            own = self.owners.own_class(named)
            if own is None or self._longest(cycle, joined_at) < own.start:
                return None  # too old before it began: nobody who sat in it
            return [own.end + self.rules.overrun, *fixed]
        longest = self._longest_end(cycle, joined_at)
        last = max(self.now, joined_at) if longest is None else longest.at
        current = self.owners.first_class(joined_at, last)
        while current is not None:
            ends = [current.end + self.rules.overrun, *fixed]
            following = self.owners.class_at(max(ends))
            if following is None or following.end <= max(ends) or following.id == current.id:
                return ends
            current = following
        return None

    def _longest_end(self, cycle: Cycle, joined_at: datetime) -> _End | None:
        if self.now - joined_at <= self.rules.max_cycle or self._seen_lately(cycle):
            return None
        return _End(self._longest(cycle, joined_at), "max_cycle")

    def _longest(self, cycle: Cycle, joined_at: datetime) -> datetime:
        """How long it may have lasted where LiveKit says no end: what comes later ends nothing."""
        ends = [joined_at + self.rules.max_cycle]
        if cycle.last_seen_at is not None:
            ends.append(cycle.last_seen_at + self.rules.stale_after)
        return max(ends)

    def _seen_lately(self, cycle: Cycle) -> bool:
        seen_at = cycle.last_seen_at
        return seen_at is not None and self.now - seen_at <= self.rules.stale_after

    def _own_leave(self, cycle: Cycle) -> _End | None:
        leave = cycle.client_leave
        return _End(leave, "client_left", estimated=False) if leave else None

    def _found_gone_by_hand(self, cycle: Cycle) -> _End | None:
        """The reconciler's word: the room was there twice without them, and nobody said since that
        they joined again."""
        left_at, joined_at = cycle.left_at, cycle.client_joined_at
        if left_at is None or (joined_at is not None and joined_at > left_at):
            return None
        return _End(left_at, "left")

    def _next_life(self, joined_at: datetime) -> _End | None:
        """Where a manual join is a hint, it counts until LiveKit tells of a room."""
        if self.rules.manual_joins != "hint":
            return None
        later = (room.created_at for room in self.owners.rooms if room.created_at > joined_at)
        begins = min(later, default=None)
        return _End(begins, "superseded") if begins is not None else None

    def _next_known_join(self, joined_at: datetime) -> _End | None:
        later = (
            known.joined_at
            for known in self.known
            if known.joined_at and known.joined_at > joined_at
        )
        again = min(later, default=None)
        return _End(again, "rejoined") if again else None

    def _next_manual_join(self, joined_at: datetime) -> _End | None:
        later = (at for _, at in self.provisional if at > joined_at)
        again = min(later, default=None)
        return _End(again, "rejoined") if again else None


def _visit(cycle: Cycle, joined_at: datetime, end: _End | None) -> Visit:
    if end is None:
        return Visit(cycle, joined_at)
    # LiveKit's left is a whole second, so it can be up to one before the join.
    return Visit(cycle, joined_at, max(end.at, joined_at), end.by, end.estimated, end.reason)


def _cut(
    session_id: str, owners: Owners, visit: Visit, room: Room | None, *, now: datetime
) -> Iterator[Visit]:
    """The parts of a visit in this session. A manual join by an id is in that session alone."""
    if (joined := visit.cycle.joined_session) is not None:
        if joined == session_id:
            yield visit
        return
    for owner, start, end in owners.pieces(room, visit.joined_at, visit.ended_at, now=now):
        if owner != session_id:
            continue
        if end == visit.ended_at:
            yield visit if start == visit.joined_at else replace(visit, joined_at=start)
        else:
            yield Visit(visit.cycle, start, end, "next_session")


def _found_gone(cycle: Cycle) -> _End | None:
    """The reconciler's word: gone by then, unless it was seen inside after that."""
    left_at, seen_at = cycle.left_at, cycle.last_seen_at
    if left_at is None or not cycle.left_inferred or (seen_at is not None and seen_at > left_at):
        return None
    return _End(left_at, "left")


def _earlier(one: _End | None, other: _End | None) -> _End | None:
    """Two ends that are both too late at worst: the earlier is nearer to the truth."""
    known = [end for end in (one, other) if end is not None]
    return min(known, key=lambda end: end.at, default=None)


def _near(known: Cycle, began_at: datetime, joined_at: datetime) -> bool:
    """Began within two minutes of the manual join, and had not surely ended before it."""
    exact = known.aborted_at if known.left_inferred else known.left_at or known.aborted_at
    over = exact is not None and max(exact, began_at) < joined_at
    return abs(began_at - joined_at) <= NEAR and not over


def _live(room: Room, joined_at: datetime) -> bool:
    if joined_at < room.created_at <= joined_at + NEAR:
        return True
    if room.created_at > joined_at or (room.superseded_at and room.superseded_at <= joined_at):
        return False
    finished_before = room.finished_at is not None and room.finished_at < _second(joined_at)
    return not finished_before or not room.finished


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)
