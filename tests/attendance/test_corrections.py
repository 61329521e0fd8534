"""What corrections promise of any facts: in any order the same, and undone as if never made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from typing import get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.domain import attendance, corrections, held
from models.domain import event as events
from models.domain.attendance import Attendance
from models.domain.corrections import Correction, Corrections, Kind
from models.domain.event import CORRECTED, CORRECTION_UNDONE, Event
from models.domain.merge import merge_correction
from models.domain.visit import Visit
from tests.build import Folded, at, folded, joined
from tests.test_merge import FOLD as LONG
from tests.test_merge import INSTANTS, REGISTERED, RULES, TOLD

FOLD = settings(LONG, max_examples=30)
NOW = at("03:00 +1")
PEOPLE = ("5", "6", "7")


@st.composite
def made(draw: st.DrawFn) -> Correction:
    """A correction of any kind, of people who may not be there at all."""
    kind = draw(st.sampled_from(get_args(Kind)))
    user = draw(st.sampled_from(PEOPLE))
    start = draw(INSTANTS)
    is_kind = {each: kind == each for each in ("present", "not_a_visit", "same_person")}
    return Correction(
        id=f"CO_{draw(st.integers(0, 3))}",
        session_id="98",
        room_name="quran-98",
        user_id=user,
        kind=kind,
        made_at=draw(INSTANTS),
        author="teacher",
        starts_at=start if is_kind["present"] else None,
        ends_at=start + timedelta(minutes=draw(st.integers(1, 90))) if is_kind["present"] else None,
        participant_sid=draw(st.sampled_from(["PA_1", "PA_4"])) if is_kind["not_a_visit"] else None,
        same_as=draw(st.sampled_from(PEOPLE)) if is_kind["same_person"] else None,
    )


CORRECTIONS = st.lists(made(), max_size=4, unique_by=lambda each: each.id)


def said(correction: Correction, undone_at: datetime | None) -> list[Event]:
    """The events of a correction: that it was made, and that it was undone."""
    told = [events.of_correction(correction, CORRECTED, correction.id, at=correction.made_at)]
    if undone_at is not None:
        undone = replace(correction, undone_at=undone_at, undone_by="somebody")
        told.append(events.of_correction(undone, CORRECTION_UNDONE, "undone", at=undone_at))
    return told


@FOLD
@given(made(), st.none() | INSTANTS, st.data())
def test_its_events_make_the_same_of_it_in_any_order_and_number(
    correction: Correction, undone_at: datetime | None, data: st.DataObject
) -> None:
    told = said(correction, undone_at)
    again = data.draw(st.permutations(told + told))
    assert reduce(merge_correction, again, None) == reduce(merge_correction, told, None)


def seen(known: Folded, said_of_it: Sequence[Correction], user: str) -> Attendance:
    """One person's attendance in session 98, with these corrections."""
    laid_over = corrections.effective(said_of_it)
    cycles = [cycle for each in laid_over.identities(user) for cycle in known.cycles_of(each)]
    meeting = replace(known.meeting("98"), corrections=laid_over)
    return attendance.view(meeting, user, cycles, now=NOW, rules=RULES)


@FOLD
@given(TOLD, CORRECTIONS)
def test_what_is_undone_is_as_if_it_was_never_said(
    told: list[Event], said_of_it: list[Correction]
) -> None:
    known = folded(told, registered=REGISTERED)
    undone = [replace(each, undone_at=NOW, undone_by="somebody") for each in said_of_it]
    for user in PEOPLE:
        assert seen(known, undone, user) == seen(known, [], user)


OF_ANOTHER = Correction(
    "CO_0", "98", "quran-98", "6", "not_a_visit", at("13:58"), "teacher", participant_sid="PA_1"
)
"""Nobody's visit is taken away by what is said of somebody else."""


@FOLD
@given(TOLD, CORRECTIONS)
@example([joined("13:58", sid="PA_1", user="5")], [OF_ANOTHER])
def test_the_facts_alone_stand_beside_what_was_corrected(
    told: list[Event], said_of_it: list[Correction]
) -> None:
    known = folded(told, registered=REGISTERED)
    for user in PEOPLE:
        corrected = seen(known, said_of_it, user)
        if corrected.uncorrected is None:
            assert corrected == seen(known, [], user)
        else:
            assert corrected.uncorrected == seen(known, [], user)


@FOLD
@given(TOLD, CORRECTIONS)
def test_no_moment_of_one_identity_is_counted_for_two_people(
    told: list[Event], said_of_it: list[Correction]
) -> None:
    """Those who are somebody else are on no roster: their visits are the other's."""
    known = folded(told, registered=REGISTERED)
    laid_over = corrections.effective(said_of_it)
    people = [user for user in PEOPLE if user not in laid_over.same_as]
    visits = [
        part.cycle.cycle_id for user in people for part in seen(known, said_of_it, user).visits
    ]
    ours = [(cycle_id, visits.count(cycle_id)) for cycle_id in set(visits)]
    assert all(
        count <= sum(part.cycle.cycle_id == cycle_id for part in _parts(known, cycle_id))
        for cycle_id, count in ours
        if not cycle_id.startswith("CO_")
    )


def _parts(known: Folded, cycle_id: str) -> list[Visit]:
    user = known.cycles[cycle_id].user_id
    return [part for part in seen(known, [], user).visits if part.cycle.cycle_id == cycle_id]


@FOLD
@given(TOLD, CORRECTIONS)
def test_held_is_no_longer_than_the_class_and_nobody_is_inside_for_more_of_it(
    told: list[Event], said_of_it: list[Correction]
) -> None:
    known = folded(told, registered=REGISTERED)
    laid_over: Corrections = corrections.effective(said_of_it)
    people = [seen(known, said_of_it, user) for user in PEOPLE if user not in laid_over.same_as]
    when_held = held.held(known.registered["98"], people)
    assert when_held.duration <= timedelta(hours=1)
    for person in people:
        assert 0 <= (when_held.percentage(person) or 0) <= 100
