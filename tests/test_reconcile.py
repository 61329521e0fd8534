"""Reconciliation: what webhooks did not tell is found in LiveKit's API, and they correct it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from livekit.protocol.models import ParticipantInfo
from redis import Redis
from sqlalchemy import update

from models.domain import event as events
from models.domain.event import Event
from models.ledger import apply
from models.settings.settings import Settings
from models.storage import db
from models.tables import webhook_event
from models.tables.cycle import cycles
from models.tables.webhook_event import webhook_events
from tests import build, faults
from tests.build import joined, left
from tests.doors import Rollcall, Row, ago, rows
from tests.fake_livekit import FakeLiveKit, running
from tests.terminal import Terminal
from worker.process.backend import Backend
from worker.reconcile import livekit_api
from worker.reconcile.livekit_api import Look, Unanswered
from worker.reconcile.reconcile import Reconciler

SESSION = "quran-98"


@pytest.fixture
def livekit() -> Iterator[FakeLiveKit]:
    with running() as fake:
        yield fake


@pytest.fixture
def settings(settings: Settings, livekit: FakeLiveKit) -> Settings:
    return settings.model_copy(update={"livekit_url": livekit.url})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Sweeps:
    """A reconciler whose sweeps are drained at once."""

    rollcall: Rollcall
    clock: Clock
    reconciler: Reconciler

    def sweep(self, *, after_seconds: float = 0) -> None:
        self.clock.seconds += after_seconds
        self.reconciler.reconcile()
        self.rollcall.drain()

    def restart(self) -> None:
        self.reconciler = Reconciler(self.rollcall.backend, clock=self.clock)


@pytest.fixture
def sweeps(rollcall: Rollcall) -> Sweeps:
    clock = Clock()
    return Sweeps(rollcall, clock, Reconciler(rollcall.backend, clock=clock))


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def registered(rollcall: Rollcall, *, began: datetime, minutes: int = 60) -> None:
    assert (
        rollcall.put(SESSION, scheduled_at=began.isoformat(), duration_minutes=minutes).status_code
        == 201
    )


def visits(rollcall: Rollcall, user: str = "5") -> list[Row]:
    roster = rollcall.roster(SESSION).json
    assert roster is not None
    (person,) = [one for one in roster["attendances"] if one["user_id"] == user]
    found: list[Row] = person["cycles"]
    return found


def inside(rollcall: Rollcall, user: str = "5") -> bool:
    found: bool = rollcall.seen(SESSION, user=user)["is_currently_in_meeting"]
    return found


def told(rollcall: Rollcall) -> list[str]:
    """The reconciler's own events, by id."""
    return sorted(row["event_id"] for row in rollcall.ledger() if row["source"] == "reconciler")


@pytest.fixture
def in_class(rollcall: Rollcall, livekit: FakeLiveKit) -> datetime:
    """Person 5 is inside, LiveKit and its webhooks say so; when they joined."""
    joined_at = ago(minutes=20)
    registered(rollcall, began=ago(minutes=21))
    livekit.opens(created=joined_at)
    livekit.enters(joined=joined_at)
    rollcall.deliver(joined(joined_at, room_created=joined_at))
    return joined_at


# --- manual joins ---------------------------------------------------------------------------------


def by_hand(rollcall: Rollcall, *, minutes_ago: float) -> None:
    """Person 5 said then that they joined."""
    told_by_hand(rollcall, build.client_joined(ago(minutes_ago), session="98"))


def told_by_hand(rollcall: Rollcall, event: Event) -> None:
    """A manual join or leave, at the time of the event."""
    settings = rollcall.backend.settings
    with db.writing(rollcall.backend.engine) as conn:
        webhook_event.record_applied(conn, event, events.client_payload(event))
        apply.apply(conn, [event], now=event.created_at, settings=settings)


@pytest.fixture
def open_room(rollcall: Rollcall, livekit: FakeLiveKit) -> None:
    """The room of the class is open, and person 6 is in it."""
    opened_at = ago(minutes=30)
    rollcall.put("98", room_name=SESSION, scheduled_at=opened_at.isoformat())
    livekit.opens(created=opened_at)
    livekit.enters("PA_6", "6", joined=opened_at)
    rollcall.deliver(joined(opened_at, sid="PA_6", user="6", room_created=opened_at))


@pytest.mark.usefixtures("open_room")
def test_a_manual_join_ends_when_its_room_is_seen_twice_without_the_person(
    rollcall: Rollcall, sweeps: Sweeps
) -> None:
    by_hand(rollcall, minutes_ago=10)
    sweeps.sweep()
    first_missed = now()
    assert rollcall.seen("98")["is_currently_in_meeting"], "missed once"
    sweeps.sweep(after_seconds=33)
    seen = rollcall.seen("98")
    assert (seen["is_currently_in_meeting"], seen["confirmed"]) == (False, False)
    left_at = datetime.fromisoformat(seen["last_left_at"])
    assert abs(left_at - first_missed) <= timedelta(seconds=5)
    [visit] = [
        visit
        for line in (rollcall.roster("98").json or {})["attendances"]
        for visit in line["cycles"]
        if visit["source"] == "client"
    ]
    assert (visit["ended_by"], visit["estimated"]) == ("left", True)
    sweeps.sweep(after_seconds=33)
    assert len(told(rollcall)) == 1, "once is enough"
    again = (rollcall.join("98").json or {})["is_currently_in_meeting"]
    assert again, "whoever joins again is inside again"


@pytest.mark.usefixtures("open_room")
def test_who_only_just_joined_by_hand_is_still_connecting(
    rollcall: Rollcall, sweeps: Sweeps
) -> None:
    rollcall.join("98")
    for _ in range(3):
        sweeps.sweep(after_seconds=33)
    assert rollcall.seen("98")["is_currently_in_meeting"]
    assert told(rollcall) == []


@pytest.mark.usefixtures("open_room")
def test_who_joins_again_by_hand_is_connecting_again(rollcall: Rollcall, sweeps: Sweeps) -> None:
    by_hand(rollcall, minutes_ago=10)
    sweeps.sweep()
    assert rollcall.join("98").status_code == 200, "the page was loaded again"
    for _ in range(3):
        sweeps.sweep(after_seconds=33)
    assert rollcall.seen("98")["is_currently_in_meeting"]


@pytest.mark.usefixtures("open_room")
def test_joining_again_by_hand_puts_the_end_off_and_not_away(
    rollcall: Rollcall, sweeps: Sweeps
) -> None:
    by_hand(rollcall, minutes_ago=10)
    sweeps.sweep()
    by_hand(rollcall, minutes_ago=3)
    sweeps.sweep(after_seconds=33)
    assert rollcall.seen("98")["is_currently_in_meeting"], "missed once since"
    sweeps.sweep(after_seconds=33)
    assert not rollcall.seen("98")["is_currently_in_meeting"]


@pytest.mark.usefixtures("open_room")
def test_a_manual_join_of_somebody_who_is_inside_goes_on(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    by_hand(rollcall, minutes_ago=10)
    livekit.enters("PA_5", "5", joined=ago(minutes=3))
    for _ in range(3):
        sweeps.sweep(after_seconds=33)
    assert rollcall.seen("98")["is_currently_in_meeting"]
    assert [each for each in told(rollcall) if each.startswith("client_left")] == []


def test_a_manual_join_to_a_room_that_livekit_does_not_have_is_left_alone(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    rollcall.put("98", room_name=SESSION)
    by_hand(rollcall, minutes_ago=10)
    livekit.opens("RM_9", "another", created=ago(minutes=30))
    for _ in range(3):
        sweeps.sweep(after_seconds=33)
    assert rollcall.seen("98")["is_currently_in_meeting"]


@pytest.mark.usefixtures("open_room")
def test_a_manual_join_that_stands_for_livekits_visit_needs_no_end_of_its_own(
    rollcall: Rollcall, sweeps: Sweeps
) -> None:
    came = ago(minutes=10)
    by_hand(rollcall, minutes_ago=10)
    words = build.Words(room_created=ago(minutes=30), joined_at=came)
    rollcall.deliver(joined(came, **words), left(ago(minutes=1), **words))
    for _ in range(3):
        sweeps.sweep(after_seconds=33)
    assert told(rollcall) == []


@pytest.mark.usefixtures("open_room")
def test_what_the_reconciler_found_of_a_manual_join_is_derived_again(
    rollcall: Rollcall, sweeps: Sweeps, terminal: Terminal
) -> None:
    by_hand(rollcall, minutes_ago=10)
    sweeps.sweep()
    sweeps.sweep(after_seconds=33)
    before = rollcall.facts()
    [found] = [row for row in rollcall.ledger() if row["source"] == "reconciler"]
    assert (found["event"], found["status"]) == ("client_left", "applied")
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(cycles).values(left_at=None, left_rank=""))
    assert terminal.json("sessions", "rebuild", "--all")["differences"]
    assert rollcall.facts() == before


# --- lost lefts -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_class")
def test_a_lost_left_is_inferred_when_two_looks_miss_the_person(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    sweeps.sweep()
    livekit.leaves()
    first_missed = now()
    sweeps.sweep(after_seconds=33)
    assert inside(rollcall), "missed once: a hiccup of the API's, for all we know"
    sweeps.sweep(after_seconds=33)
    (visit,) = visits(rollcall)
    assert datetime.fromisoformat(visit["left_at"]) - first_missed <= timedelta(seconds=2)
    assert (visit["estimated"], visit["ended_by"]) == (True, "left")
    assert told(rollcall) == ["participant_left:PA_1"]


@pytest.mark.usefixtures("in_class")
def test_two_looks_close_together_close_nobody(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    livekit.leaves()
    for _ in range(4):
        sweeps.sweep(after_seconds=7)
    assert inside(rollcall)
    sweeps.sweep(after_seconds=9)
    assert not inside(rollcall)


def test_who_was_there_in_between_was_not_missed_twice(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, in_class: datetime
) -> None:
    livekit.leaves()
    sweeps.sweep()
    livekit.enters(joined=in_class)
    sweeps.sweep(after_seconds=33)
    livekit.leaves()
    sweeps.sweep(after_seconds=33)
    assert inside(rollcall)


@pytest.mark.usefixtures("in_class")
def test_a_server_that_crashed_ends_the_visits_of_all_its_rooms(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    livekit.crashes()
    sweeps.sweep()
    sweeps.sweep(after_seconds=33)
    assert not inside(rollcall)


def test_a_real_left_that_comes_late_corrects_the_estimate(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, in_class: datetime
) -> None:
    livekit.leaves()
    sweeps.sweep()
    sweeps.sweep(after_seconds=33)
    really = ago(minutes=2)
    rollcall.deliver(left(really, joined_at=in_class))
    (visit,) = visits(rollcall)
    assert datetime.fromisoformat(visit["left_at"]) == really.replace(microsecond=0)
    assert visit["estimated"] is False


def test_an_inferred_end_is_never_later_than_what_else_is_known(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, in_class: datetime
) -> None:
    """LiveKit keeps one connection an identity: a later join had ended the visit already."""
    again = ago(minutes=10)
    livekit.enters("PA_2", joined=again)
    rollcall.deliver(joined(again, sid="PA_2"))
    sweeps.sweep()
    sweeps.sweep(after_seconds=33)
    first, second = visits(rollcall)
    assert (first["left_at"], first["ended_by"]) == (second["joined_at"], "rejoined")
    assert first["participant_sid"] == "PA_1"
    assert second["left_at"] is None


def test_somebody_who_was_taken_for_gone_is_back_when_seen_and_can_leave_again(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, in_class: datetime
) -> None:
    livekit.leaves()
    sweeps.sweep()
    sweeps.sweep(after_seconds=33)
    assert not inside(rollcall)
    faults.until(lambda: now() > datetime.fromisoformat(visits(rollcall)[0]["left_at"]))
    livekit.enters(joined=in_class)
    sweeps.sweep(after_seconds=33)
    assert inside(rollcall)
    assert visits(rollcall)[0]["left_at"] is None
    livekit.leaves()
    sweeps.sweep(after_seconds=33)
    sweeps.sweep(after_seconds=33)
    assert not inside(rollcall)
    assert len(visits(rollcall)) == 1


def test_a_client_that_said_it_left_is_believed_over_the_estimate(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    registered(rollcall, began=ago(minutes=1))
    visit = rollcall.join(SESSION, participant_sid="PA_1").json
    assert visit is not None
    joined_at = ago(seconds=1)
    livekit.opens(created=joined_at)
    rollcall.deliver(joined(joined_at, room_created=joined_at))
    assert rollcall.leave(visit["visit"], SESSION).status_code == 200
    assert inside(rollcall), "for LiveKit they are inside: a page may hide without leaving"
    sweeps.sweep()
    sweeps.sweep(after_seconds=33)
    assert visits(rollcall)[0]["ended_by"] == "client_left"


# --- an error is never an empty room --------------------------------------------------------------


def _html() -> web.Response:
    return web.Response(text="<h1>Welcome to the Wi-Fi</h1>", content_type="text/html")


def _empty() -> web.Response:
    return web.Response(body=b"", content_type="text/plain")


def _error() -> web.Response:
    return web.json_response({"code": "internal", "msg": "no"}, status=500)


def _refused() -> web.Response:
    return web.json_response({"code": "unauthenticated", "msg": "no"}, status=401)


def _garbage() -> web.Response:
    return web.Response(body=b"\xff\xff\xff", content_type="application/protobuf")


NOT_ANSWERS = [_html, _empty, _error, _refused, _garbage]


def looked(livekit: FakeLiveKit) -> Look:
    """A look alone, by the address that frontends use."""
    settings = Settings(
        livekit_api_key=build.KEY,
        livekit_api_secret=build.SECRET,
        livekit_url=livekit.url.replace("http", "ws"),
        _env_file=None,
    )
    return livekit_api.look(settings, after="", until=None, most=10)


@pytest.mark.parametrize("answer", NOT_ANSWERS, ids=lambda one: one.__name__.strip("_"))
def test_no_list_of_rooms_is_no_look(
    livekit: FakeLiveKit, answer: Callable[[], web.Response]
) -> None:
    livekit.rule = lambda method, _: answer() if method == "ListRooms" else None
    with pytest.raises(Unanswered):
        looked(livekit)


@pytest.mark.parametrize("answer", NOT_ANSWERS, ids=lambda one: one.__name__.strip("_"))
def test_a_room_that_does_not_answer_is_no_empty_room(
    livekit: FakeLiveKit, answer: Callable[[], web.Response]
) -> None:
    livekit.opens(created=ago(1))
    assert looked(livekit).shows("RM_1", "PA_1") is False
    livekit.rule = lambda method, _: answer() if method == "ListParticipants" else None
    assert looked(livekit).shows("RM_1", "PA_1") is None


@pytest.mark.parametrize("method", ["ListRooms", "ListParticipants"])
@pytest.mark.usefixtures("in_class")
def test_while_livekit_fails_nobody_is_missed(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, method: str
) -> None:
    livekit.leaves()
    livekit.rule = lambda called, _: _error() if called == method else None
    for _ in range(3):
        with suppress(Unanswered):
            sweeps.sweep(after_seconds=33)
    assert inside(rollcall)


def test_a_hung_room_does_not_hold_up_the_others(livekit: FakeLiveKit) -> None:
    for number in range(3):
        livekit.opens(f"RM_{number}", f"room-{number}", created=ago(1))
        livekit.enters(f"PA_{number}", f"pupil-{number}", f"room-{number}", joined=ago(1))

    async def never() -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    livekit.rule = lambda method, count: (
        never() if (method, count) == ("ListParticipants", 1) else None
    )
    look = looked(livekit)
    assert [look.shows(f"RM_{one}", f"PA_{one}") for one in range(3)].count(True) == 2
    assert len(look.unknown) == 1


@pytest.mark.usefixtures("in_class")
def test_a_room_that_ended_while_we_looked_is_unknown(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    """Participants are listed by the room's name, which may be another room by then."""

    def replaced(method: str, _count: int) -> None:
        if method == "ListParticipants":
            livekit.opens("RM_2", created=ago())
            livekit.enters("PA_2", "6", joined=ago())

    livekit.rule = replaced
    sweeps.sweep()
    assert told(rollcall) == []
    livekit.rule = lambda _method, _count: None
    livekit.opens(created=ago(20))
    sweeps.sweep(after_seconds=33)
    assert inside(rollcall), "it was missed once, not twice"


# --- lost joins -----------------------------------------------------------------------------------


def test_somebody_inside_of_whom_no_webhook_told_gets_a_visit(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    joined_at = ago(minutes=3)
    registered(rollcall, began=ago(minutes=5))
    livekit.opens(created=joined_at)
    livekit.enters(joined=joined_at)
    sweeps.sweep()
    sweeps.sweep(after_seconds=33)
    (visit,) = visits(rollcall)
    assert inside(rollcall)
    assert datetime.fromisoformat(visit["joined_at"]) == joined_at
    assert visit["source"] == "reconciler"
    assert told(rollcall) == ["participant_joined:PA_1"]
    stored = str(rollcall.ledger())
    assert "turn-secret" not in stored
    assert "private" not in stored


def test_a_joined_webhook_that_comes_late_makes_no_second_visit(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    joined_at = ago(minutes=3)
    livekit.opens(created=joined_at)
    livekit.enters(joined=joined_at)
    sweeps.sweep()
    rollcall.deliver(joined(joined_at, room_created=joined_at, name="Ada"))
    (visit,) = visits(rollcall)
    assert visit["source"] == "livekit"


def test_agents_observers_and_those_still_connecting_are_not_counted(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    at = ago(minutes=3)
    livekit.opens(created=at)
    livekit.enters("PA_1", "agent", joined=at, kind=ParticipantInfo.AGENT)
    livekit.enters("PA_2", "observer", joined=at, hidden=True)
    livekit.enters("PA_3", "connecting", joined=at, state=ParticipantInfo.JOINED)
    sweeps.sweep()
    roster = rollcall.roster(SESSION).json
    assert roster is not None
    assert roster["attendances"] == []
    assert told(rollcall) == ["participant_joined:PA_1", "participant_joined:PA_2"]


def test_whoever_left_by_webhook_is_not_brought_back_by_a_slow_api(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, in_class: datetime
) -> None:
    rollcall.deliver(left(ago(1), joined_at=in_class))
    sweeps.sweep()
    assert not inside(rollcall)
    assert told(rollcall) == []


# --- a class that overruns ------------------------------------------------------------------------


@pytest.fixture
def overrun(rollcall: Rollcall, livekit: FakeLiveKit) -> datetime:
    """The class ended ten minutes ago by its schedule, and person 5 is still inside."""
    joined_at = ago(minutes=65)
    registered(rollcall, began=ago(minutes=70))
    livekit.opens(created=joined_at)
    livekit.enters(joined=joined_at)
    rollcall.deliver(joined(joined_at, room_created=joined_at))
    return joined_at


@pytest.mark.usefixtures("overrun")
def test_whoever_is_seen_stays_present_past_the_scheduled_end(
    rollcall: Rollcall, sweeps: Sweeps
) -> None:
    assert not inside(rollcall), "the schedule says so, and nobody says otherwise"
    sweeps.sweep()
    assert inside(rollcall)
    assert rollcall.seen(SESSION)["duration_minutes"] >= 65


@pytest.mark.usefixtures("overrun")
def test_a_sight_is_one_row_a_visit_however_long_the_class(
    rollcall: Rollcall, sweeps: Sweeps
) -> None:
    sweeps.sweep()
    (first,) = [row for row in rollcall.ledger() if row["event"] == "participant_seen"]
    for _ in range(3):
        sweeps.sweep(after_seconds=33)
    assert told(rollcall) == ["participant_seen:PA_1"]
    older = first["created_at"] - timedelta(minutes=3)
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(webhook_events).values(created_at=older))
        conn.execute(update(cycles).values(last_seen_at=older))
    sweeps.sweep(after_seconds=120)
    (renewed,) = [row for row in rollcall.ledger() if row["event"] == "participant_seen"]
    assert renewed["id"] == first["id"]
    assert renewed["created_at"] >= first["created_at"]
    assert renewed["status"] == "applied"


def test_nobody_is_seen_where_it_changes_no_answer(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, in_class: datetime
) -> None:
    sweeps.sweep()
    assert told(rollcall) == []
    assert inside(rollcall)


def test_a_room_that_lives_longer_than_any_visit_may_is_still_live(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    """MAX_CYCLE_HOURS is for those of whom nothing is heard; these are seen."""
    joined_at = ago(hours=13)
    assert rollcall.put(SESSION).status_code == 201
    livekit.opens(created=joined_at)
    livekit.enters(joined=joined_at)
    rollcall.deliver(joined(joined_at, room_created=joined_at))
    assert not inside(rollcall)
    sweeps.sweep()
    assert inside(rollcall)


# --- what the reconciler stands on ----------------------------------------------------------------


@pytest.mark.usefixtures("in_class")
def test_a_wiped_redis_changes_nothing(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, redis_url: str
) -> None:
    livekit.leaves()
    sweeps.sweep()
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    sweeps.sweep(after_seconds=33)
    assert not inside(rollcall)


@pytest.mark.usefixtures("in_class")
def test_a_restart_only_delays(rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps) -> None:
    livekit.leaves()
    sweeps.sweep()
    sweeps.restart()
    sweeps.sweep(after_seconds=33)
    assert inside(rollcall)
    sweeps.sweep(after_seconds=33)
    assert not inside(rollcall)


@pytest.mark.usefixtures("in_class")
def test_two_reconcilers_at_once_find_the_same(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    other = Reconciler(rollcall.backend, clock=sweeps.clock)
    livekit.leaves()
    livekit.enters("PA_2", "6", joined=ago(1))
    for _ in range(3):
        sweeps.clock.seconds += 33
        other.reconcile()
        sweeps.sweep()
    assert told(rollcall) == ["participant_joined:PA_2", "participant_left:PA_1"]


def test_more_rooms_than_one_sweep_looks_at_take_turns(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps
) -> None:
    for number in range(5):
        livekit.opens(f"RM_{number}", f"room-{number}", created=ago(1))
        livekit.enters(f"PA_{number}", f"pupil-{number}", f"room-{number}", joined=ago(1))
    sweeps.reconciler = Reconciler(rollcall.backend, clock=sweeps.clock, most_rooms=2)
    sweeps.sweep()
    assert told(rollcall) == ["participant_joined:PA_0", "participant_joined:PA_1"]
    sweeps.sweep()
    sweeps.sweep()
    assert len(told(rollcall)) == 5
    livekit.leaves("pupil-3", "room-3")
    livekit.leaves("pupil-0", "room-0")
    for _ in range(6):
        sweeps.sweep(after_seconds=33)
    assert [one for one in told(rollcall) if "left" in one] == [
        "participant_left:PA_0",
        "participant_left:PA_3",
    ]


def test_a_person_who_was_erased_stays_so(
    rollcall: Rollcall, livekit: FakeLiveKit, sweeps: Sweeps, in_class: datetime
) -> None:
    """Of a visit that is known, the reconciler tells what the tables say of the person."""
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(cycles).values(user_id="erased-1"))
    livekit.leaves()
    sweeps.sweep()
    sweeps.sweep(after_seconds=33)
    (found,) = [row for row in rollcall.ledger() if row["source"] == "reconciler"]
    assert found["user_id"] == "erased-1"
    assert found["payload"]["participant"]["identity"] == "erased-1"


def test_without_redis_the_reconciler_applies_what_it_finds(
    settings: Settings, livekit: FakeLiveKit
) -> None:
    nobody = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    livekit.opens(created=ago(1))
    livekit.enters(joined=ago(1))
    with closing(Backend.of(nobody)) as backend:
        Reconciler(backend).reconcile()
        (cycle,) = rows(backend, cycles)
    assert cycle["cycle_id"] == "PA_1"
