"""The promises of the fold, whatever was sent: order and repetition change nothing, every event
has an answer in every state, and the recordings of a real server give what their clients saw."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from itertools import permutations
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.domain import event as events
from models.domain.attendance import Attendance, is_over, view
from models.domain.event import CLIENT_LEFT, Event
from models.domain.facts import Cycle, Room, Rules, Session, Source
from models.domain.merge import merge, merge_room
from models.domain.visit import Visit, open_visit
from tests import witnesses
from tests.build import (
    DAY,
    Folded,
    aborted,
    at,
    captured,
    captures,
    client_joined,
    client_left,
    folded,
    joined,
    left,
    room_finished,
    room_started,
    seen,
    session,
)

FOLD = settings(
    deadline=None,
    max_examples=100,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # the machine may be shared
)
RULES = Rules()
REGISTERED = [
    session("98", scheduled="14:00"),
    session("99", scheduled=None, room_name="b"),
    session("100", scheduled="16:30", minutes=30),
]

# --- strategies -----------------------------------------------------------------------------------

SIDS = {"PA_1": ("5", "RM_1"), "PA_2": ("5", "RM_1"), "PA_3": ("5", "RM_2"), "PA_4": ("6", "RM_1")}
ROOMS = {"RM_1": "quran-98", "RM_2": "quran-98", "RM_3": "b"}
# Few instants, so that many coincide; some a fraction of a second, or two minutes, apart.
INSTANTS = st.one_of(
    st.sampled_from(["13:58", "14:00", "14:00:00.400", "14:00:00.900", "14:02", "14:30", "15:00"]),
    st.integers(0, 5 * 60).map(lambda minutes: DAY + timedelta(hours=13, minutes=minutes)),
    st.integers(0, 10**7).map(lambda micros: at("14:00") + timedelta(microseconds=micros)),
    st.sampled_from(["01:00", "23:00", "03:00 +1"]),
).map(at)
SOURCES: st.SearchStrategy[Source] = st.sampled_from(["livekit", "livekit", "import", "reconciler"])
NOWS = [at(clock) for clock in ("13:59", "14:02:00.500", "14:40", "15:03", "16:00", "16:00 +1")]


@st.composite
def webhooks(draw: st.DrawFn) -> Event:
    """Any participant's event; one in some tells of a visit what no other event does."""
    sid = draw(st.sampled_from(sorted(SIDS)))
    user, room = SIDS[sid]
    if draw(st.integers(0, 9)) == 0:
        user, room = draw(st.sampled_from("56")), draw(st.sampled_from(sorted(ROOMS)))
    build = draw(st.sampled_from([joined, joined, left, left, aborted, seen]))
    return build(
        draw(INSTANTS),
        sid=sid,
        user=user,
        room=room,
        room_name=ROOMS[room],
        joined_at=draw(st.none() | INSTANTS),
        name=draw(st.sampled_from([None, "Ada", "Ada L."])),
        kind=draw(st.sampled_from(["STANDARD", "STANDARD", "SIP", "AGENT", "9"])),
        hidden=draw(st.integers(0, 9)) == 0,
        reason=draw(st.sampled_from([None, "CLIENT_INITIATED", "DUPLICATE_IDENTITY"])),
        source=draw(SOURCES),
        room_created=draw(st.none() | INSTANTS),
        names=draw(st.sampled_from([None, None, None, "98", "77"])),
    )


@st.composite
def room_events(draw: st.DrawFn) -> Event:
    room = draw(st.sampled_from(sorted(ROOMS)))
    build = draw(st.sampled_from([room_started, room_finished]))
    return build(
        draw(INSTANTS),
        room=room,
        room_name=ROOMS[room],
        room_created=draw(st.none() | INSTANTS),
        names=draw(st.sampled_from([None, None, "98"])),
        source=draw(SOURCES),
    )


@st.composite
def manual_events(draw: st.DrawFn) -> Event:
    visit = draw(st.sampled_from(["VI_1", "VI_2", "VI_3"]))
    build = draw(st.sampled_from([client_joined, client_left]))
    return build(
        draw(INSTANTS),
        visit=visit,
        user="6" if visit == "VI_3" else "5",
        session=draw(st.sampled_from(["98", "98", "quran-98@2026-11-23"])),
        name=draw(st.sampled_from([None, "Ada by hand"])),
        claims=draw(st.sampled_from([None, None, "PA_1", "PA_3", "PA_9"])),
    )


def _with_ids(told: Sequence[Event]) -> list[Event]:
    """Ids as a server draws them: unique, and in no order of time."""
    return [one._replace(event_id=f"EV_{number}") for number, one in enumerate(told)]


ONE = webhooks() | room_events() | manual_events()
TOLD = st.lists(ONE, max_size=14).map(_with_ids)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """A set of events, and the same set late, repeated and out of order."""
    told = draw(TOLD)
    repeats = draw(st.lists(st.sampled_from(told), max_size=5)) if told else []
    return told, draw(st.permutations(told + repeats))


def attendances(known: Folded, nows: Iterable[datetime] = NOWS) -> list[Attendance]:
    """Everybody in every session at each moment."""
    return [
        known.attendance(user, one, now=now)
        for one in known.candidates
        for user in ("5", "6")
        for now in nows
    ]


# --- order and repetition -------------------------------------------------------------------------


@FOLD
@given(deliveries())
def test_the_same_events_in_any_order_and_any_number_of_times_give_the_same_answer(
    sent: tuple[list[Event], list[Event]],
) -> None:
    told, delivered = sent
    once, again = folded(told, registered=REGISTERED), folded(delivered, registered=REGISTERED)
    assert again == once
    assert attendances(again) == attendances(once)


@FOLD
@given(st.lists(webhooks(), min_size=3, max_size=6), st.data())
def test_events_of_one_participant_merge_in_any_order(
    told: list[Event], data: st.DataObject
) -> None:
    one = [event._replace(participant_sid="PA_1") for event in _with_ids(told)]
    shuffled = data.draw(st.permutations(one))
    assert reduce(merge, shuffled, None) == reduce(merge, one, None)


@FOLD
@given(st.lists(webhooks() | manual_events(), max_size=4), webhooks(), webhooks())
def test_merging_a_participants_events_is_commutative_and_idempotent(
    before: list[Event], one: Event, other: Event
) -> None:
    *state, one, other = (
        event._replace(participant_sid="PA_1")
        for event in _with_ids([*before, one, other])
        if event.participant_sid
    )
    cycle = reduce(merge, state, None)
    both = merge(merge(cycle, one), other)
    assert merge(merge(cycle, other), one) == both
    assert merge(merge(both, one), other) == both


@FOLD
@given(st.lists(manual_events(), max_size=4), manual_events(), manual_events())
def test_merging_a_visits_events_is_commutative_and_idempotent(
    before: list[Event], one: Event, other: Event
) -> None:
    *state, one, other = (
        event._replace(visit="VI_1") for event in _with_ids([*before, one, other])
    )
    cycle = reduce(merge, state, None)
    both = merge(merge(cycle, one), other)
    assert merge(merge(cycle, other), one) == both
    assert merge(merge(both, one), other) == both


@FOLD
@given(
    st.lists(room_events() | webhooks(), max_size=4),
    room_events() | webhooks(),
    room_events() | webhooks(),
)
def test_merging_a_rooms_events_is_commutative_and_idempotent(
    before: list[Event], one: Event, other: Event
) -> None:
    *state, one, other = (
        event._replace(room_sid="RM_1") for event in _with_ids([*before, one, other])
    )
    room = reduce(merge_room, state, None)
    both = merge_room(merge_room(room, one), other)
    assert merge_room(merge_room(room, other), one) == both
    assert merge_room(merge_room(both, one), other) == both


@FOLD
@given(TOLD, st.randoms(use_true_random=False))
def test_the_order_in_which_facts_are_handed_in_changes_no_view(
    told: list[Event], dice: Random
) -> None:
    known = folded(told, registered=REGISTERED)
    meeting, cycles = known.meeting(), known.cycles_of()
    rooms = dice.sample(meeting.rooms, len(meeting.rooms))
    shuffled = replace(meeting, rooms=tuple(rooms)), dice.sample(cycles, len(cycles))
    for now in NOWS:
        expected = view(meeting, "5", cycles, now=now, rules=RULES)
        assert view(shuffled[0], "5", shuffled[1], now=now, rules=RULES) == expected


# --- every event in every state has an answer -----------------------------------------------------


KINDS = sorted(events.STORED_EVENTS | {events.SEEN, "track_published", "room_updated", ""})


@FOLD
@given(TOLD, ONE, st.sampled_from(KINDS), INSTANTS)
def test_every_event_in_every_state_has_an_answer(
    told: list[Event], one: Event, kind: str, now: datetime
) -> None:
    if one.visit is None:
        one = one._replace(event=kind, participant_sid="PA_1", user_id="5")
    known = folded([*told, one._replace(event_id="EV_last")], registered=REGISTERED)
    for attendance in attendances(known, [now, *NOWS]):
        _check(attendance)
    for name in ROOMS.values():
        open_visit(known.owners(name), known.cycles_of(), now=now)


def test_an_event_that_tells_of_no_joining_and_no_leaving_makes_no_visit() -> None:
    told = joined("14:00")._replace(event="track_published")
    assert folded([told], registered=REGISTERED).attendance(now="14:10").visits == ()


def _check(one: Attendance) -> None:
    """What holds for any attendance, whatever was sent."""
    visits, now = one.visits, one.as_of
    assert all(visit.ended_at is None or visit.ended_at >= visit.joined_at for visit in visits)
    assert all((visit.ended_at is None) == (visit.ended_by is None) for visit in visits)
    assert not any(visit.estimated and visit.ended_at is None for visit in visits)
    assert [visit.joined_at for visit in visits] == sorted(visit.joined_at for visit in visits)
    ends = [visit.ended_at or max(now, visit.joined_at) for visit in visits]
    lengths = [end - visit.joined_at for visit, end in zip(visits, ends, strict=True)]
    assert max(lengths, default=timedelta(0)) <= one.duration <= sum(lengths, timedelta(0))
    if visits:
        assert one.first_joined_at == visits[0].joined_at
        assert one.duration <= max(ends) - visits[0].joined_at
    assert one.join_count == len(visits)
    assert one.is_currently_in_meeting == (one.attendance_status == "present")
    assert one.is_currently_in_meeting == any(visit.ended_at is None for visit in visits)
    assert visits or one.attendance_status in ("not_joined", "absent")
    assert 0 <= (one.attendance_percentage or 0) <= 100
    assert one.meets_minimum is None or one.final


# --- as time passes -------------------------------------------------------------------------------


@FOLD
@given(TOLD, INSTANTS, st.integers(0, 30 * 60 * 60))
def test_as_time_passes_nothing_that_was_counted_is_taken_back(
    told: list[Event], now: datetime, seconds: int
) -> None:
    """Staleness shrinks no duration; a client's leave may, by ending what would have gone stale.

    Only what was sent by then, and joined by then: an inferred end that is still to come would be
    told of too early.
    """
    sent = [
        one
        for one in told
        if max(one.created_at, one.joined_at or one.created_at) <= now and one.event != CLIENT_LEFT
    ]
    known = folded(sent, registered=REGISTERED)
    later = now + timedelta(seconds=seconds)
    for before, after in zip(attendances(known, [now]), attendances(known, [later]), strict=True):
        assert after.duration >= before.duration
        assert (after.attendance_percentage or 0) >= (before.attendance_percentage or 0)
        _check_later(before, after)


@FOLD
@given(TOLD, INSTANTS, st.integers(0, 30 * 60 * 60))
def test_as_time_passes_visits_only_end_and_sessions_are_only_over(
    told: list[Event], now: datetime, seconds: int
) -> None:
    known = folded(told, registered=REGISTERED)
    later = now + timedelta(seconds=seconds)
    for before, after in zip(attendances(known, [now]), attendances(known, [later]), strict=True):
        _check_later(before, after)
    for session_id in known.sessions:
        meeting = known.meeting(session_id)
        was_over = is_over(meeting, now=now, rules=RULES)
        assert is_over(meeting, now=later, rules=RULES) >= was_over


def _check_later(before: Attendance, after: Attendance) -> None:
    cycles = [one.cycle for one in after.visits]
    assert cycles[: len(before.visits)] == [one.cycle for one in before.visits]
    for was, now_is in zip(before.visits, after.visits, strict=False):
        assert was.ended_at is None or now_is.ended_at is not None
    assert after.final >= before.final


@FOLD
@given(TOLD, INSTANTS)
def test_a_clients_leave_never_ends_what_livekit_says_is_open(
    told: list[Event], now: datetime
) -> None:
    # A leave is for the session of its join, so that leaving it out moves no visit.
    told = [one._replace(session_id="98") if one.visit else one for one in told]
    without = folded([one for one in told if one.event != CLIENT_LEFT], registered=REGISTERED)
    known = folded(told, registered=REGISTERED)
    for session_id in without.candidates:
        for user in ("5", "6"):
            assert _open(known, user, session_id, now) == _open(without, user, session_id, now)


def _open(known: Folded, user: str, session_id: str, now: datetime) -> list[Cycle]:
    visits = known.attendance(user, session_id, now=now).visits
    return [one.cycle for one in visits if one.ended_at is None and not one.cycle.provisional]


@FOLD
@given(TOLD, st.sampled_from(["PA_1", "PA_2", "PA_9"]), INSTANTS)
def test_what_a_client_claims_changes_nothing_for_anybody_else(
    told: list[Event], sid: str, now: datetime
) -> None:
    """Clients see each other's sids, so a claim must be worth nothing against another person."""
    mine = client_joined("14:05", visit="VI_8", user="7", claims=sid, event_id="EV_mine")
    gone = client_left("14:06", visit="VI_8", user="7", event_id="EV_gone")
    before = folded(told, registered=REGISTERED)
    after = folded([*told, mine, gone], registered=REGISTERED)
    for user in ("5", "6"):
        was, now_is = (one.attendance(user, now=now) for one in (before, after))
        assert now_is.visits == was.visits


# --- the ranks, by example ------------------------------------------------------------------------


def one_cycle(*told: Event) -> Cycle:
    """The cycle of these events, the same in each order of them."""
    [cycle, *others] = [reduce(merge, order, None) for order in permutations(told)]
    assert cycle is not None
    assert all(other == cycle for other in others)
    return cycle


def one_room(*told: Event) -> Room:
    """The room of these events, the same in each order of them."""
    [room, *others] = [reduce(merge_room, order, None) for order in permutations(told)]
    assert room is not None
    assert all(other == room for other in others)
    return room


def test_of_two_lefts_in_one_second_the_greater_event_id_decides() -> None:
    one = left("14:30", reason="CLIENT_INITIATED", event_id="EV_1")
    other = left("14:30", reason="DUPLICATE_IDENTITY", event_id="EV_2")
    assert one_cycle(joined(), one, other).disconnect_reason == "DUPLICATE_IDENTITY"


def test_a_lefts_time_and_reason_come_from_the_same_left() -> None:
    cycle = one_cycle(left("14:30", reason="ROOM_DELETED"), left("14:31", reason=None))
    assert (cycle.left_at, cycle.disconnect_reason) == (at("14:31"), None)


def test_a_webhooks_left_is_worth_more_than_an_inferred_one_at_any_time() -> None:
    cycle = one_cycle(
        left("14:30"), left("14:29", source="reconciler"), left("14:50", source="reconciler")
    )
    assert (cycle.left_at, cycle.left_inferred) == (at("14:30"), False)


def test_the_join_time_is_the_one_told_by_the_greatest_event() -> None:
    cycle = one_cycle(
        joined("14:00", joined_at="14:00:00.100"), left("14:30", joined_at="14:00:00.200")
    )
    assert cycle.joined_at == at("14:00:00.200")


def test_a_webhooks_join_time_is_worth_more_than_an_inferred_one() -> None:
    cycle = one_cycle(
        joined("14:00", joined_at="13:59:59.500"),
        joined("14:10", joined_at="14:00:01", source="reconciler"),
    )
    assert (cycle.joined_at, cycle.source) == (at("13:59:59.500"), "livekit")


def test_an_event_without_a_join_time_does_not_take_the_known_one_away() -> None:
    cycle = one_cycle(joined("14:00:00.250"), left("14:30", joined_at=None))
    assert cycle.joined_at == at("14:00:00.250")


def test_a_join_time_that_is_told_is_worth_more_than_an_earlier_guess() -> None:
    cycle = one_cycle(joined("13:59:59", joined_at=None), left("14:30", joined_at="14:00:00.250"))
    assert cycle.joined_at == at("14:00:00.250")


def test_when_no_event_tells_a_join_time_the_first_sent_is_nearest() -> None:
    cycle = one_cycle(joined("14:00", joined_at=None), left("14:30"), left("14:20"))
    assert cycle.joined_at == at("14:00")


def test_the_name_is_the_last_one_told_whatever_comes_without_one() -> None:
    cycle = one_cycle(joined("14:00", name="Ada"), left("14:30", name="Ada L."), left("14:40"))
    assert cycle.name == "Ada L."


def test_an_inferred_name_is_worth_less_than_a_webhooks() -> None:
    cycle = one_cycle(joined("14:00", name="Ada"), joined("14:30", name="ada", source="reconciler"))
    assert cycle.name == "Ada"


def test_an_aborted_connection_sets_only_when_it_was_aborted() -> None:
    cycle = one_cycle(aborted("14:00", joined_at="13:59:59", name="Ada", reason="SIGNAL_CLOSE"))
    assert cycle == Cycle(
        "PA_1", "5", room_sid="RM_1", room_name="quran-98", hidden=False, aborted_at=at("14:00")
    )
    assert cycle.began_at == at("14:00")


def test_a_manual_visit_keeps_its_first_join_its_last_leave_and_its_last_claim() -> None:
    cycle = one_cycle(
        client_joined("14:00", name="Ada", claims="PA_1"),
        client_left("14:10"),
        client_joined("14:20", claims="PA_2"),
        client_left("14:30"),
    )
    assert (cycle.joined_at, cycle.client_leave) == (at("14:00"), at("14:30"))
    assert (cycle.name, cycle.claimed_sid, cycle.source) == ("Ada", "PA_2", "client")
    assert (cycle.provisional, cycle.participant_sid) == (True, None)


def test_a_rooms_creation_is_the_least_that_its_events_tell() -> None:
    room = one_room(
        room_started("14:00:01", room_created="14:00:00.690"),
        joined("14:00:05"),
        room_finished("14:30", room_created="14:00:00.700"),
    )
    assert room.created_at == at("14:00:00.690")
    assert one_room(joined("14:00:05"), joined("14:00:04", sid="PA_2")).created_at == at("14:00:04")


def test_the_least_event_that_names_a_session_decides_which() -> None:
    room = one_room(
        room_started("14:00"),
        joined("14:01", names="b", event_id="EV_2"),
        joined("14:01", names="c", event_id="EV_1"),
        left("14:02", names="a", event_id="EV_0"),
    )
    assert room.named_session == "c"


def test_a_room_keeps_its_latest_start_and_finish_and_when_it_was_last_heard_of() -> None:
    room = one_room(
        room_started("13:00"), room_finished("13:30"), room_started("13:31"), seen("14:00")
    )
    assert (room.started_at, room.finished_at) == (at("13:31"), at("13:30"))
    assert (room.finished, room.last_event_at) == (False, at("14:00"))


# --- recordings of a real server ------------------------------------------------------------------


def recorded(name: str) -> list[Event]:
    """The events of a recording that attendance is made of."""
    payloads = [events.parse(post.body) for post in captured(name)]
    return [events.read(one) for one in payloads if not events.is_unused(one)]


def after(name: str) -> datetime:
    return max(post.received_at for post in captured(name)) + timedelta(minutes=1)


def counted(known: Folded, now: datetime) -> dict[str, tuple[str, Visit]]:
    """Every visit of everybody in every session, by participant sid, and whose it is."""
    found: dict[str, tuple[str, Visit]] = {}
    for session_id in known.sessions:
        for user in {cycle.user_id for cycle in known.cycles.values()}:
            for visit in known.attendance(user, session_id, now=now).visits:
                assert visit.cycle.cycle_id not in found, "one visit is counted once"
                found[visit.cycle.cycle_id] = user, visit
    return found


@pytest.mark.parametrize("name", captures())
def test_every_visit_of_a_person_is_told_as_its_client_saw_it_and_no_machine_is_one(
    name: str,
) -> None:
    found, expected = counted(folded(recorded(name)), after(name)), witnesses.told(name)
    if name == "server_crash":  # nobody was left to write down what the clients saw
        assert {user for user, _ in found.values()} == {"student-0", "student-1", "student-2"}
        return
    assert found.keys() == expected.keys()
    for sid, one in expected.items():
        user, visit = found[sid]
        assert (user, visit.cycle.room_name) == (one.user_id, one.room_name)
        assert visit.joined_at in one.joined
        assert (visit.ended_by, visit.estimated) == (one.ended_by, one.estimated)
        assert visit.ended_at in one.left if visit.ended_at else one.ended_by is None


@pytest.mark.parametrize("name", captures())
def test_a_recording_shuffled_and_repeated_gives_the_same_answer(name: str) -> None:
    told, now = recorded(name), after(name)
    expected = folded(told)
    for seed in range(5):
        dice = Random(seed)
        shuffled = dice.sample(told * 2, len(told) * 2)
        assert folded(shuffled) == expected
    for session_id in expected.sessions:
        for user in sorted({cycle.user_id for cycle in expected.cycles.values()}):
            _check(expected.attendance(user, session_id, now=now))


def test_whoever_the_server_lost_is_inside_until_something_ends_it() -> None:
    """A crash sends no left and no room_finished; the class's end, or the next room, ends it."""
    told = recorded("server_crash")
    began_at = told[0].created_at
    one = Session("crash", told[0].room_name or "", scheduled_at=began_at, duration_minutes=60)
    known = folded(told, registered=[one])
    during = known.attendance("student-0", "crash", now=began_at + timedelta(minutes=59))
    afterwards = known.attendance("student-0", "crash", now=began_at + timedelta(minutes=61))
    assert during.is_currently_in_meeting
    assert [visit.ended_by for visit in afterwards.visits] == ["stale"]
    assert afterwards.last_left_at == one.ends_at


def test_a_full_reconnect_costs_nobody_a_second() -> None:
    known = folded(recorded("full_reconnect"))
    [session_id] = known.sessions
    one = known.attendance("browser-full-reconnect", session_id, now=after("full_reconnect"))
    assert one.join_count == 2
    assert one.last_left_at
    assert one.first_joined_at
    assert one.last_left_at - one.first_joined_at - one.duration < timedelta(seconds=1)


def test_a_room_that_lost_its_metadata_goes_on_in_the_same_session() -> None:
    known = folded(recorded("room_reused"))
    assert known.sessions == ["98"]
    seen = known.attendance("student-1", "98", now=after("room_reused"))
    assert (seen.join_count, seen.attendance_status) == (2, "completed")


# --- classes that overlap, follow each other, share rooms -----------------------------------------


@st.composite
def calendars(draw: st.DrawFn) -> list[Session]:
    """Sessions of two rooms: some at the same time, some that follow, some without a schedule."""
    count = draw(st.integers(0, 4))
    return [
        session(
            draw(st.sampled_from(["0", "quran-98", "b"])) if number == 0 else f"{number}",
            scheduled=draw(st.none() | INSTANTS),
            minutes=draw(st.sampled_from([1, 30, 60, 600])),
            room_name=draw(st.sampled_from(["quran-98", "b", "c"])),
            rooms=draw(st.sampled_from([(), ("b",), ("quran-*",), ("*",)])),
            expected=draw(st.sampled_from([(), ("5",), ("6",), ("5", "6")])),
        )
        for number in range(count)
    ]


@FOLD
@given(TOLD, calendars(), INSTANTS)
def test_every_moment_of_a_visit_is_in_one_session(
    told: list[Event], registered: list[Session], now: datetime
) -> None:
    known = folded(told, registered=registered)
    by_cycle: dict[str, list[Visit]] = defaultdict(list)
    for attendance in attendances(known, [now]):
        for part in attendance.visits:
            by_cycle[part.cycle.cycle_id].append(part)
    for cycle_id, parts in by_cycle.items():
        first, *following = sorted(parts, key=lambda part: part.joined_at)
        assert first.joined_at == known.cycles[cycle_id].joined_at
        for part in following:
            assert (first.ended_at, first.ended_by) == (part.joined_at, "next_session")
            assert not first.estimated
            first = part
        assert first.ended_by != "next_session"


@FOLD
@given(deliveries(), calendars(), INSTANTS)
def test_any_order_gives_the_same_rosters_whatever_is_registered(
    sets: tuple[list[Event], list[Event]], registered: list[Session], now: datetime
) -> None:
    told, delivered = sets
    one = folded(told, registered=registered)
    other = folded(delivered, registered=list(reversed(registered)))
    assert one.sessions == other.sessions
    assert attendances(one, [now]) == attendances(other, [now])
