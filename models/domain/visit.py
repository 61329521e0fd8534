"""Visits: which cycles of one person count, and when and why each of them ended. Pure.

A cycle ends by the first rule that applies, in the order of this file; every end is at least its
join. A provisional cycle (a manual join) ends at the earliest instead. docs/rules.md says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.domain.facts import Cycle, Meeting, Room, Rules

NEAR = timedelta(minutes=2)

UNANSWERED = frozenset({"USER_UNAVAILABLE", "USER_REJECTED", "SIP_TRUNK_FAILURE", "JOIN_FAILURE"})
"""Reasons of a left of somebody who never came: a phone joins when it begins to ring."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A counted cycle with its end; `ended_at` and `ended_by` are None while it is open.

    `room_end_reason` is LiveKit's, where the finish of the room ended it.
    """

    cycle: Cycle
    joined_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    estimated: bool = False
    room_end_reason: str | None = None


@dataclass(frozen=True, slots=True)
class _End:
    at: datetime
    by: str
    estimated: bool = True
    reason: str | None = None


def visits(
    meeting: Meeting, cycles: Sequence[Cycle], *, now: datetime, rules: Rules
) -> tuple[Visit, ...]:
    """The counted visits of one person, whose cycles in the meeting these are, by join."""
    person = _Person(meeting, cycles, now=now, rules=rules)
    found = [*person.known_visits(), *person.provisional_visits()]
    return tuple(sorted(found, key=lambda one: (one.joined_at, one.cycle.cycle_id)))


def open_visit(
    meeting: Meeting, cycles: Sequence[Cycle], *, now: datetime, rules: Rules
) -> Cycle | None:
    """The manual join that another one, made now by the same person, still belongs to, if any."""
    return _Person(meeting, cycles, now=now, rules=rules).open_visit()


class _Person:
    """One person's cycles in one meeting, seen at one moment."""

    def __init__(
        self, meeting: Meeting, cycles: Sequence[Cycle], *, now: datetime, rules: Rules
    ) -> None:
        self.now, self.rules, self.session = now, rules, meeting.session
        self.rooms = {room.sid: room for room in meeting.rooms}
        self.known = [cycle for cycle in cycles if not cycle.provisional]
        self.provisional = sorted(
            ((one, one.joined_at) for one in cycles if one.provisional and one.joined_at),
            key=lambda pair: (pair[1], pair[0].cycle_id),
        )
        self.dropped = {one.cycle_id: self._dropped_for(one, at) for one, at in self.provisional}

    def known_visits(self) -> Iterator[Visit]:
        """The visits that LiveKit (or a reconciler) told of; one only aborted is none."""
        for cycle in self.known:
            if cycle.joined_at is not None and self._is_person(cycle):
                yield _visit(cycle, cycle.joined_at, self._end(cycle, cycle.joined_at))

    def provisional_visits(self) -> Iterator[Visit]:
        """The manual joins that stand for no visit that LiveKit told of."""
        for cycle, joined_at in self.provisional:
            if self.dropped[cycle.cycle_id] is None and self._is_person(cycle):
                yield _visit(cycle, joined_at, self._provisional_end(cycle, joined_at))

    def open_visit(self) -> Cycle | None:
        """The manual join without a leave that nothing has ended.

        One that stands for a visit that LiveKit told of is open for as long as that visit is.
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

    def _is_person(self, cycle: Cycle) -> bool:
        if cycle.kind not in self.rules.person_kinds or cycle.disconnect_reason in UNANSWERED:
            return False
        return self.rules.count_hidden or not cycle.hidden

    def _dropped_for(self, cycle: Cycle, joined_at: datetime) -> Cycle | None:
        """The known cycle that this manual join is about: claimed, else the nearest join."""
        for known in self.known:
            if known.cycle_id == cycle.claimed_sid:
                return known
        near = (
            (abs(known.began_at - joined_at), known.cycle_id, known)
            for known in self.known
            if known.began_at is not None and _near(known, known.began_at, joined_at)
        )
        return min(near, default=(None, None, None))[2]

    def _end(self, cycle: Cycle, joined_at: datetime) -> _End | None:
        """Rules 1 to 9 for a cycle that LiveKit told of."""
        if cycle.left_at is not None and not cycle.left_inferred:
            return _End(cycle.left_at, "left", estimated=False)
        if cycle.aborted_at is not None:
            return _End(cycle.aborted_at, "aborted", estimated=False)
        found_gone = _found_gone(cycle)
        if (again := self._next_join(cycle, joined_at)) is not None:
            return _earlier(_End(again, "rejoined"), found_gone)
        room = self.rooms.get(cycle.room_sid or "")
        ended = self._room_end(room, joined_at)
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
            self._next_known_join(joined_at),
            self._next_manual_join(joined_at),
            self._room_end(self._room_of(joined_at), joined_at, superseding_too=True),
        ]
        known = [end for end in ends if end is not None]
        if known:
            return min(known, key=lambda end: end.at)
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
        joins = (one.client_joined_at for one, _ in self.provisional if one.client_joined_at)
        last_join = max(joins, default=joined_at)
        hints = (
            leave
            for one, _ in self.provisional
            if self.dropped[one.cycle_id] is cycle and (leave := one.client_leave) is not None
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
        stale_after, ends_at = self.rules.stale_after, self.session.ends_at
        if ends_at is None or self.now < ends_at + self.rules.overrun:
            return None
        if self.now - joined_at <= stale_after or self._seen_lately(cycle):
            return None
        ends = [ends_at + self.rules.overrun, joined_at + stale_after]
        if cycle.last_seen_at is not None:
            ends.append(cycle.last_seen_at + stale_after)
        return _End(max(ends), "stale")

    def _longest_end(self, cycle: Cycle, joined_at: datetime) -> _End | None:
        if self.now - joined_at <= self.rules.max_cycle or self._seen_lately(cycle):
            return None
        ends = [joined_at + self.rules.max_cycle]
        if cycle.last_seen_at is not None:
            ends.append(cycle.last_seen_at + self.rules.stale_after)
        return _End(max(ends), "max_cycle")

    def _seen_lately(self, cycle: Cycle) -> bool:
        seen_at = cycle.last_seen_at
        return seen_at is not None and self.now - seen_at <= self.rules.stale_after

    def _own_leave(self, cycle: Cycle) -> _End | None:
        leave = cycle.client_leave
        return _End(leave, "client_left", estimated=False) if leave else None

    def _next_known_join(self, joined_at: datetime) -> _End | None:
        later = (one.joined_at for one in self.known if one.joined_at and one.joined_at > joined_at)
        again = min(later, default=None)
        return _End(again, "rejoined") if again else None

    def _next_manual_join(self, joined_at: datetime) -> _End | None:
        later = (at for _, at in self.provisional if at > joined_at)
        again = min(later, default=None)
        return _End(again, "rejoined") if again else None

    def _room_of(self, joined_at: datetime) -> Room | None:
        """The latest room that was live at a manual join, or began within two minutes after."""
        live = [room for room in self.rooms.values() if _live(room, joined_at)]
        return max(live, key=lambda room: room.age, default=None)


def _visit(cycle: Cycle, joined_at: datetime, end: _End | None) -> Visit:
    if end is None:
        return Visit(cycle, joined_at)
    # LiveKit's left is a whole second, so it can be up to one before the join.
    return Visit(cycle, joined_at, max(end.at, joined_at), end.by, end.estimated, end.reason)


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
