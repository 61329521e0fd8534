"""Clocks and calendars: LiveKit's clock against ours, days that leap, classes over midnight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.domain.facts import Rules
from models.settings.settings import Settings
from tests.build import folded, joined, left, room_started, signed, webhook
from tests.doors import Rollcall, Row, ago, on_sqlite, problem, serving, told

BERLIN = ZoneInfo("Europe/Berlin")
SESSION = "quran-98"


def seen(rollcall: Rollcall) -> Row:
    return rollcall.seen(SESSION)


def sent(rollcall: Rollcall, *events: Row, by_a_clock: timedelta) -> list[int]:
    """Webhooks of a LiveKit whose clock is that far ahead of ours; how each was answered."""
    livekits_now = datetime.now(UTC) + by_a_clock
    return [rollcall.post(*signed(one, now=livekits_now)).status_code for one in events]


# --- LiveKit's clock ------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("ahead", [59, -59, -330])
def test_a_visit_is_as_long_as_livekit_says_by_whatever_clock(
    rollcall: Rollcall, ahead: int
) -> None:
    """A minute ahead, a minute behind, and as far behind as a token is good for."""
    skew = timedelta(seconds=ahead)
    came, went = ago(minutes=10) + skew, ago() + skew
    events = (joined(came, room_created=came), left(went, joined_at=came))
    assert sent(rollcall, *map(webhook, events), by_a_clock=skew) == [204, 204]
    rollcall.drain()
    status = seen(rollcall)
    assert status["duration_seconds"] in (599, 600), "LiveKit's left is a whole second"
    assert datetime.fromisoformat(status["first_joined_at"]) == came
    assert status["is_currently_in_meeting"] is False, "though it left in our future"


@on_sqlite
def test_whoever_joined_in_our_future_is_in_the_meeting_and_has_not_begun_to_count(
    rollcall: Rollcall,
) -> None:
    ahead = timedelta(seconds=59)
    came = ago() + ahead
    sent(rollcall, webhook(joined(came, room_created=came)), by_a_clock=ahead)
    rollcall.drain()
    status = seen(rollcall)
    assert (status["is_currently_in_meeting"], status["duration_seconds"]) == (True, 0)


@on_sqlite
@pytest.mark.parametrize(("ahead", "reason"), [(62, "not_yet_valid"), (-362, "expired")])
def test_further_apart_than_its_tokens_allow_nothing_is_believed(
    rollcall: Rollcall, ahead: int, reason: str
) -> None:
    skew = timedelta(seconds=ahead)
    body, signature = signed(webhook(joined(ago() + skew)), now=datetime.now(UTC) + skew)
    answer = rollcall.post(body, signature)
    assert problem(answer) == (401, reason)
    assert rollcall.ledger() == []


# --- times that no clock has ----------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("at", [datetime(2200, 1, 1, tzinfo=UTC), ago(hours=-25)])
def test_an_event_from_the_future_is_unreadable_and_kept_as_such(
    rollcall: Rollcall, at: datetime
) -> None:
    """It would supersede every room, and end every visit, that will be until then."""
    inside = ago(minutes=5)
    rollcall.deliver(joined(inside, room_created=inside))
    for event in (
        joined(at, sid="PA_2", room="RM_2"),
        left(at),
        joined(inside, sid="PA_3", joined_at=at),
        room_started(inside, room="RM_4", room_created=at),
    ):
        assert rollcall.send(event) == [400]
    assert [row["status"] for row in rollcall.ledger()] == ["applied"] + 4 * ["unreadable"]
    assert seen(rollcall)["is_currently_in_meeting"] is True


@on_sqlite
def test_a_left_of_1970_ends_its_visit_where_it_began_until_a_better_one_comes(
    rollcall: Rollcall,
) -> None:
    """As a machine tells that has not found out yet what time it is."""
    came = ago(minutes=10)
    rollcall.deliver(joined(came, room_created=came))
    rollcall.deliver(left(datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC), joined_at=came))
    status = seen(rollcall)
    assert (status["duration_seconds"], status["last_left_at"]) == (0, status["first_joined_at"])
    rollcall.deliver(left(ago(minutes=1), joined_at=came, event_id="EV_better"))
    assert seen(rollcall)["duration_minutes"] in (8, 9)


@on_sqlite
def test_a_join_of_1970_is_a_visit_of_1970(rollcall: Rollcall) -> None:
    began = datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
    rollcall.deliver(joined(began))
    status = rollcall.seen("quran-98@1970-01-01")
    assert status["first_joined_at"] == "1970-01-01T00:00:05Z"
    assert status["is_currently_in_meeting"] is False
    assert status["duration_seconds"] == 12 * 3600, "MAX_CYCLE_HOURS, for want of a left"


# --- calendars ------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        ("2025-03-30T01:30:00+01:00", "2025-03-30T03:30:00+02:00"),
        ("2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00"),
    ],
    ids=["spring", "autumn"],
)
def test_an_hour_is_an_hour_though_the_clock_leaps_in_it(
    settings: Settings, starts: str, ends: str
) -> None:
    """By Berlin's clock, which is put forward and back at one o'clock UTC."""
    start, end = datetime.fromisoformat(starts), datetime.fromisoformat(ends)
    with serving(settings.model_copy(update={"timezone": "Europe/Berlin"})) as rollcall:
        rollcall.put("98", room_name="quran-98", scheduled_at=starts, duration_minutes=60)
        rollcall.deliver(joined(start, room_created=start), left(end, joined_at=start))
        status = rollcall.seen("98")
    assert status["duration_seconds"] == 3600
    assert status["attendance_percentage"] == 100.0
    assert (status["is_late"], status["left_early"]) == (False, False)
    assert datetime.fromisoformat(status["session"]["ends_at"]) == end


@pytest.mark.parametrize(
    ("created", "session"),
    [
        ("2026-03-28T22:59:59+00:00", "quran-98@2026-03-28"),
        ("2026-03-28T23:00:00+00:00", "quran-98@2026-03-29"),
        ("2026-03-29T21:59:59+00:00", "quran-98@2026-03-29"),
        ("2026-03-29T22:00:00+00:00", "quran-98@2026-03-30"),
        ("2026-10-24T22:00:00+00:00", "quran-98@2026-10-25"),
        ("2026-10-25T22:59:59+00:00", "quran-98@2026-10-25"),
    ],
)
def test_a_day_is_that_of_the_timezone_and_has_23_to_25_hours(created: str, session: str) -> None:
    at = datetime.fromisoformat(created)
    assert list(folded([joined(at, room_created=at)], rules=Rules(timezone=BERLIN)).sessions) == [
        session
    ]


def test_a_class_over_midnight_is_one_session(settings: Settings) -> None:
    """That of the day on which its room began, also for who comes after midnight."""
    today = datetime.now(BERLIN).date()
    midnight = datetime(today.year, today.month, today.day, tzinfo=BERLIN).astimezone(UTC)
    before, after = midnight - timedelta(minutes=5), midnight + timedelta(minutes=5)
    if after > datetime.now(UTC):  # it is just past midnight in Berlin
        before, after = before - timedelta(days=1), after - timedelta(days=1)
    of_berlin = settings.model_copy(update={"timezone": "Europe/Berlin"})
    named = f"quran-98@{before.astimezone(BERLIN).date().isoformat()}"
    with serving(of_berlin) as rollcall:
        rollcall.deliver(
            joined(before, room_created=before),
            joined(after, sid="PA_2", user="6", room_created=before),
            left(after + timedelta(minutes=1), joined_at=before),
        )
        status = rollcall.seen(named)
        assert status["duration_seconds"] == 11 * 60
        roster = told(rollcall.roster(named))
        assert [one["user_id"] for one in roster["attendances"]] == ["5", "6"]
        assert rollcall.seen("quran-98")["session_id"] == named
