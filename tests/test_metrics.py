"""Metrics: what is counted is right, across processes, and what is watched exists."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from urllib.request import Request, urlopen

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from models.settings.settings import Settings
from tests import build
from tests.doors import ago, aside, drain, on_sqlite
from tests.faults import free_port, until
from worker.process import metrics_dir
from worker.process.backend import Backend


def told(exposition: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of an exposition, by name and labels."""
    families = text_string_to_metric_families(exposition)
    samples = (sample for family in families for sample in family.samples)
    return {(one.name, frozenset(one.labels.items())): one.value for one in samples}


def value(exposition: str, name: str, **labels: str) -> float:
    return told(exposition).get((name, frozenset(labels.items())), 0.0)


def post(client: FlaskClient, sid: str, *, minutes: float = 3, room: str = "RM_1") -> None:
    """A join so many minutes ago."""
    join = build.joined(ago(minutes), sid=sid, room=room, event_id=f"EV_{sid}")
    body, token = build.signed(build.webhook(join))
    client.post("/webhooks/livekit", data=body, headers={"Authorization": token})


def test_what_waits_and_who_is_inside_is_asked_of_the_tables(
    client: FlaskClient, backend: Backend
) -> None:
    post(client, "PA_1")
    post(client, "PA_2")
    post(client, "PA_3", minutes=13 * 60, room="RM_crashed")
    assert value(client.get("/metrics").text, "rollcall_events_pending") == 3
    drain(backend)
    after = client.get("/metrics").text
    assert value(after, "rollcall_events_pending") == 0
    assert value(after, "rollcall_open_cycles") == 2
    assert value(after, "rollcall_database_up") == 1
    assert value(after, "rollcall_redis_up") == 1


def test_webhooks_are_counted_by_event_and_outcome_and_rejects_by_reason(
    client: FlaskClient, backend: Backend
) -> None:
    joined = {"event": "participant_joined"}
    before = client.get("/metrics").text
    post(client, "PA_1")
    post(client, "PA_1")
    client.post("/webhooks/livekit", data=b"{}")
    client.post("/webhooks/livekit", data=bytes(backend.settings.max_body_bytes + 1))
    after = client.get("/metrics").text

    def grew(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grew("rollcall_webhook_seconds_count", **joined, outcome="stored") == 1
    assert grew("rollcall_webhook_seconds_count", **joined, outcome="duplicate") == 1
    assert grew("rollcall_webhook_rejects_total", reason="missing") == 1
    assert grew("rollcall_webhook_rejects_total", reason="too_large") == 1


def test_a_worker_s_counts_show_in_the_web_process(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {
        "LIVEKIT_API_KEY": settings.livekit_api_key,
        "LIVEKIT_API_SECRET": settings.livekit_api_secret,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PORT": str(port),
        metrics_dir.VARIABLE: str(tmp_path / "metrics"),
    }
    with ExitStack() as stack:
        for module in ("webhooks", "worker"):
            process = subprocess.Popen([sys.executable, "-m", module], env=environment)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        def scrape(name: str) -> float:
            try:
                with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    return value(answer.read().decode(), name)
            except OSError:
                return 0.0

        until(lambda: scrape("rollcall_workers") == 1)
        body, token = build.signed(build.webhook(build.joined(sid="PA_1")))
        url, headers = f"http://127.0.0.1:{port}/webhooks/livekit", {"Authorization": token}
        urlopen(Request(url, body, headers)).close()
        until(lambda: scrape("rollcall_drain_events_count") == 1)
        until(lambda: scrape("rollcall_applied_seconds_count") == 1)


def test_two_stacks_of_one_checkout_share_no_counts(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directories = set()
    for url in ("sqlite:///one.db", "sqlite:///two.db", "sqlite:///two.db"):
        monkeypatch.setenv(metrics_dir.VARIABLE, "")  # to be put back
        monkeypatch.delenv(metrics_dir.VARIABLE)
        metrics_dir.prepare(settings.model_copy(update={"database_url": url}))
        directories.add(os.environ[metrics_dir.VARIABLE])
    assert len(directories) == 2
    assert all(Path(directory).is_dir() for directory in directories)


COUNTS = """
import sys
from worker.process import metrics
for _ in range(int(sys.argv[1])):
    metrics.failed_events.inc()
    metrics.drain_events.observe(1)
print("counted", flush=True)
sys.stdin.read()
"""
"""A process that counts, and then waits until nobody writes to it."""


@pytest.fixture
def counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a host's counts."""
    monkeypatch.setenv(metrics_dir.VARIABLE, str(counts := tmp_path / "counts"))
    counts.mkdir()
    return counts


@contextmanager
def counting(number: int) -> Iterator[int]:
    """The id of a process that has counted so often."""
    command = [sys.executable, "-c", COUNTS, str(number)]
    with Popen(command, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"counted\n"
        yield process.pid


def totals(counts: Path) -> list[float]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, counts)  # type: ignore[no-untyped-call]  # the library's
    said = generate_latest(registry).decode()
    names = ("rollcall_failed_events_total", "rollcall_drain_events_count")
    return [value(said, name) for name in names]


@on_sqlite
def test_no_total_falls_when_processes_end_and_others_start(
    settings: Settings, counts: Path
) -> None:
    with counting(70) as living:
        for crash in range(1, 4):
            with counting(1000):
                metrics_dir.prepare(settings)
            assert totals(counts) == [70 + 1000 * crash] * 2
            metrics_dir.prepare(settings)
            assert totals(counts) == [70 + 1000 * crash] * 2
        files = {path.name for path in counts.glob("*.db")}
        kinds = ("counter", "histogram")
        assert files == {f"{kind}_{whose}.db" for kind in kinds for whose in (living, "gone")}


@on_sqlite
def test_a_process_that_was_killed_while_it_made_its_file_stops_no_other(
    settings: Settings, counts: Path
) -> None:
    (counts / "counter_99999999.db").touch()
    metrics_dir.prepare(settings)
    assert totals(counts) == [0, 0]


@on_sqlite
def test_nobody_reads_totals_while_they_are_added_up(
    client: FlaskClient, settings: Settings, counts: Path
) -> None:
    with counting(10):
        pass
    with ExitStack() as reading:
        reading.enter_context(metrics_dir.reading())
        with aside(lambda: metrics_dir.prepare(settings)) as adding:
            assert value(client.get("/metrics").text, "rollcall_failed_events_total") == 10
            assert not adding.done()
            assert not (counts / "counter_gone.db").exists()
            reading.close()
            adding.result(20)
    assert (counts / "counter_gone.db").exists()
    assert value(client.get("/metrics").text, "rollcall_failed_events_total") == 10
