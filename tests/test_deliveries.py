"""Webhooks of our own: each version of a session that is final comes to each receiver, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update
from werkzeug.test import TestResponse

from models.domain.event import Event
from models.settings.settings import Settings
from models.storage import db
from models.tables.delivery import deliveries
from models.tables.final_session import final_sessions
from models.tables.revision import revisions
from tests.build import joined, left, room_finished, room_started
from tests.doors import (
    Rollcall,
    a_worker,
    ago,
    bearer,
    counting,
    on_sqlite,
    ops_token,
    rows,
    token,
    told,
    without,
    working,
)
from tests.faults import free_port
from tests.hooked import SIGNING_SECRET, Receiver, receiving
from webhooks import outgoing
from webhooks.outgoing import body, finding, posting, sending
from webhooks.schemas.delivery_replies import AttendanceFinal
from worker import schedule
from worker.inbox import bell, own_job
from worker.jobs import prune
from worker.operations import erase
from worker.process.backend import Backend

BEGAN = 120
"""Minutes ago that the class of these tests began; it took an hour."""


@pytest.fixture
def settings(settings: Settings, receiver: Receiver) -> Settings:
    return to(settings, receiver.url())


def to(settings: Settings, *urls: str, secrets: tuple[str, ...] = (SIGNING_SECRET,)) -> Settings:
    """The same settings, with these receivers."""
    told = {"attendance_webhook_url": urls, "attendance_webhook_secret": secrets}
    return settings.model_copy(update=told)


def a_class(
    rollcall: Rollcall, *, began: float = BEGAN, start: datetime | None = None, **more: Any
) -> None:
    """A class of an hour, with two people expected; `began` are minutes ago."""
    people = [{"user_id": "5", "name": "Maryam"}, {"user_id": "6"}]
    values = {
        "room_name": "quran-98",
        "scheduled_at": (start or ago(began)).isoformat(),
        "expected": people,
    }
    assert rollcall.put("98", **values | more).status_code in (200, 201)


def visit(came: float, went: float | None, *, sid: str = "PA_1", user: str = "5") -> list[Event]:
    """Somebody's visit, in minutes ago."""
    life: dict[str, Any] = {"sid": sid, "user": user, "room_created": ago(BEGAN + 5)}
    events = [joined(ago(came), **life)]
    return events if went is None else [*events, left(ago(went), joined_at=ago(came), **life)]


def find(backend: Backend) -> None:
    """What the job does each minute."""
    assert not finding.look_around(backend)


def send(backend: Backend) -> None:
    """What the job does each five seconds."""
    sending.send_all(backend)


def tell(backend: Backend) -> None:
    """Half an hour after it was last looked at, what changed is found, and sent."""
    with db.writing(backend.engine) as conn:
        conn.execute(update(final_sessions).values(looked_at=ago(31)))
    find(backend)
    send(backend)


def kept(backend: Backend) -> list[dict[str, Any]]:
    return rows(backend, deliveries)


def statuses(backend: Backend) -> list[tuple[int, str]]:
    return [(row["version"], row["status"]) for row in kept(backend)]


def make_due(backend: Backend) -> None:
    """Time passes until the next attempt."""
    waits = deliveries.c.next_attempt_at.is_not(None)
    with db.writing(backend.engine) as conn:
        conn.execute(update(deliveries).where(waits).values(next_attempt_at=ago(0)))


def time_passes(backend: Backend, minutes: float) -> None:
    """Nothing was changed for so long."""
    with db.writing(backend.engine) as conn:
        conn.execute(update(revisions).values(raised_at=ago(minutes)))
        waits = final_sessions.c.look_at.is_not(None)
        conn.execute(update(final_sessions).where(waits).values(look_at=ago(0)))


# --- what is sent, and when -----------------------------------------------------------------------


def test_a_receiver_is_told_once_what_the_roster_says(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    rollcall.deliver(*visit(118, 61))
    tell(backend)
    [got] = receiver.received
    roster = told(rollcall.roster())
    assert got.data == {
        "version": 1,
        **without(roster, "as_of"),
        "roster_path": "/api/sessions/98/attendance",
    }
    assert [line["attendance_status"] for line in got.data["attendances"]] == [
        "completed",
        "absent",
    ]
    for _ in range(3):
        tell(backend)
    assert receiver.received == [got]
    assert statuses(backend) == [(1, "sent")]


def test_a_class_in_which_nothing_happened_is_told_too(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    time_passes(backend, 60 * 24 * 3)
    tell(backend)
    [got] = receiver.received
    assert got.data["summary"]["absent"] == 2


@pytest.mark.parametrize("minutes_ago", [70, 89])
def test_before_half_an_hour_after_its_end_nobody_is_told(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, minutes_ago: int
) -> None:
    a_class(rollcall, began=minutes_ago)
    tell(backend)
    assert receiver.received == []


def test_while_somebody_is_inside_it_is_not_final(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    """Somebody came back after the class, and stays."""
    a_class(rollcall, began=100)
    rollcall.deliver(*visit(99, 45), *visit(2, None, sid="PA_2"))
    tell(backend)
    assert receiver.received == []
    rollcall.deliver(left(ago(1), sid="PA_2", room_created=ago(BEGAN + 5), joined_at=ago(2)))
    tell(backend)
    [got] = receiver.received
    assert [len(line["cycles"]) for line in got.data["attendances"]] == [2, 0]


def test_a_session_without_a_schedule_is_told_when_its_rooms_finished_half_an_hour_ago(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    life: dict[str, Any] = {"room_created": ago(BEGAN + 5)}
    rollcall.deliver(room_started(ago(BEGAN + 5), **life), *visit(118, 61))
    time_passes(backend, 45)
    tell(backend)
    assert receiver.received == [], "its room goes on"
    rollcall.deliver(room_finished(ago(50), **life))
    tell(backend)
    assert receiver.received == [], "it changed a moment ago"
    time_passes(backend, 31)
    tell(backend)
    [got] = receiver.received
    assert got.data["session"]["session_id"] == f"quran-98@{ago(BEGAN + 5).date()}"
    assert got.data["summary"]["completed"] == 1


def test_what_ended_long_ago_is_told_to_nobody(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    week = 8 * 24 * 60
    a_class(rollcall, began=week)
    life: dict[str, Any] = {"room": "RM_2", "room_name": "another", "room_created": ago(week)}
    rollcall.deliver(
        room_started(ago(week), **life),
        joined(ago(week), **life),
        left(ago(week - 50), joined_at=ago(week), **life),
        room_finished(ago(week - 60), **life),
    )
    time_passes(backend, 45)
    tell(backend)
    assert receiver.received == []
    with counting(backend.engine) as statements:
        find(backend)
    assert len(statements) < 8, "it is not looked at again"


# --- versions -------------------------------------------------------------------------------------


def test_a_late_event_makes_a_second_version(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    rollcall.deliver(*visit(118, 80))
    tell(backend)
    rollcall.deliver(*visit(75, 65, sid="PA_2"))
    tell(backend)
    first, second = receiver.received
    assert (first.data["version"], second.data["version"]) == (1, 2)
    assert first.delivery_id != second.delivery_id
    assert [line["join_count"] for line in second.data["attendances"]] == [2, 0]


def test_changes_within_half_an_hour_are_told_together(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    """Nor is a class read again for each event of the next one in its room."""
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    tell(backend)
    for title in ("mended", "mended again"):
        a_class(rollcall, start=start, title=title)
        find(backend)
        send(backend)
    assert len(receiver.received) == 1
    tell(backend)
    _, got = receiver.received
    assert (got.data["version"], got.data["session"]["title"]) == (2, "mended again")


def test_a_change_that_says_the_same_makes_no_version(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    start = ago(BEGAN)
    for _ in range(2):
        a_class(rollcall, start=start)
        tell(backend)
    assert len(receiver.received) == 1


def test_a_version_that_waits_gives_way_to_a_newer_one(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    receiver.answers = [(500, {})]
    tell(backend)
    a_class(rollcall, title="Quran, mended")
    make_due(backend)
    send(backend)  # before anybody looked for changes
    assert statuses(backend) == [(1, "dropped"), (2, "pending")]
    send(backend)
    assert receiver.received[1].data["session"]["title"] == "Quran, mended"
    assert [got.data["version"] for got in receiver.received] == [1, 2]


def test_two_who_look_at_the_same_moment_make_one_version(
    rollcall: Rollcall, backend: Backend, settings: Settings
) -> None:
    a_class(rollcall)
    with ExitStack() as stack, ThreadPoolExecutor(4) as threads:
        lookers = [stack.enter_context(a_worker(settings)) for _ in range(4)]
        now = datetime.now(UTC)
        made = list(threads.map(lambda each: finding.look_at(each, "98", now=now), lookers))
    assert sorted(made) == [False, False, False, True]
    assert statuses(backend) == [(1, "pending")]


def test_a_class_that_is_moved_while_its_version_waits_is_told_when_it_is_final_again(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    find(backend)
    a_class(rollcall, began=-600)
    send(backend)
    assert receiver.received == []
    assert [(row["status"], row["attempts"]) for row in kept(backend)] == [("pending", 0)]
    a_class(rollcall, start=start)
    make_due(backend)
    send(backend)
    assert statuses(backend) == [(1, "sent")]


def test_a_session_that_is_gone_is_not_sent(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    find(backend)
    rollcall.delete("98")
    tell(backend)
    assert (receiver.received, statuses(backend)) == ([], [(1, "dropped")])


def test_a_person_who_was_erased_is_in_no_body_that_is_sent_later(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    rollcall.deliver(*visit(118, 61))
    find(backend)
    erase.erase(backend, "5")
    send(backend)
    tell(backend)
    [got] = receiver.received
    assert b"Maryam" not in got.body
    assert b'"user_id":"5"' not in got.body
    assert got.data["summary"]["completed"] == 1
    for table in (deliveries, final_sessions):
        assert "Maryam" not in str(rows(backend, table))


def test_a_large_roster_is_named_and_not_sent(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "MOST_PEOPLE", 1)
    a_class(rollcall)
    tell(backend)
    [got] = receiver.received
    assert got.data["attendances"] is None
    assert got.data["summary"]["total"] == 2
    assert got.data["roster_path"] == "/api/sessions/98/attendance"


@pytest.mark.parametrize(
    ("session_id", "path"),
    [
        ("حلقة 7?", "/r/api/sessions/%D8%AD%D9%84%D9%82%D8%A9%207%3F/attendance"),
        ("a/b", "/r/api/sessions/-/attendance?session=a%2Fb"),
        ("..", "/r/api/sessions/-/attendance?session=.."),
    ],
)
def test_any_session_s_roster_has_a_path(session_id: str, path: str) -> None:
    assert body.roster_of(session_id, "/r") == path


# --- receivers that fail --------------------------------------------------------------------------


def test_a_receiver_that_fails_is_asked_again_with_the_same_bytes_and_id(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    receiver.answers = [(500, {}), (503, {})]
    tell(backend)
    for _ in range(2):
        send(backend)  # not due yet
        make_due(backend)
        send(backend)
    assert len(receiver.received) == 3
    assert len({(got.delivery_id, got.body) for got in receiver.received}) == 1
    [row] = kept(backend)
    assert (row["status"], row["attempts"], row["error"]) == ("sent", 3, None)


def test_it_is_tried_for_three_days_and_then_failed(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    find(backend)
    waits: list[timedelta] = []
    receiver.answers = [(500, {})] * 99
    while kept(backend)[0]["status"] == "pending":
        make_due(backend)
        send(backend)
        if next_at := kept(backend)[0]["next_attempt_at"]:
            waits.append(next_at - datetime.now(UTC))
    least = [delay - timedelta(seconds=5) for delay in sending.DELAYS]
    assert all(at_least < waited for at_least, waited in zip(least, waits, strict=True))
    assert sum(waits, timedelta()) > timedelta(days=3)
    [row] = kept(backend)
    assert (row["status"], row["attempts"], row["error"]) == ("failed", 10, "HTTP 500")
    assert len(receiver.received) == 10


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        ((429, {"Retry-After": "7200"}), 7200),
        ((503, {"Retry-After": "soon"}), 5),
        ((302, {}), 5),
    ],
)
def test_a_receiver_may_ask_for_time(
    rollcall: Rollcall,
    backend: Backend,
    receiver: Receiver,
    answer: tuple[int, dict[str, str]],
    waits: int,
) -> None:
    a_class(rollcall)
    receiver.answers = [answer]
    tell(backend)
    [row] = kept(backend)
    at = datetime.now(UTC) + timedelta(seconds=waits)
    assert abs(row["next_attempt_at"] - at) < timedelta(seconds=5)
    assert row["error"] == f"HTTP {answer[0]}"


def test_a_receiver_that_is_gone_is_not_asked_again(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    receiver.answers = [(410, {})]
    tell(backend)
    assert statuses(backend) == [(1, "failed")]


def test_no_redirect_is_followed(rollcall: Rollcall, backend: Backend, receiver: Receiver) -> None:
    a_class(rollcall)
    receiver.answers = [(307, {"Location": "/elsewhere"})]
    tell(backend)
    assert [got.path for got in receiver.received] == ["/hook"]
    assert statuses(backend) == [(1, "pending")]


def test_a_receiver_that_is_down_or_slow_is_told_later(
    rollcall: Rollcall, settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_class(rollcall)
    port = free_port()
    with a_worker(to(settings, f"http://127.0.0.1:{port}/hook")) as backend:
        tell(backend)
        assert [row["error"] for row in kept(backend)] == ["no connection: Connection refused"]
        monkeypatch.setattr(posting, "ANSWER_SECONDS", 0.2)
        with receiving(port) as late:
            late.going.clear()
            make_due(backend)
            send(backend)
            assert [row["error"] for row in kept(backend)] == ["no answer within 0.2 s"]
            late.going.set()
            monkeypatch.setattr(posting, "ANSWER_SECONDS", 20)
            make_due(backend)
            send(backend)
        assert [row["status"] for row in kept(backend)] == ["sent"]
        assert len({got.delivery_id for got in late.received}) == 1


def test_receivers_fail_each_for_itself(
    rollcall: Rollcall, settings: Settings, receiver: Receiver
) -> None:
    """One takes everything, while another gives no answer until the first has it."""
    a_class(rollcall)
    with receiving() as slow:
        slow.going.clear()
        slow.answers = [(500, {})]
        receiver.before = slow.going.set
        with a_worker(to(settings, slow.url(), receiver.url())) as backend:
            tell(backend)
            assert sorted(row["status"] for row in kept(backend)) == ["pending", "sent"]
            make_due(backend)
            send(backend)
            assert sorted(row["status"] for row in kept(backend)) == ["sent", "sent"]
        assert (len(slow.received), len(receiver.received)) == (2, 1)
        assert {got.body for got in slow.received} == {got.body for got in receiver.received}


def test_who_is_killed_before_the_mark_sends_it_again_under_the_same_id(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    a_class(rollcall)
    find(backend)
    with monkeypatch.context() as patched:
        patched.setattr(sending, "_mark", kill)
        with pytest.raises(Killed):
            send(backend)
    send(backend)
    assert len(receiver.received) == 1, "another worker leaves it alone for a minute"
    [row] = kept(backend)
    assert row["next_attempt_at"] - datetime.now(UTC) > timedelta(seconds=40)
    make_due(backend)
    send(backend)
    assert len(receiver.received) == 2
    assert len({(got.delivery_id, got.body) for got in receiver.received}) == 1
    assert statuses(backend) == [(1, "sent")]


def test_a_session_that_cannot_be_read_stops_no_other(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_class(rollcall)
    assert rollcall.put("97", scheduled_at=ago(BEGAN + 1).isoformat()).status_code == 201
    read = body.read

    def fail(conn: Connection, session_id: str, **more: Any) -> Any:
        if session_id == "97":
            raise ValueError("Maryam")
        return read(conn, session_id, **more)

    with monkeypatch.context() as patched:
        patched.setattr(body, "read", fail)
        tell(backend)
    assert [got.data["session"]["session_id"] for got in receiver.received] == ["98"]
    time_passes(backend, 0)
    tell(backend)
    assert [got.data["session"]["session_id"] for got in receiver.received] == ["98", "97"]


# --- settings -------------------------------------------------------------------------------------


def test_while_the_secret_is_rotated_either_one_verifies(
    rollcall: Rollcall, settings: Settings, receiver: Receiver
) -> None:
    a_class(rollcall)
    new = "whsec_" + "bmV3IHNlY3JldCBvZiAyNCBieXRlcyE="
    with receiving() as other:
        other.secret = new
        urls = (receiver.url(), other.url())
        with a_worker(to(settings, *urls, secrets=(new, SIGNING_SECRET))) as backend:
            tell(backend)
        assert len(receiver.received) == len(other.received) == 1


def test_no_password_of_an_address_is_stored_or_logged(
    rollcall: Rollcall,
    settings: Settings,
    receiver: Receiver,
    capfd: pytest.CaptureFixture[str],
) -> None:
    a_class(rollcall)
    url = receiver.url("/hook?key=s3cret").replace("http://", "http://rollcall:s3cret@")
    receiver.answers = [(500, {})]
    with a_worker(to(settings, url)) as backend:
        tell(backend)
        assert [row["url"] for row in kept(backend)] == [receiver.url()]
        assert "s3cret" not in str(kept(backend))
    assert [got.path for got in receiver.received] == ["/hook?key=s3cret"]
    assert "s3cret" not in "".join(capfd.readouterr())


def test_what_waits_for_an_address_that_was_taken_out_is_dropped_after_an_hour(
    rollcall: Rollcall, backend: Backend, settings: Settings, receiver: Receiver
) -> None:
    a_class(rollcall)
    find(backend)
    with receiving() as other, a_worker(to(settings, other.url())) as changed:
        send(changed)
        assert statuses(backend) == [(1, "pending")]
        with db.writing(backend.engine) as conn:
            conn.execute(update(deliveries).values(made_at=ago(61)))
        send(changed)
        assert other.received == []
    assert statuses(backend) == [(1, "dropped")]


@on_sqlite
def test_without_an_address_nothing_is_scheduled(settings: Settings) -> None:
    made = [schedule.scheduler(to(settings)), schedule.scheduler(settings)]
    names = [{job.name for job in each.get_jobs()} for each in made]
    assert names[1] - names[0] == own_job.OUTGOING
    assert not names[0] & own_job.OUTGOING
    for each in made:
        each.connection.close()


@on_sqlite
def test_the_jobs_find_and_send(
    rollcall: Rollcall, settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_class(rollcall)
    monkeypatch.setenv("ATTENDANCE_WEBHOOK_SECRET", SIGNING_SECRET)
    monkeypatch.setenv("ATTENDANCE_WEBHOOK_URL", receiver.url())
    queue = bell.queue(rollcall.backend.redis, bell.DELIVERIES)
    with working(settings, monkeypatch):
        outgoing.find_final()
        assert queue.count == 1, "what was found is sent by the next job"
        outgoing.send_due()
    assert len(receiver.received) == 1


def test_deliveries_that_are_done_with_are_pruned_by_age(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    tell(backend)
    a_class(rollcall, title="mended")
    receiver.answers = [(500, {})]
    tell(backend)
    prune.forget_deliveries(backend, before=ago(1))
    assert statuses(backend) == [(1, "sent"), (2, "pending")]
    prune.forget_deliveries(backend, before=ago(-1))
    assert statuses(backend) == [(2, "pending")]


# --- for operators --------------------------------------------------------------------------------


def asked(rollcall: Rollcall, path: str = "", **query: str) -> Any:
    url = f"/api/deliveries{path}"
    return rollcall.client.get(url, query_string=query, headers=bearer(ops_token())).get_json()


def press(rollcall: Rollcall, path: str) -> TestResponse:
    return rollcall.client.post(f"/api/deliveries{path}", headers=bearer(ops_token()))


def test_what_is_posted_is_as_it_is_declared(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    rollcall.deliver(*visit(118, 61))
    tell(backend)
    AttendanceFinal.model_validate_json(receiver.received[0].body, strict=True)


def test_what_failed_is_listed_and_sent_again(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    receiver.answers = [(410, {})]
    tell(backend)
    assert asked(rollcall, status="sent") == {"deliveries": [], "next": None}
    [line] = asked(rollcall, status="failed")["deliveries"]
    assert (line["url"], line["error"], line["attempts"]) == (receiver.url(), "HTTP 410", 1)
    again = press(rollcall, f"/{line['delivery_id']}/send").get_json()
    assert (again["status"], again["attempts"]) == ("pending", 0)
    assert bell.queue(backend.redis, bell.DELIVERIES).count == 1
    send(backend)
    assert [each["status"] for each in asked(rollcall)["deliveries"]] == ["sent"]
    assert len({got.delivery_id for got in receiver.received}) == 1


def test_all_that_failed_is_sent_again_but_for_older_versions(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    receiver.answers = [(410, {})] * 3
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    assert rollcall.put("97", scheduled_at=ago(BEGAN + 1).isoformat()).status_code == 201
    tell(backend)
    a_class(rollcall, start=start, title="mended")
    tell(backend)
    assert sorted(statuses(backend)) == [(1, "dropped"), (1, "failed"), (2, "failed")]
    assert press(rollcall, "/send").get_json() == {"count": 2}
    send(backend)
    newest = [
        (each.data["session"]["session_id"], each.data["version"]) for each in receiver.received
    ]
    assert sorted(newest[3:]) == [("97", 1), ("98", 2)]
    [older] = asked(rollcall, status="dropped")["deliveries"]
    refused = press(rollcall, f"/{older['delivery_id']}/send")
    assert (refused.status_code, refused.get_json()["reason"]) == (409, "newer-version")


def test_what_waits_for_its_next_attempt_is_sent_again_too(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    receiver.answers = [(429, {"Retry-After": "86400"})]
    tell(backend)
    assert press(rollcall, "/send").get_json() == {"count": 1}
    assert press(rollcall, "/send").get_json() == {"count": 0}
    send(backend)
    assert statuses(backend) == [(1, "sent")]


def test_an_erasure_posts_a_version_with_the_pseudonym(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    a_class(rollcall)
    rollcall.deliver(*visit(118, 61))
    tell(backend)
    erase.erase(backend, "5")
    tell(backend)
    first, second = receiver.received
    assert b"Maryam" in first.body
    assert b"Maryam" not in second.body
    assert first.data["summary"] == second.data["summary"]


def test_deliveries_come_a_page_at_a_time(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    for number in range(3):
        told = {"scheduled_at": ago(BEGAN + number).isoformat()}
        assert rollcall.put(f"s{number}", **told).status_code == 201
    find(backend)
    page = asked(rollcall, limit="2")
    rest = asked(rollcall, limit="2", after=str(page["next"]))
    shown = [each["session_id"] for each in [*page["deliveries"], *rest["deliveries"]]]
    assert (sorted(shown), rest["next"]) == (["s0", "s1", "s2"], None)
    assert [each["session_id"] for each in asked(rollcall, session_id="s1")["deliveries"]] == ["s1"]


@on_sqlite
@pytest.mark.parametrize(
    ("query", "status"),
    [("status=lost", 400), ("after=x", 400), ("limit=0", 400), ("sessionid=9", 400)],
)
def test_a_bad_word_is_refused(rollcall: Rollcall, query: str, status: int) -> None:
    url = f"/api/deliveries?{query}"
    assert rollcall.client.get(url, headers=bearer(ops_token())).status_code == status


@on_sqlite
def test_deliveries_are_operators_alone(rollcall: Rollcall) -> None:
    teacher = bearer(token("t", roomAdmin=True))
    get, post = rollcall.client.get, rollcall.client.post
    assert get("/api/deliveries", headers=teacher).status_code == 403
    assert post("/api/deliveries/send", headers=teacher).status_code == 403
    assert post("/api/deliveries/msg_1/send", headers=teacher).status_code == 403
    unknown = post("/api/deliveries/msg_1/send", headers=bearer(ops_token()))
    assert (unknown.status_code, unknown.get_json()["reason"]) == (404, "no-delivery")


@pytest.mark.parametrize("ago_minutes", [1, 30])
def test_the_doctor_says_what_failed_and_what_nobody_sends(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, ago_minutes: int
) -> None:
    a_class(rollcall)
    find(backend)
    with db.writing(backend.engine) as conn:
        conn.execute(update(deliveries).values(next_attempt_at=ago(ago_minutes)))
    late = "deliveries.late" if ago_minutes > 5 else "deliveries.good"
    assert what_the_doctor_says(rollcall) == late
    receiver.answers = [(410, {})]
    send(backend)
    assert what_the_doctor_says(rollcall) == "deliveries.failed"
    exposed = rollcall.client.get("/metrics").text
    assert "\nrollcall_deliveries_failed 1.0" in exposed
    press(rollcall, "/send")
    send(backend)
    assert what_the_doctor_says(rollcall) == "deliveries.good"


@pytest.mark.parametrize("made_minutes_ago", [59, 70])
def test_what_waits_for_a_receiver_that_was_removed_is_late_when_nobody_drops_it(
    rollcall: Rollcall, backend: Backend, made_minutes_ago: int
) -> None:
    """It waits for an hour, since processes are restarted one after another."""
    a_class(rollcall)
    find(backend)
    made = ago(made_minutes_ago)
    removed = {"receiver": "another", "made_at": made, "next_attempt_at": made}
    with db.writing(backend.engine) as conn:
        conn.execute(update(deliveries).values(removed))
    late = "deliveries.late" if made_minutes_ago > 65 else "deliveries.good"
    assert what_the_doctor_says(rollcall) == late


def what_the_doctor_says(rollcall: Rollcall) -> str:
    """Of webhooks of our own."""
    health = rollcall.client.get("/api/health", headers=bearer(ops_token())).get_json()
    checks = {check["what"]: check["finding"] for check in health["checks"]}
    finding: str = checks["deliveries"]
    return finding
