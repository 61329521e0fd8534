"""Outages: the database or Redis dead, hung or wiped, and nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from time import monotonic

import pytest
from flask.testing import FlaskClient
from livekit.api import AccessToken, VideoGrants
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from models.settings.settings import Settings
from models.storage import db
from models.tables.webhook_event import LEDGER, STATUS
from tests import build, faults
from tests.doors import drain
from tests.faults import until
from webhooks.app import create_app
from webhooks.door.context import EXTENSION
from worker.inbox import spool
from worker.inbox.spool_copier import SpoolCopier
from worker.jobs import draining
from worker.process.backend import Backend

ROOM, PERSON = "class-5b", "pupil-1"


class Deployment:
    """A web process and a worker on servers of their own, all of which can fail."""

    def __init__(self, postgres: faults.Postgres, valkey: faults.Valkey) -> None:
        self.postgres, self.valkey = postgres, valkey
        settings = Settings(
            livekit_api_key=build.KEY,
            livekit_api_secret=build.SECRET,
            database_url=postgres.url,
            redis_url=valkey.url,
            _env_file=None,
        )
        self.settings = settings
        self.app = create_app(settings)
        self.web: Backend = self.app.extensions[EXTENSION].backend
        self.worker = Backend.of(settings)
        self.client: FlaskClient = self.app.test_client()

    def close(self) -> None:
        self.app.extensions[EXTENSION].spool_copier.stop()
        self.app.extensions[EXTENSION].local_drain.stop()
        self.web.close()
        self.worker.close()

    def post(self, number: int) -> TestResponse:
        """LiveKit tells of a visit's join; a different one for each number."""
        now = datetime.now(UTC)
        sid, event_id = f"PA_{number}", f"EV_{number}"
        event = build.joined(at=now, sid=sid, user=PERSON, room_name=ROOM, event_id=event_id)
        body, token = build.signed(build.webhook(event), now=now)
        return self.client.post("/webhooks/livekit", data=body, headers={"Authorization": token})

    def status(self) -> TestResponse:
        token = AccessToken(build.KEY, build.SECRET).with_identity(PERSON)
        token = token.with_grants(VideoGrants(room=ROOM, room_join=True))
        headers = {"Authorization": f"Bearer {token.to_jwt()}"}
        return self.client.get(f"/api/sessions/{ROOM}/attendance-status", headers=headers)

    def joins(self) -> int | None:
        """How many visits the status tells of; None while it can't."""
        told = self.status().json
        return told.get("join_count") if told else None

    def applied(self) -> int:
        statement = select(func.count()).select_from(LEDGER).where(STATUS == "applied")
        with db.reading(self.worker.engine) as conn:
            return conn.execute(statement).scalar_one()

    def drained(self) -> bool:
        """A worker's tries, until the inbox and the spool are empty."""
        try:
            return drain(self.worker) == 0 and spool.length(self.worker.redis) == 0
        except (*draining.NOBODYS_FAULT, *faults.REDIS_DOWN):
            return False


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[faults.Postgres, faults.Valkey]]:
    with ExitStack() as stack:
        postgres = faults.Postgres()
        stack.callback(postgres.remove)
        valkey = faults.Valkey(tmp_path_factory.mktemp("fault") / "valkey")
        stack.callback(valkey.stop)
        yield postgres, valkey


@pytest.fixture
def here(servers: tuple[faults.Postgres, faults.Valkey]) -> Iterator[Deployment]:
    postgres, valkey = servers
    postgres.empty()
    valkey.empty()
    with closing(Deployment(postgres, valkey)) as deployment:
        yield deployment


def test_with_the_database_stopped_events_are_spooled_and_later_applied_once(
    here: Deployment,
) -> None:
    assert here.post(1).status_code == 204
    here.postgres.stop()
    try:
        assert [here.post(number).status_code for number in (1, 2, 3, 3)] == [204] * 4
    finally:
        here.postgres.start()
    until(here.drained)
    assert here.applied() == 3
    until(lambda: here.joins() == 3)


def test_a_stopped_database_costs_one_slow_answer_not_every_answer(here: Deployment) -> None:
    assert here.post(1).status_code == 204
    with here.postgres.hung():
        assert here.post(2).status_code == 204  # the slow one, which trips the breaker
        began = monotonic()
        assert [here.post(number).status_code for number in range(3, 23)] == [204] * 20
        took = monotonic() - began
    # 20 answers that each waited for the database would take 14 s.
    assert took < 20 * 0.35
    until(here.drained)
    assert here.applied() == 22


def test_with_the_database_hung_every_answer_comes_within_two_seconds(here: Deployment) -> None:
    here.post(1)
    until(here.drained)
    with here.postgres.hung():
        for ask in (here.status, lambda: here.post(2), here.status):
            began = monotonic()
            assert ask().status_code in {200, 204, 503}
            assert monotonic() - began < 2.0
    until(here.drained)
    until(lambda: here.joins() == 2)


def test_with_neither_up_livekit_is_asked_to_come_back_in_seven_seconds(here: Deployment) -> None:
    here.post(1)
    with here.postgres.hung(), here.valkey.hung():
        began = monotonic()
        answered = here.post(2)
        assert monotonic() - began < 1.5
        assert answered.status_code == 503
        assert answered.headers["Retry-After"] == "7"
        assert answered.content_type == "application/problem+json"
    until(lambda: here.post(2).status_code == 204)
    until(here.drained)
    until(lambda: here.joins() == 2)


def test_with_redis_stopped_the_web_process_applies_its_own_mail(here: Deployment) -> None:
    assert here.post(1).status_code == 204
    here.valkey.stop()
    try:
        assert here.post(2).status_code == 204
        until(lambda: here.applied() == 2)
        answered = here.status()
        assert answered.headers["X-Cache"] == "bypass"
        assert answered.json is not None
        assert answered.json["join_count"] == 2
        assert answered.json["is_currently_in_meeting"] is True
    finally:
        here.valkey.start()
    until(lambda: here.status().headers["X-Cache"] in {"hit", "miss"})


def test_with_redis_hung_answers_are_right_and_only_the_first_is_slow(here: Deployment) -> None:
    here.post(1)
    until(here.drained)
    with here.valkey.hung():
        assert here.status().headers["X-Cache"] == "bypass"
        began = monotonic()
        seen = [here.status() for _ in range(20)]
        # 20 answers that each waited for Redis would take 5 s.
        assert monotonic() - began < 20 * 0.12
        assert all(one.json is not None and one.json["join_count"] == 1 for one in seen)
    until(lambda: here.status().headers["X-Cache"] in {"hit", "miss"})


def test_redis_wiped_loses_no_event_and_no_status(here: Deployment) -> None:
    here.post(1)
    until(here.drained)
    assert here.joins() == 1
    here.post(2)
    here.valkey.empty()  # the bell, the queue and the cache are gone
    assert here.joins() in {1, 2}
    until(here.drained)
    assert here.joins() == 2


def test_an_unreadable_webhook_is_remembered_over_an_outage(here: Deployment) -> None:
    here.post(1)
    body, token = build.signed(b"{}")
    here.postgres.stop()
    try:
        headers = {"Authorization": token}
        assert here.client.post("/webhooks/livekit", data=body, headers=headers).status_code == 400
    finally:
        here.postgres.start()
    until(here.drained)
    with db.reading(here.worker.engine) as conn:
        statuses = conn.execute(select(STATUS).select_from(LEDGER)).scalars().all()
    assert sorted(statuses) == ["applied", "unreadable"]


def test_a_full_redis_gives_back_what_it_spooled_without_any_worker(here: Deployment) -> None:
    assert here.post(1).status_code == 204
    here.postgres.stop()
    try:
        assert [here.post(number).status_code for number in (2, 3, 4)] == [204] * 3
        here.valkey.fill()
        assert here.post(5).status_code == 503, "neither takes it"
    finally:
        here.postgres.start()
    try:
        until(lambda: here.applied() == 4)  # no job can be enqueued in a full Redis
        assert spool.length(here.web.redis) == 0
    finally:
        here.valkey.unfill()


def test_a_web_process_that_starts_empties_the_spool_that_another_left(here: Deployment) -> None:
    here.postgres.stop()
    try:
        assert here.post(1).status_code == 204
        here.app.extensions[EXTENSION].spool_copier.stop()
    finally:
        here.postgres.start()
    next_copier = SpoolCopier(here.settings, lambda: None)
    next_copier.start()
    try:
        until(lambda: spool.length(here.web.redis) == 0)
    finally:
        next_copier.stop()
    until(here.drained)
    assert here.applied() == 1
