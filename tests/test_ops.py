"""What operators import into Prometheus and Grafana watches metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests import build
from tests.doors import drain
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
