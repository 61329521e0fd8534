"""Which of a person's visits need one pseudonym when the person is erased, and which do not.

Each session has a pseudonym of its own: a list of one session that somebody kept then tells nothing
of the others. A visit that was cut between two sessions joins them, and so do visits of which one
may end or replace the other, and a correction that says for always who somebody is: attendance
would come out differently (see docs/rules.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from models.domain import visit
from models.domain.facts import Cycle, Rules
from models.lookup.stays import Stay, stays

Word = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """What has one pseudonym: visits by cycle id, and the sessions that they are in, in part or
    entirely. Without visits: one session that expects the person."""

    cycle_ids: frozenset[str]
    session_ids: frozenset[str]


def identities(
    cycles: Sequence[Cycle],
    owned_by: Mapping[str, Iterable[str]],
    expected: Iterable[str],
    *,
    corrected: Iterable[Iterable[str]] = (),
    rules: Rules,
) -> list[Identity]:
    """The identities of one person, whose cycles these are.

    `owned_by`: by cycle id, the sessions that own some of it. `expected`: those that expect them.
    `corrected`: sessions that need one pseudonym, since one correction counts in all of them.
    """
    links = _Links()
    for session_ids in corrected:
        links.join(*(("session", session_id) for session_id in session_ids))
    for session_id in expected:
        links.join(("session", session_id))
    for cycle in cycles:
        owners = (("session", session_id) for session_id in owned_by.get(cycle.cycle_id, ()))
        links.join(("cycle", cycle.cycle_id), *owners)
    for one, other in _in_contact(cycles, rules):
        links.join(("cycle", one), ("cycle", other))
    return [
        Identity(
            frozenset(word for kind, word in group if kind == "cycle"),
            frozenset(word for kind, word in group if kind == "session"),
        )
        for group in links.groups()
    ]


def _in_contact(cycles: Sequence[Cycle], rules: Rules) -> Iterator[tuple[str, str]]:
    """Pairs of cycles in rooms of one name of which one may end, replace or explain the other."""
    ids = {cycle.cycle_id for cycle in cycles}
    yield from ((cycle.cycle_id, cycle.claimed_sid) for cycle in cycles if cycle.claimed_sid in ids)
    by_name: dict[str | None, list[Stay]] = defaultdict(list)
    for stay in stays(cycles, rules):
        by_name[stay.cycle.room_name].append(stay)
    for ordered in by_name.values():
        yield from _overlapping(ordered)
        near = ((one, other) for one, other in pairwise(ordered))
        yield from (
            (one.id, other.id) for one, other in near if other.start - one.start <= visit.NEAR
        )


def _overlapping(ordered: Sequence[Stay]) -> Iterator[tuple[str, str]]:
    """Pairs that overlap: enough of them that all who overlap are linked."""
    longest = ordered[0]
    for stay in ordered[1:]:
        if stay.start <= longest.end:
            yield longest.id, stay.id
        longest = max(longest, stay, key=attrgetter("end"))


class _Links:
    """What is linked to what, directly or through others."""

    def __init__(self) -> None:
        self._group_of: dict[Word, set[Word]] = {}

    def join(self, *words: Word) -> None:
        groups = [self._group_of.setdefault(word, {word}) for word in words]
        largest = max(groups, key=len)
        for group in groups:
            if group is not largest and not group <= largest:
                largest |= group
                self._group_of.update(dict.fromkeys(group, largest))

    def groups(self) -> Iterable[set[Word]]:
        return {id(group): group for group in self._group_of.values()}.values()
