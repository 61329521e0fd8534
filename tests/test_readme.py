"""The README's first screen works by pasting: its commands run here as they stand, on a clean copy.

Only the port is another where 8000 is taken, since other tests run beside this one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import orjson
import pytest
import yaml

from models.settings.settings import Settings
from tests.faults import free_port, until
from tests.stack import PATIENCE_SECONDS, ROOT, running

README = (ROOT / "README.md").read_text(encoding="utf-8")
CHAPTER = README.split("\n## With your own LiveKit server\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", CHAPTER, re.DOTALL)
START, ASK = (code for language, code in BLOCKS if language == "sh")
(CONFIGURATION,) = (code for language, code in BLOCKS if language == "yaml")
(ANSWER,) = (orjson.loads(code) for language, code in BLOCKS if language == "json")

MOVES = {"as_of", "first_joined_at", "scheduled_at", "ends_at"}
MOVES |= {"duration_minutes", "duration_seconds", "attendance_percentage", "scheduled_seconds"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git has, as it is in the work tree, and the `.venv` that `make setup` has made."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    """A shell's, in which nothing of Rollcall is set but the port."""
    unset = {name.upper() for name in Settings.model_fields} | {"PROMETHEUS_MULTIPROC_DIR"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return kept | {"PORT": str(free_port())}


def pasted(code: str, clone: Path, environment: dict[str, str]) -> list[Any]:
    """The JSON answers of a block of commands."""
    here = code.replace("localhost:8000", f"localhost:{environment['PORT']}")
    shell = ["bash", "-euc", here.replace("curl", "curl --silent --show-error --fail-with-body")]
    done = subprocess.run(
        shell, cwd=clone, env=environment, check=True, capture_output=True, timeout=60
    )
    return [orjson.loads(answer) for answer in done.stdout.replace(b"}{", b"}\n{").splitlines()]


def test_the_first_screen_works_by_pasting(clone: Path, environment: dict[str, str]) -> None:
    port = environment["PORT"]
    with running(["bash", "-euc", START], cwd=clone, environment=environment) as stack:
        stack.says(r"Rollcall starts on http://127\.0\.0\.1:" + port)
        stack.says("1. Tell LiveKit where")
        for line in ("webhook:", "api_key: your-key", "/webhooks/livekit", "flask token --ops"):
            stack.says(line)
        until(lambda: is_ready(port), seconds=PATIENCE_SECONDS)
        *_, status = pasted(ASK, clone, environment)
        assert shape(status) == shape(ANSWER)
        stack.process.send_signal(signal.SIGINT)
    assert stack.alive() == []


def test_the_configuration_is_that_of_the_key() -> None:
    """One key in `.env`, in livekit.yaml and in what `make run` prints."""
    webhook = yaml.safe_load(CONFIGURATION)["webhook"]
    key = re.search(r"LIVEKIT_API_KEY=([\w-]+)", START)
    assert key
    assert webhook["api_key"] == key[1]
    assert [urlsplit(url).path for url in webhook["urls"]] == ["/webhooks/livekit"]


def shape(status: Any) -> Any:
    """A status in which whatever changes from run to run is only there."""
    if isinstance(status, dict):
        return {name: name in MOVES or shape(value) for name, value in status.items()}
    return status


def is_ready(port: str) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            ready: bool = answer.status == 200
            return ready
    except OSError:
        return False
