"""A standby answers rosters and exports, and says of which moment. The primary answers whenever
that would be a minute ago, wrong, or nothing at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from models.settings.settings import Settings
from models.storage import schema, suitability
from models.storage import standby as standbys
from models.storage.standby import State
from tests import faults
from tests.build import KEY, SECRET
from tests.doors import (
    Rollcall,
    ago,
    aside,
    bearer,
    counting,
    ops_token,
    pausing,
    problem,
    serving,
    session_url,
    token,
    told,
    wait_for,
)
from tests.faults import free_port, until
from tests.processes import answers, environment, running
from tests.standbys import READER, Standby
from tests.test_doctor import examined, line
from tests.test_migrations import released
from tests.test_not_taken import execute, named
from worker.process.backend import REQUEST

ROOM = "quran-98"


@pytest.fixture(scope="module")
def primary() -> Iterator[faults.Postgres]:
    made = faults.Postgres()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def a_standby(primary: faults.Postgres) -> Iterator[Standby]:
    made = Standby(primary)
    yield made
    made.remove()


@pytest.fixture
def settings(primary: faults.Postgres, a_standby: Standby, redis_url: str) -> Settings:
    primary.empty()
    return Settings(
        livekit_api_key=KEY,
        livekit_api_secret=SECRET,
        database_url=primary.url,
        read_database_url=a_standby.url,
        redis_url=redis_url,
        _env_file=None,
    )


@pytest.fixture
def rollcall(settings: Settings) -> Iterator[Rollcall]:
    with serving(settings) as made:
        until(lambda: is_current(made))
        yield made


def the_standby(rollcall: Rollcall) -> standbys.Standby:
    assert rollcall.backend.standby is not None
    return rollcall.backend.standby


def is_current(rollcall: Rollcall, *, later: timedelta = timedelta(0)) -> bool:
    """Whether the standby has all that there is at this moment, or, if nothing happens, later."""
    now = datetime.now(UTC) + later
    return the_standby(rollcall).examine(now) == State(now, None)


def roster(rollcall: Rollcall) -> Any:
    return told(rollcall.roster(ROOM))


def export(rollcall: Rollcall) -> TestResponse:
    url = session_url(ROOM, "attendance", format="csv")
    return rollcall.client.get(url, headers=bearer(ops_token()), buffered=True)


def people(answer: Any) -> list[str]:
    return [person["user_id"] for person in answer["attendances"]]


def as_of(answer: Any) -> datetime:
    return datetime.fromisoformat(answer["as_of"])


def asked_for_visits(statements: list[str]) -> bool:
    return any("FROM cycles" in " ".join(each.split()) for each in statements)


def test_rosters_and_exports_are_read_from_it(rollcall: Rollcall) -> None:
    rollcall.deliver(named(1, at=ago(5), user="1"), named(2, at=ago(4), user="2"))
    until(lambda: is_current(rollcall))
    with (
        counting(the_standby(rollcall).engine) as of_standby,
        counting(rollcall.backend.engine) as of_primary,
    ):
        before = datetime.now(UTC)
        assert people(roster(rollcall)) == ["1", "2"]
        assert as_of(roster(rollcall)) >= before - timedelta(milliseconds=1)
        rows = list(csv.DictReader(io.StringIO(export(rollcall).text.removeprefix("\ufeff"))))
        assert [row["user_id"] for row in rows] == ["1", "2"]
    assert asked_for_visits(of_standby)
    assert not asked_for_visits(of_primary)


def test_no_status_comes_from_it_and_nothing_that_is_written_asks_it(rollcall: Rollcall) -> None:
    with counting(the_standby(rollcall).engine) as statements:
        rollcall.deliver(named(1, at=ago(5), user="5"))
        assert rollcall.put("99", room_name="another").status_code == 201
        assert rollcall.join(ROOM).status_code == 201
        assert told(rollcall.status(ROOM))["is_currently_in_meeting"] is True
    assert statements == []


def test_an_answer_says_of_which_moment_it_is(rollcall: Rollcall, a_standby: Standby) -> None:
    rollcall.deliver(named(1, at=ago(5), user="1"))
    until(lambda: is_current(rollcall))
    with a_standby.lagging():
        paused_at = datetime.now(UTC)
        rollcall.deliver(named(2, at=ago(4), user="2"))
        answer = roster(rollcall)
        assert people(answer) == ["1"]
        assert as_of(answer) <= paused_at
        [person] = answer["attendances"]
        joined_at = datetime.fromisoformat(person["first_joined_at"])
        inside = (as_of(answer) - joined_at).total_seconds()
        assert abs(person["duration_seconds"] - inside) <= 1
    until(lambda: people(roster(rollcall)) == ["1", "2"])


def test_when_it_is_too_far_behind_the_primary_answers_and_that_is_logged_once(
    rollcall: Rollcall, a_standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standbys, "MOST_BEHIND", timedelta(seconds=1))
    rollcall.deliver(named(1, at=ago(5), user="1"))
    until(lambda: is_current(rollcall))
    with capture_logs() as logs:
        with a_standby.lagging():
            rollcall.deliver(named(2, at=ago(4), user="2"))
            until(lambda: people(roster(rollcall)) == ["1", "2"])
            before = datetime.now(UTC)
            assert as_of(roster(rollcall)) >= before - timedelta(milliseconds=1)
            seen = line(examined(rollcall.client.application), "standby")
            assert seen.startswith("NOT")
            assert "s behind the primary, which answers instead" in seen
            assert "pg_stat_replication" in seen
        until(lambda: is_current(rollcall))
        roster(rollcall)
    noted = [entry for entry in logs if entry["event"].startswith("standby.")]
    assert [(entry["event"], entry.get("reason")) for entry in noted] == [
        ("standby.left_out", "behind"),
        ("standby.used", None),
    ]


def test_where_nothing_happens_it_is_not_behind(
    rollcall: Rollcall, primary: faults.Postgres
) -> None:
    """Also where the primary has begun another file of its log since, as archiving has it do."""
    rollcall.deliver(named(1, at=ago(5), user="1"))
    for statement in ("SELECT 1", "SELECT pg_switch_wal()"):
        execute(primary.url, statement)
        until(lambda: is_current(rollcall, later=timedelta(hours=1)))


def test_a_session_that_it_does_not_know_yet_is_asked_of_the_primary(
    rollcall: Rollcall, a_standby: Standby
) -> None:
    with a_standby.lagging():
        assert rollcall.put("new", room_name="new").status_code == 201
        assert told(rollcall.roster("new"))["session"]["session_id"] == "new"
        url = session_url("new", "attendance", format="csv")
        headers = bearer(token("t", "new", roomAdmin=True))
        assert rollcall.client.get(url, headers=headers, buffered=True).status_code == 200
        assert problem(rollcall.roster("new", of=token("t", "old", roomAdmin=True))) == (
            403,
            "forbidden",
        )


def test_while_it_is_away_the_primary_answers_and_one_answer_waits(
    settings: Settings, rollcall: Rollcall, a_standby: Standby
) -> None:
    rollcall.deliver(named(1, at=ago(5), user="1"))
    with serving(settings, REQUEST) as quick:
        until(lambda: is_current(quick))
        for away in (a_standby.hung(), Stopped(a_standby)):
            with capture_logs() as logs, away:
                until(lambda: people(roster(quick)) == ["1"])
                with counting(the_standby(quick).engine) as statements:
                    assert all(people(roster(quick)) == ["1"] for _ in range(20))
                assert statements == []
                seen = line(examined(quick.client.application), "standby")
                assert seen.startswith("NOT")
                assert "does not answer" in seen
                assert "check READ_DATABASE_URL" in seen
            assert len([one for one in logs if one["event"] == "standby.left_out"]) == 1
            wait_for(lambda: the_standby(quick).as_of(datetime.now(UTC)) is not None)


class Stopped:
    """Stopped within, as in an upgrade of its machine."""

    def __init__(self, standby: Standby) -> None:
        self._standby = standby

    def __enter__(self) -> None:
        self._standby.stop()

    def __exit__(self, *_: object) -> None:
        self._standby.start()


def test_a_query_that_it_cancels_is_asked_of_the_primary(
    rollcall: Rollcall, primary: faults.Postgres, a_standby: Standby
) -> None:
    rollcall.deliver(*(named(number, at=ago(5), user=str(number)) for number in (1, 2)))
    a_standby.does("ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()")
    until(lambda: is_current(rollcall))
    with capture_logs() as logs:
        other = rollcall.another()
        with (
            pausing(the_standby(rollcall).engine, after="FROM sessions") as pause,
            aside(lambda: export(other)) as exported,
        ):
            pause.wait()  # in a transaction that sees the rows of now
            execute(primary.url, "UPDATE cycles SET user_id = user_id", "VACUUM cycles")
            until(lambda: is_current(rollcall))
            pause.over()
        assert exported.result().status_code == 200
    assert len(exported.result().text.splitlines()) == 3
    [left_out] = [one for one in logs if one["event"] == "standby.left_out"]
    assert "conflict with recovery" in left_out["reason"]


def test_a_standby_of_another_server_is_not_read(
    settings: Settings, postgres_url: str, redis_url: str
) -> None:
    with serving(settings.model_copy(update={"database_url": postgres_url})) as rollcall:
        rollcall.deliver(named(1, at=ago(5), user="1"))
        assert people(roster(rollcall)) == ["1"]
        assert "is a standby of another server" in line(
            examined(rollcall.client.application), "standby"
        )


def test_a_primary_is_no_standby(settings: Settings) -> None:
    both = settings.model_copy(update={"read_database_url": settings.database_url})
    with serving(both) as rollcall:
        rollcall.deliver(named(1, at=ago(5), user="1"))
        assert people(roster(rollcall)) == ["1"]
        assert "is no standby" in line(examined(rollcall.client.application), "standby")


def test_what_the_primary_was_not_migrated_to_is_not_read(
    rollcall: Rollcall, primary: faults.Postgres
) -> None:
    version = "UPDATE alembic_version SET version_num = '{}'"
    execute(primary.url, version.format("9999"))
    try:
        until(lambda: the_standby(rollcall).examine(datetime.now(UTC)).hindrance == "migrations")
        assert "its migrations are not" in line(examined(rollcall.client.application), "standby")
    finally:
        execute(primary.url, version.format(schema.newest()))


def test_metrics_tell_who_answered_and_how_far_it_is_behind(
    rollcall: Rollcall, a_standby: Standby
) -> None:
    def measured() -> dict[str, float]:
        text = rollcall.client.get("/metrics").text
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return {
            sample.name + sample.labels.get("server", ""): sample.value
            for sample in samples
            if sample.name.startswith(("rollcall_standby", "rollcall_reads_total"))
        }

    rollcall.deliver(named(1, at=ago(5), user="1"))
    until(lambda: is_current(rollcall))
    roster(rollcall)
    with a_standby.lagging():
        rollcall.put("former", room_name="former")
        told(rollcall.roster("former"))
    before = measured()
    roster(rollcall)
    with a_standby.lagging():
        rollcall.put("new", room_name="new")
        told(rollcall.roster("new"))
    after = measured()
    assert after["rollcall_reads_totalstandby"] == before["rollcall_reads_totalstandby"] + 1
    assert after["rollcall_reads_totalprimary"] == before["rollcall_reads_totalprimary"] + 1
    assert after["rollcall_standby_up"] == 1
    assert 0 <= after["rollcall_standby_lag_seconds"] < 60
    with Stopped(a_standby):
        until(lambda: measured()["rollcall_standby_up"] == 0)
    until(lambda: measured()["rollcall_standby_up"] == 1)


def test_the_release_refuses_what_is_no_standby_and_waits_for_none(
    settings: Settings, rollcall: Rollcall
) -> None:
    suitability.check_standby(the_standby(rollcall))
    url = settings.database_url
    refused = released(DATABASE_URL=url, READ_DATABASE_URL=url)
    assert refused.returncode == 1
    assert refused.stderr.startswith("READ_DATABASE_URL: it leads to a server that takes writes.")
    away = f"postgresql://127.0.0.1:{free_port()}/postgres"
    waiting = released(DATABASE_URL=url, READ_DATABASE_URL=away)
    assert waiting.returncode == 0
    assert waiting.stderr.startswith("READ_DATABASE_URL: the standby does not answer (")


def test_a_process_says_where_it_is_when_it_starts_without_secrets(
    settings: Settings, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "web.log"
    url = f"{settings.read_database_url}&password=s3cret"
    env = environment(settings, tmp_path, PORT=str(port), READ_DATABASE_URL=url, LOG_FORMAT="json")
    with running("webhooks", env, log=log):
        until(lambda: answers(port))
    [started] = [line for line in log.read_text().splitlines() if "process.started" in line]
    assert orjson.loads(started)["standby"].startswith("postgresql://")
    assert "s3cret" not in log.read_text()


def test_one_that_was_promoted_is_not_read_any_more_and_another_is(
    settings: Settings, primary: faults.Postgres, a_standby: Standby
) -> None:
    own = Standby(primary)
    hosts = f"host={own.host}&host={a_standby.host}&target_session_attrs=standby"
    url = f"postgresql://{READER}@/postgres?{hosts}"
    try:
        with serving(settings.model_copy(update={"read_database_url": url})) as rollcall:
            until(lambda: is_current(rollcall))
            own.promote()
            rollcall.deliver(named(1, at=ago(5), user="1"))
            assert people(roster(rollcall)) == ["1"]
            until(lambda: is_current(rollcall))
            with counting(the_standby(rollcall).engine) as statements:
                assert people(roster(rollcall)) == ["1"]
            assert asked_for_visits(statements)
    finally:
        own.remove()


def test_of_one_whose_user_may_not_read_the_primary_answers(
    rollcall: Rollcall, primary: faults.Postgres
) -> None:
    rollcall.deliver(named(1, at=ago(5), user="1"))
    execute(primary.url, f"GRANT SELECT ON alembic_version TO {READER}")
    execute(primary.url, f"REVOKE pg_read_all_data FROM {READER}")
    try:
        until(lambda: the_standby(rollcall).examine(datetime.now(UTC)).hindrance == "rights")
        assert people(roster(rollcall)) == ["1"]
        assert "GRANT pg_read_all_data" in line(examined(rollcall.client.application), "standby")
    finally:
        execute(primary.url, f"GRANT pg_read_all_data TO {READER}")
