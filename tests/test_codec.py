"""Packing: facts come out of the cache as they went in, or not at all."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace

import orjson
import pytest

from models.domain.corrections import Correction, effective
from models.domain.facts import Cycle, Person, Rules
from models.domain.ownership import Owners
from models.lookup.named_room import NamedRoom
from tests.build import (
    aborted,
    at,
    client_joined,
    client_left,
    folded,
    joined,
    left,
    meeting,
    room,
    room_finished,
    session,
)
from worker.cache import codec
from worker.cache.codec import OtherFields

CLASS = frozenset({"algebra-2026-11-29"})

EVENTS = (
    joined("14:00", name="Ünïcödé", kind="SIP", hidden=True, room_created="13:50"),
    left("14:30"),
    joined("14:31:02.118", sid="PA_2", joined_at=None),
    aborted("14:40", sid="PA_3"),
    client_joined("14:05", claims="PA_1", name="Five"),
    client_left("14:20"),
)


def test_cycles_come_out_as_they_went_in() -> None:
    cycles = tuple(folded(EVENTS, registered=[session()]).cycles_of())
    assert len(cycles) == 4
    expecting = frozenset({"98", "٩٩"})
    packed = codec.pack_person(map(codec.values, cycles), expecting)
    assert codec.person(packed) == (cycles, expecting)
    assert codec.person(codec.pack_person((), frozenset())) == ((), frozenset())


def test_a_meeting_comes_out_as_it_went_in_but_for_whom_it_expects() -> None:
    told = folded([*EVENTS, room_finished("15:00")], registered=[session(minimum=80.0)]).meeting()
    expecting = replace(told, session=replace(told.session, expected=(Person("5", "Five"),)))
    assert len(told.rooms) == 1
    assert codec.meeting(codec.pack_meeting(expecting)) == told


def test_corrections_come_out_without_their_reasons_and_authors() -> None:
    made = Correction("CO_1", "98", "quran-98", "5", "excused", at("15:00"), "Ms. Ada", "ill")
    noted = replace(made, id="CO_2", kind="note")
    corrected = replace(meeting(), corrections=effective([made, noted]))
    packed = codec.pack_meeting(corrected)
    assert b"Ada" not in packed
    assert codec.meeting(packed).corrections.made == (replace(made, author="", reason=None),)


@pytest.mark.parametrize("scheduled", ["14:00", None])
def test_a_meeting_that_was_never_heard_of_comes_out_too(scheduled: str | None) -> None:
    silent = meeting(session(scheduled=scheduled), room())
    assert codec.meeting(codec.pack_meeting(silent)) == silent


def test_facts_of_other_fields_are_refused() -> None:
    one = Cycle("PA_1", "5", joined_at=at("14:00"))
    [values], expecting = orjson.loads(codec.pack_person([codec.values(one)], frozenset()))
    for other in ([*values, None], values[:-1]):
        with pytest.raises(OtherFields):
            codec.person(orjson.dumps([[other], expecting]))
    with pytest.raises(OtherFields):
        codec.person(orjson.dumps([[values]]))
    session_values, *others = orjson.loads(codec.pack_meeting(meeting()))
    for parts in ([session_values[:-1], *others], [session_values, *others[:-1]]):
        with pytest.raises(OtherFields):
            codec.meeting(orjson.dumps(parts))


def test_what_a_rooms_name_means_comes_out_as_it_went_in() -> None:
    told = folded([*EVENTS, room_finished("15:00")], registered=[session(expected=["5"])])
    named = NamedRoom(told.owners(user="6"), "98", {"5": frozenset({"98"})})
    assert len(named.owners.rooms) == len(named.owners.calendar.classes) == 1
    assert codec.named(codec.pack_named(named), named.owners.rules) == named


def test_what_is_large_is_not_kept_read() -> None:
    """Each time a room of this name is born there is another version of it."""
    expecting = {f"pupil-{number:05d}@school.example": CLASS for number in range(10_000)}
    packed = codec.pack_named(NamedRoom(Owners("algebra", Rules()), "algebra-00", expecting))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(10, 20):
            version = packed.replace(b"algebra-00", b"algebra-%d" % number)
            assert len(codec.named(version, Rules()).expecting) == 10_000
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()


def test_what_is_small_is_read_once() -> None:
    packed = codec.pack_named(NamedRoom(Owners("algebra", Rules()), "algebra-1", {"5": CLASS}))
    assert codec.named(packed, Rules()) is codec.named(packed, Rules())
