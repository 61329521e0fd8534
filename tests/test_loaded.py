"""What a process loads: nothing that it does not use, since each of them holds it for as long as it
runs. Where the megabytes go stands in docs/performance.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.settings.settings import Settings
from tests.doors import on_sqlite
from tests.faults import free_port
from tests.processes import environment

pytestmark = on_sqlite

COMMANDS = {"alembic", "rich", "pygments", "honcho", "webhooks.cli", "webhooks.simulator"}
LIVEKIT = {"livekit", "aiohttp", "google.protobuf", "worker.reconcile"}
ON_DEMAND = {"xlsxwriter", "markdown_it", "webhooks.openapi.document"}
WEB = {"flask", "werkzeug", "jinja2", "click", "granian", "webhooks"}
DATABASE = {"sqlalchemy", "psycopg", "sqlite3", "models.tables", "worker.jobs"}

SCHEDULING = """
from models.settings.settings import load_or_exit
from worker import schedule
schedule.scheduler(load_or_exit(database=False))
"""
SERVING = """
import gc, json
from worker.process import memory
memory.pause_collector()
from webhooks.app import create_served_app
while_it_loads = gc.isenabled()
create_served_app()
print(json.dumps({"while it loads": while_it_loads, "once it serves": gc.isenabled()}), flush=True)
"""
PROCESSES = {
    "web": ("import webhooks.__main__, webhooks.app", COMMANDS | LIVEKIT | ON_DEMAND),
    "worker": ("import worker.__main__, worker.jobs", COMMANDS | LIVEKIT | ON_DEMAND | WEB),
    "scheduler": (
        SCHEDULING,
        COMMANDS | LIVEKIT | ON_DEMAND | WEB | DATABASE | {"prometheus_client"},
    ),
    "make run": (
        "from webhooks.stack import processes, forks; forks.load()",
        {"livekit", "aiohttp", "google.protobuf", "alembic", "rich", "pygments"} | ON_DEMAND,
    ),
}


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_loads_nothing_that_it_does_not_use(
    settings: Settings, tmp_path: Path, process: str
) -> None:
    imports, unused = PROCESSES[process]
    (tmp_path / "metrics").mkdir()
    loaded = loaded_by(imports, environment(settings, tmp_path))
    assert {"models.settings.settings", "redis"} <= loaded
    assert loaded & unused == set()


def test_while_a_process_loads_the_collector_waits_and_works_once_it_serves(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "metrics").mkdir()
    env = environment(settings, tmp_path, PORT=str(free_port()))
    command = [sys.executable, "-c", SERVING]
    said = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout
    assert json.loads(said) == {"while it loads": False, "once it serves": True}


def loaded_by(statements: str, env: dict[str, str]) -> set[str]:
    """The modules that a Python has after these statements."""
    code = f"{statements}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout
    return set(json.loads(said))
