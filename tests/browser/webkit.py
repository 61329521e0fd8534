"""WebKit by WebDriver: Debian's webkit2gtk-driver, on a screen of its own (Xvfb).

Playwright's own builds of WebKit come from no package registry, and it drives no other. So what is
tried in WebKit is asked of WebKitWebDriver, in as few of WebDriver's commands as it takes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.faults import free_port, until

DRIVER = "WebKitWebDriver"
TIMEOUT_SECONDS = 60
UNDRAWN = {"LIBGL_ALWAYS_SOFTWARE": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}


def mini_browser() -> Path | None:
    """The browser that comes with WebKitGTK for its driver."""
    libraries = Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")
    return next(iter(sorted(libraries, reverse=True)), None)


def is_there() -> bool:
    """Whether all three are installed."""
    return bool(shutil.which(DRIVER) and shutil.which("Xvfb") and mini_browser())


class Tab:
    """One tab of WebKit, as WebDriver has it."""

    def __init__(self, port: int, session: str) -> None:
        self._port = port
        self._session = session

    def opens(self, url: str) -> None:
        self._command("url", {"url": url})

    def runs(self, script: str) -> Any:
        """What a script returns; it is the body of a function."""
        return self._command("execute/sync", {"script": script, "args": []})

    def _command(self, name: str, body: dict[str, Any]) -> Any:
        return _asked(self._port, "POST", f"/session/{self._session}/{name}", body)


@contextmanager
def tab(home: Path) -> Iterator[Tab]:
    """A tab in a browser of its own, which keeps what it keeps in `home`."""
    with ExitStack() as stack:
        display = stack.enter_context(_screen())
        port = free_port()
        environment = {**os.environ, **UNDRAWN, "DISPLAY": display, "HOME": str(home)}
        command = [DRIVER, f"--port={port}", "--host=127.0.0.1"]
        stack.enter_context(_ended(subprocess.Popen(command, env=environment)))
        until(lambda: _listens(port))
        options = {"binary": str(mini_browser()), "args": ["--automation"]}
        wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
        session = _asked(port, "POST", "/session", {"capabilities": wanted})["sessionId"]
        stack.callback(_asked, port, "DELETE", f"/session/{session}")
        yield Tab(port, session)


def _asked(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The value that the driver answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body=json.dumps(body) if body is not None else None)
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    error = isinstance(answer["value"], dict) and answer["value"].get("error")
    assert not error, answer
    return answer["value"]


def _listens(port: int) -> bool:
    try:
        return bool(_asked(port, "GET", "/status")["ready"])
    except ConnectionError:
        return False


@contextmanager
def _screen() -> Iterator[str]:
    """A screen that nobody sees; its name. Xvfb takes the first free number."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x1024x24"]
    process = subprocess.Popen([*command, "-nolisten", "tcp"], pass_fds=[write])
    os.close(write)
    with _ended(process), os.fdopen(read) as told:
        yield f":{told.readline().strip()}"


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens, this process of ours ends."""
    try:
        yield
    finally:
        process.terminate()
        process.wait()
