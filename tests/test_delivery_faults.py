"""What may go wrong with webhooks of our own delays others little, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from redis import Redis
from rq.timeouts import JobTimeoutException
from sqlalchemy import Connection, update
from sqlalchemy import event as hooks
from sqlalchemy.exc import OperationalError

from models.settings.settings import Settings
from models.storage import db
from models.tables import delivery
from models.tables.delivery import deliveries
from models.tables.final_session import final_sessions
from models.tables.revision import revisions
from models.tables.session import sessions
from tests.doors import (
    Rollcall,
    a_worker,
    ago,
    on_postgresql,
    on_sqlite,
    rows,
    serving,
    wait_for,
    waits_for_a_lock,
    working,
)
from tests.faults import free_port
from tests.hooked import Receiver, answering, receiving
from tests.test_deliveries import (
    BEGAN,
    a_class,
    find,
    kept,
    make_due,
    press,
    send,
    statuses,
    tell,
    time_passes,
    to,
)
from tests.test_doctor import examined, line
from webhooks import outgoing
from webhooks.outgoing import body, finding, posting, sending
from worker import schedule
from worker.__main__ import OUTGOING, make_worker
from worker.inbox import bell, own_job
from worker.jobs import prune
from worker.process.backend import Backend


@pytest.fixture
def settings(settings: Settings, receiver: Receiver) -> Settings:
    return to(settings, receiver.url())


def classes(rollcall: Rollcall, count: int) -> None:
    """So many classes that are over, "s0" first."""
    for number in range(count):
        values = {"scheduled_at": ago(BEGAN + count - number).isoformat()}
        assert rollcall.put(f"s{number}", **values).status_code == 201


def posted(receiver: Receiver) -> list[tuple[str, int]]:
    """The sessions and versions that came: those of one batch in any order."""
    came = [(got.data["session"]["session_id"], got.data["version"]) for got in receiver.received]
    return sorted(came)


def change(backend: Backend, **values: Any) -> None:
    """Every delivery becomes so."""
    with db.writing(backend.engine) as conn:
        conn.execute(update(deliveries).values(**values))


# --- finding and sending wait for each other little -----------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("many", "other"), [(own_job.SEND, own_job.FIND), (own_job.FIND, own_job.SEND)]
)
def test_a_backlog_of_one_job_delays_the_other_by_one_at_most(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, many: str, other: str
) -> None:
    done: list[str] = []
    monkeypatch.setattr(outgoing, "find_final", lambda: done.append(own_job.FIND))
    monkeypatch.setattr(outgoing, "send_due", lambda: done.append(own_job.SEND))
    with working(settings, monkeypatch), Redis.from_url(settings.redis_url) as redis:
        for job in [*[many] * 5, other]:
            bell.enqueue(redis, job)
        worker = make_worker(settings, *OUTGOING)
        worker.work(burst=True, logging_level="ERROR")
        worker.connection.close()
    assert other in done[:2]
    assert sorted(done) == sorted([*[many] * 5, other])


@on_sqlite
def test_while_sends_pile_up_finding_is_scheduled(settings: Settings) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        for _ in range(schedule.MOST_WAITING):
            bell.enqueue(redis, own_job.SEND)
        made = schedule.scheduler(settings)
        made.enqueue_jobs()
        made.connection.close()
        assert bell.queue(redis, bell.FINDING).count == 1
        assert bell.queue(redis, bell.DELIVERIES).count == schedule.MOST_WAITING


@on_sqlite
def test_without_a_worker_one_job_of_each_waits(settings: Settings) -> None:
    """Nor does the scheduler say each five seconds that nobody works, while a receiver is slow."""
    made = schedule.scheduler(settings)
    with Redis.from_url(settings.redis_url) as redis:
        for _ in range(5):
            for job in made.get_jobs():
                job.next_enqueue_time = ago(0)
            made.enqueue_jobs()
        waiting = [bell.queue(redis, name).count for name in OUTGOING]
    made.connection.close()
    assert waiting == [1, 1]


@on_sqlite
def test_a_change_is_found_after_days_in_which_nobody_looked(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    """Every night the prune ran."""
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    tell(backend)
    a_class(rollcall, start=start, title="mended")
    with db.writing(backend.engine) as conn:
        conn.execute(update(revisions).values(raised_at=ago(6 * 24 * 60)))
    prune.forget_revisions(backend, now=datetime.now(UTC))
    tell(backend)
    assert posted(receiver) == [("98", 1)], "all changes that are kept were looked at just now"
    assert 0 < backend.redis.ttl(finding.FAR_LOOK) <= 3600
    backend.redis.delete(finding.FAR_LOOK)  # an hour passes
    tell(backend)
    assert posted(receiver) == [("98", 1), ("98", 2)]


@on_sqlite
def test_without_redis_everything_that_changed_is_looked_at(
    rollcall: Rollcall, settings: Settings, receiver: Receiver
) -> None:
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    with a_worker(away) as backend:
        tell(backend)
        a_class(rollcall, start=start, title="mended")
        with db.writing(backend.engine) as conn:
            conn.execute(update(revisions).values(raised_at=ago(6 * 24 * 60)))
        tell(backend)
    assert posted(receiver) == [("98", 1), ("98", 2)]


# --- sessions that can't be read ------------------------------------------------------------------

UNREADABLE = [
    (ValueError("Maryam"), "ValueError"),
    (body.TooLong(), "reading it takes too long"),
    (OperationalError("select", None, ConnectionError("no answer")), "no answer"),
    (JobTimeoutException("60 seconds"), "JobTimeoutException"),
]


def failing(monkeypatch: pytest.MonkeyPatch, session: str, error: Exception) -> None:
    read = body.read

    def fail(conn: Connection, session_id: str, **more: Any) -> Any:
        if session_id == session:
            raise error
        return read(conn, session_id, **more)

    monkeypatch.setattr(body, "read", fail)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_session_that_is_not_read_in_time_stops_no_other(
    rollcall: Rollcall,
    backend: Backend,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    kind: tuple[Exception, str],
) -> None:
    error, why = kind
    classes(rollcall, 3)
    with monkeypatch.context() as patched:
        failing(patched, "s0", error)
        tell(backend)
    assert posted(receiver) == [("s1", 1), ("s2", 1)]
    errors = {row["session_id"]: row["error"] for row in rows(backend, final_sessions)}
    assert errors == {"s0": why, "s1": None, "s2": None}
    time_passes(backend, 0)
    tell(backend)
    assert posted(receiver) == [("s0", 1), ("s1", 1), ("s2", 1)]
    assert {row["error"] for row in rows(backend, final_sessions)} == {None}


def test_reading_a_session_has_an_end(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_class(rollcall)
    find(backend)
    with monkeypatch.context() as patched:
        patched.setattr(sending, "READ_SECONDS", -1)
        send(backend)
    [row] = kept(backend)
    assert (row["status"], row["attempts"]) == ("pending", 1)
    assert row["error"] == "can't be made: reading it takes too long"
    assert receiver.received == []
    make_due(backend)
    send(backend)
    assert posted(receiver) == [("98", 1)]


def test_what_can_t_be_read_is_looked_at_ever_later(
    rollcall: Rollcall, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_class(rollcall)
    failing(monkeypatch, "98", body.TooLong())
    waits: list[timedelta] = []
    for _ in range(9):
        find(backend)
        [row] = rows(backend, final_sessions)
        waits.append(row["look_at"] - row["looked_at"])
        with db.writing(backend.engine) as conn:
            shift = {"looked_at": ago(0) - waits[-1], "look_at": ago(0)}
            conn.execute(update(final_sessions).values(**shift))
    minutes = [round(wait / timedelta(minutes=1)) for wait in waits]
    assert minutes == [5, 10, 20, 40, 80, 160, 320, 360, 360]


def test_a_slow_session_that_changes_all_the_time_is_read_each_half_hour(
    rollcall: Rollcall, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one whose room has the next class: each of its events raises the revision."""
    start, looks = ago(BEGAN), []
    a_class(rollcall, start=start)

    def fail(_conn: Connection, session_id: str, **_: Any) -> Any:
        looks.append(session_id)
        raise body.TooLong

    monkeypatch.setattr(body, "read", fail)
    for title in ("a", "b", "c"):
        find(backend)
        a_class(rollcall, start=start, title=title)
    assert looks == ["98"]
    with db.writing(backend.engine) as conn:
        conn.execute(update(final_sessions).values(looked_at=ago(31)))
    find(backend)
    assert looks == ["98", "98"]


def test_a_delivery_that_can_t_be_made_stops_no_other(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(rollcall, 3)
    find(backend)
    with monkeypatch.context() as patched:
        failing(patched, "s0", UNREADABLE[2][0])
        send(backend)
    assert posted(receiver) == [("s1", 1), ("s2", 1)]
    [waits] = [row for row in kept(backend) if row["status"] == "pending"]
    assert (waits["session_id"], waits["error"]) == ("s0", "can't be made: no answer")


def test_a_slow_batch_gives_back_what_it_has_no_time_for(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may send it at once, with all of its attempts."""
    classes(rollcall, 3)
    find(backend)
    read = body.read

    def last(conn: Connection, session_id: str, **more: Any) -> Any:
        patched.setattr(sending, "monotonic", lambda: float("inf"))
        return read(conn, session_id, **more)

    with monkeypatch.context() as patched:
        patched.setattr(body, "read", last)
        send(backend)
    assert posted(receiver) == [("s0", 1)]
    waiting = [row for row in kept(backend) if row["status"] == "pending"]
    assert [row["attempts"] for row in waiting] == [0, 0]
    send(backend)
    assert posted(receiver) == [("s0", 1), ("s1", 1), ("s2", 1)]


def doctor_says(settings: Settings) -> str:
    with serving(settings) as now:
        said: str = line(examined(now.client.application), "deliveries")
    return said


@on_sqlite
def test_the_doctor_and_the_metrics_name_what_can_t_be_read(
    rollcall: Rollcall, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(rollcall, 5)
    with monkeypatch.context() as patched:
        patched.setattr(finding, "READ_SECONDS", -1)
        for row in range(5):
            values = [{"user_id": "5"}]
            rollcall.put(f"s{row}", scheduled_at=ago(BEGAN + row).isoformat(), expected=values)
        find(backend)
    said = line(examined(rollcall.client.application), "deliveries")
    assert said.startswith("NOT")
    assert "5 sessions can't be read" in said
    assert "(s0, s1, s2, …)" in said
    assert "\nrollcall_sessions_unreadable 5.0" in rollcall.client.get("/metrics").text
    time_passes(backend, 0)
    tell(backend)
    assert line(examined(rollcall.client.application), "deliveries").startswith("ok")
    assert "\nrollcall_sessions_unreadable 0.0" in rollcall.client.get("/metrics").text


@on_sqlite
@pytest.mark.parametrize(("minutes", "well"), [(10, True), (20, False), (20 * 60, False)])
def test_the_doctor_says_that_nobody_looks(
    rollcall: Rollcall, backend: Backend, minutes: int, well: bool
) -> None:
    """Since half an hour after the end of a class it could have been looked at."""
    a_class(rollcall, began=90 + minutes)
    assert line(examined(rollcall.client.application), "deliveries").startswith("ok"), "it is new"
    with db.writing(backend.engine) as conn:
        conn.execute(update(sessions).values(created_at=ago(24 * 60)))
    said = line(examined(rollcall.client.application), "deliveries")
    assert said.startswith("ok" if well else "NOT")
    assert ("might have been looked at" in said) is not well
    find(backend)
    send(backend)
    assert line(examined(rollcall.client.application), "deliveries").startswith("ok")


# --- versions that were dropped, or that are old --------------------------------------------------


def test_a_session_that_is_put_back_is_told_to_whom_it_was_not_yet(
    rollcall: Rollcall, settings: Settings, receiver: Receiver
) -> None:
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    with receiving() as other, a_worker(to(settings, receiver.url(), other.url())) as backend:
        other.answers = [(500, {})]
        tell(backend)
        rollcall.delete("98")
        make_due(backend)
        send(backend)
        assert sorted(statuses(backend)) == [(1, "dropped"), (1, "sent")]
        a_class(rollcall, start=start)
        tell(backend)
        assert sorted(statuses(backend)) == [(1, "sent"), (1, "sent")]
        assert (posted(receiver), posted(other)) == ([("98", 1)], [("98", 1)] * 2)


def test_a_session_that_is_put_back_while_it_is_dropped_is_told(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look that missed it and the mark, it is there again and is looked at."""
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    find(backend)
    rollcall.delete("98")
    drop = sending._drop

    def late(*given: Any, **more: Any) -> None:
        a_class(rollcall, start=start)
        finding.look_at(backend, "98", now=datetime.now(UTC))
        drop(*given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(sending, "_drop", late)
        send(backend)
    make_due(backend)
    send(backend)
    assert posted(receiver) == [("98", 1)]


def test_what_was_dropped_for_a_receiver_that_was_taken_out_is_sent_when_it_is_back(
    rollcall: Rollcall, backend: Backend, settings: Settings, receiver: Receiver
) -> None:
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    find(backend)
    change(backend, made_at=ago(61))
    with receiving() as other, a_worker(to(settings, other.url())) as without_it:
        send(without_it)
    assert statuses(backend) == [(1, "dropped")]
    tell(backend)
    assert statuses(backend) == [(1, "sent")]
    assert posted(receiver) == [("98", 1)]


def test_what_waits_goes_to_the_same_address_with_another_password(
    rollcall: Rollcall, settings: Settings, receiver: Receiver
) -> None:
    a_class(rollcall)
    old, new = (receiver.url(f"/hook?key={key}") for key in ("old", "new"))
    with a_worker(to(settings, old)) as backend:
        receiver.answers = [(401, {})]
        tell(backend)
    with a_worker(to(settings, new)) as backend:
        make_due(backend)
        send(backend)
        assert statuses(backend) == [(1, "sent")]
    assert [got.path for got in receiver.received] == ["/hook?key=old", "/hook?key=new"]
    assert len({got.delivery_id for got in receiver.received}) == 1


def test_of_two_that_differ_by_their_query_neither_gets_what_was_the_other_s(
    rollcall: Rollcall, settings: Settings, receiver: Receiver
) -> None:
    a_class(rollcall)
    first, second, third = (receiver.url(f"/hook?tenant={number}") for number in (1, 2, 3))
    with a_worker(to(settings, first)) as backend:
        find(backend)
    with a_worker(to(settings, second, third)) as backend:
        send(backend)
        assert statuses(backend) == [(1, "pending")]
    assert receiver.received == []


def test_an_older_version_that_waits_beside_a_newer_one_is_dropped(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    tell(backend)
    a_class(rollcall, start=start, title="mended")
    tell(backend)
    with db.writing(backend.engine) as conn:
        older = deliveries.c.version == 1
        waits = {"status": "pending", "next_attempt_at": ago(0), "done_at": None}
        conn.execute(update(deliveries).where(older).values(waits))
    send(backend)
    assert sorted(statuses(backend)) == [(1, "dropped"), (2, "sent")]
    assert posted(receiver) == [("98", 1), ("98", 2)]


@on_postgresql
def test_what_failed_is_not_sent_again_when_a_newer_version_comes_meanwhile(
    rollcall: Rollcall, backend: Backend, settings: Settings, receiver: Receiver
) -> None:
    start = ago(BEGAN)
    a_class(rollcall, start=start)
    receiver.answers = [(410, {})]
    tell(backend)
    a_class(rollcall, start=start, title="mended")
    looks: list[Future[bool]] = []
    with a_worker(settings) as other, ThreadPoolExecutor(1) as thread:

        def meanwhile(*_: Any) -> None:
            looks.append(thread.submit(finding.look_at, other, "98", now=datetime.now(UTC)))
            wait_for(lambda: looks[0].done() or waits_for_a_lock(settings.database_url))

        with db.writing(backend.engine) as conn:
            hooks.listen(conn, "after_cursor_execute", meanwhile, once=True)
            delivery.send_failed_again(conn, now=datetime.now(UTC), limit=9)
        assert looks[0].result()
    assert sorted(statuses(backend)) == [(1, "dropped"), (2, "pending")]


def test_what_is_dropped_while_its_message_is_made_is_not_posted(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(rollcall, 2)
    find(backend)
    post = sending._post

    def after_a_drop(*given: Any) -> Any:
        with db.writing(backend.engine) as conn:
            delivery.drop_session(conn, "s0", why=delivery.NEWER, now=datetime.now(UTC))
        return post(*given)

    monkeypatch.setattr(sending, "_post", after_a_drop)
    send(backend)
    assert posted(receiver) == [("s1", 1)]
    assert sorted(row["status"] for row in kept(backend)) == ["dropped", "sent"]


# --- receivers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "in_two_hours",
    [
        lambda: "7200",
        lambda: format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True),
    ],
    ids=["seconds", "date"],
)
def test_a_receiver_that_asks_for_time_has_it_for_all_that_waits(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, in_two_hours: Callable[[], str]
) -> None:
    """Ten wait, eight are posted at a time."""
    classes(rollcall, 10)
    receiver.answers = [(204, {}), (429, {"Retry-After": in_two_hours()})] + [(204, {})] * 8
    find(backend)
    for _ in range(3):
        send(backend)
    assert len(receiver.received) == 8
    waiting = [row for row in kept(backend) if row["status"] == "pending"]
    assert sorted(row["error"] for row in waiting) == [
        "HTTP 429",
        *["it asked for time: HTTP 429"] * 2,
    ]
    in_hours = timedelta(hours=2) + datetime.now(UTC)
    apart = [abs(row["next_attempt_at"] - in_hours) for row in waiting]
    assert max(apart) < timedelta(minutes=15), "a delay is a tenth longer at most"
    assert press(rollcall, "/send").get_json() == {"count": 3}
    send(backend)
    assert {row["status"] for row in kept(backend)} == {"sent"}


@pytest.mark.parametrize(
    "word",
    [
        *("soon", "-1", "1e9", "Wed, 99 Nov 2026 14:00:00 GMT", "٣", "9" * 999),
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
    ],
)
def test_what_asks_for_no_time_is_no_wait(
    rollcall: Rollcall, backend: Backend, receiver: Receiver, word: str
) -> None:
    assert posting._outcome(503, word).wait <= timedelta(seconds=3)


def test_a_receiver_that_takes_nothing_is_not_asked_for_its_whole_backlog_at_once(
    rollcall: Rollcall, backend: Backend, receiver: Receiver
) -> None:
    classes(rollcall, 10)
    receiver.answers = [(500, {})] * 8
    find(backend)
    send(backend)
    assert len(receiver.received) == 8
    send(backend)
    assert len(receiver.received) == 10, "the next job goes on with the others"


HOSTILE = [
    b"",
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 ok\r\n\r\n",
    b"HTTP/1.1 99999 no\r\n\r\n",
    b"HTTP/1.1 500 no\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 500 no\r\n" + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n",
    b"HTTP/1.1 500 no\r\n" + b"X: x\r\n" * 100_000 + b"\r\n",
    b"HTTP/1.1 500 no\r\nSet-Cookie: \xff\x00=;\r\nRetry-After: \xff\r\n\r\n",
    b"HTTP/1.1 500 no\r\nRetry-After: Mon, 01 Jan 99999999999 00:00:00 GMT\r\n\r\n",
    b"HTTP/1.1 500 no\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 500 no\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
]


@on_sqlite
@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_receiver_says_is_one_failed_attempt(
    rollcall: Rollcall, settings: Settings, answer: bytes
) -> None:
    a_class(rollcall)
    with answering(answer) as url, a_worker(to(settings, url)) as backend:
        tell(backend)
        [row] = kept(backend)
        assert (row["status"], row["attempts"]) == ("pending", 1)
        assert row["error"].startswith(("no answer", "HTTP "))
        assert row["next_attempt_at"] < datetime.now(UTC) + timedelta(seconds=7)


@on_sqlite
def test_a_body_without_end_is_not_read(rollcall: Rollcall, settings: Settings) -> None:
    a_class(rollcall)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    with answering(head + b"x" * 5_000_000) as url, a_worker(to(settings, url)) as backend:
        tell(backend)
        assert statuses(backend) == [(1, "sent")]


@on_sqlite
def test_without_an_address_the_doctor_says_for_a_week_what_waits(
    rollcall: Rollcall, backend: Backend, settings: Settings, receiver: Receiver
) -> None:
    """Somebody may have lost the setting; or wants no receiver any more."""
    a_class(rollcall)
    find(backend)
    emptied = to(settings)
    assert "1 waiting, but ATTENDANCE_WEBHOOK_URL is not set" in doctor_says(emptied)
    with a_worker(emptied) as without_any:
        assert not sending.send_all(without_any)
    change(backend, next_attempt_at=ago(8 * 24 * 60))
    assert doctor_says(emptied).startswith("ok")
    send(backend)
    assert posted(receiver) == [("98", 1)]


def test_what_was_signed_with_another_secret_is_signed_anew(
    rollcall: Rollcall, backend: Backend, settings: Settings, receiver: Receiver
) -> None:
    a_class(rollcall)
    receiver.answers = [(401, {})]
    tell(backend)
    receiver.secret = "whsec_" + "bmV3IHNlY3JldCBvZiAyNCBieXRlcyE="
    make_due(backend)
    with a_worker(to(settings, receiver.url(), secrets=(receiver.secret,))) as changed:
        send(changed)
    assert statuses(backend) == [(1, "sent")]
    assert len({got.delivery_id for got in receiver.received}) == 1
