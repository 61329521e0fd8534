"""schemathesis against the live service: what `/openapi.json` promises, granian and the doors keep.

Never a 5xx, never an undeclared status or content type, nothing valid refused and nothing invalid
taken; whoever asks. It is bounded, and sends the same requests every time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest

from tests import servers
from tests.build import KEY, SECRET
from tests.doors import ops_token, token
from tests.faults import free_port, until
from tests.processes import answers

ROOT = Path(__file__).parents[1]
EXAMPLES = 8

STATELESS = "examples,coverage,fuzzing"
"""The phases for whom every door is shut: nothing comes of a request that a next could follow."""


@pytest.fixture(scope="module")
def service(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service on the server that production uses; its URL."""
    data = tmp_path_factory.mktemp("service")
    copy(migrated_sqlite, data / "rollcall.db")
    port = free_port()
    with servers.valkey() as redis_url:
        environment = {
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "DATABASE_URL": f"sqlite:///{data}/rollcall.db",
            "REDIS_URL": redis_url,
            "LOG_LEVEL": "error",
        }
        granian = (sys.executable, "-m", "granian", "--interface", "wsgi", "--factory")
        where = ("--host", "127.0.0.1", "--port", str(port), "--blocking-threads", "4")
        process = subprocess.Popen(
            [*granian, *where, "webhooks.app:create_app"], cwd=ROOT, env=os.environ | environment
        )
        try:
            until(lambda: answers(port), seconds=60)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def test_whatever_an_operator_sends_is_answered_as_declared(service: str, tmp_path: Path) -> None:
    _find_nothing(service, ops_token(), here=tmp_path)


def test_whatever_a_participant_sends_is_answered_as_declared(service: str, tmp_path: Path) -> None:
    _find_nothing(service, token("5", "quran-98"), here=tmp_path)


def test_whatever_a_stranger_sends_is_answered_as_declared(service: str, tmp_path: Path) -> None:
    _find_nothing(service, None, "--phases", STATELESS, here=tmp_path)


def _find_nothing(service: str, bearer: str | None, *phases: str, here: Path) -> None:
    """Every phase, unless `phases` names them, with every check that there is.

    What it writes stays here, but for Hypothesis's tables of letters: they take seconds to make.
    """
    headers = ("--header", f"Authorization: Bearer {bearer}") if bearer else ()
    bounds = ("--max-examples", str(EXAMPLES), "--generation-deterministic", "--warnings", "off")
    run = (sys.executable, "-m", "schemathesis.cli", "run", "--continue-on-failure", "--no-color")
    done = subprocess.run(
        [*run, *headers, *bounds, *phases, f"{service}/openapi.json"],
        cwd=here,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout
