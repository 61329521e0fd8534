"""What operators import into Prometheus and Grafana watches metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from models.settings.settings import Settings
from tests import build
from tests.doors import drain
from tests.faults import free_port
from worker.process.backend import Backend

ROOT = Path(__file__).parents[1]
ALERTS, DASHBOARD = ROOT / "ops" / "alerts.yml", ROOT / "ops" / "grafana-dashboard.json"
NAME = re.compile(r"\brollcall_[a-z_]+\b")


def alerts() -> list[dict[str, str]]:
    rules: list[dict[str, str]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    return rules


def watched() -> set[str]:
    panels = orjson.loads(DASHBOARD.read_bytes())["panels"]
    drawn = [target["expr"] for panel in panels for target in panel["targets"]]
    return set(NAME.findall(" ".join([*drawn, *(rule["expr"] for rule in alerts())])))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a standby, which need not answer to be measured."""
    away = f"postgresql://127.0.0.1:{free_port()}/rollcall"
    return settings.model_copy(update={"read_database_url": away})


def test_every_metric_that_is_watched_exists(client: FlaskClient, backend: Backend) -> None:
    body, token = build.signed(build.webhook(build.joined()))
    client.post("/webhooks/livekit", data=body, headers={"Authorization": token})
    client.post("/webhooks/livekit", data=body)
    drain(backend)
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    names = {sample.name for family in families for sample in family.samples}
    # A labelled metric has samples only once it was used: its family stands for it.
    names |= {
        f"{family.name}{end}" for family in families for end in ("_count", "_bucket", "_total")
    }
    assert watched() - names == set()


def test_every_alert_is_in_the_runbook() -> None:
    runbook = "".join((ROOT / page).read_text() for page in ("README.md", "docs/operating.md"))
    missing = [rule["alert"] for rule in alerts() if f"`{rule['alert']}`" not in runbook]
    assert missing == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")]
)
def test_promtool_accepts_the_alerts(arguments: tuple[str, ...]) -> None:
    command = ["promtool", *arguments]
    checked = subprocess.run(command, cwd=ALERTS.parent, check=False, capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """They stand as they are, but for where Rollcall is installed."""
    for unit in (ROOT / "ops" / "systemd").iterdir():
        here = unit.read_text().replace("/opt/rollcall/.venv", sys.prefix)
        (tmp_path / unit.name).write_text(here.replace("/opt/rollcall", str(ROOT)))
    command = ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_containers_run_what_the_procfile_runs() -> None:
    compose = yaml.safe_load((ROOT / "ops" / "container" / "compose.yml").read_text())
    procfile = yaml.safe_load((ROOT / "Procfile").read_text())
    commands = {name: service.get("command") for name, service in compose["services"].items()}
    assert {name: commands[name] for name in procfile} == procfile


def test_the_units_run_what_the_procfile_runs() -> None:
    for name, command in yaml.safe_load((ROOT / "Procfile").read_text()).items():
        unit = (ROOT / "ops" / "systemd" / f"rollcall-{name}.service").read_text()
        assert f"ExecStart=/opt/rollcall/.venv/bin/{command}\n" in unit


def test_the_units_let_nobody_else_read_what_they_write() -> None:
    units = [unit.read_text() for unit in (ROOT / "ops" / "systemd").glob("*.service")]
    assert len(units) == 4
    assert all("\nUMask=0077\n" in unit for unit in units)
