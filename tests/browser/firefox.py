"""Firefox for Playwright: Debian's own, behind a relay that answers what it cannot do.

Playwright's own builds of Firefox come from no package registry. It drives an installed one by
WebDriver BiDi (its channel `moz-firefox`), but sets a colour scheme on each page, by a command
that Firefox ESR 153 does not know: without an answer no page opens. `python -m
tests.browser.firefox ARGS` starts Firefox with these arguments, answers that command, and relays
every other; so pages have the system's colour scheme.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web

ROOT = Path(__file__).parents[2]
FIREFOXES = ("firefox-esr", "firefox")
UNKNOWN = {"emulation.setMediaFeaturesOverride"}
LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


def firefox() -> str | None:
    """The path: $FIREFOX, else what is installed."""
    return os.environ.get("FIREFOX") or next(filter(None, map(shutil.which, FIREFOXES)), None)


def script(directory: Path) -> Path:
    """What Playwright may take for Firefox: this module, as an executable file."""
    made = directory / "firefox"
    line = f'cd "{ROOT}" && exec "{sys.executable}" -m tests.browser.firefox "$@"'
    made.write_text(f"#!/bin/sh\n{line}\n")
    made.chmod(0o755)
    return made


async def main() -> None:
    """Firefox, until it ends; a signal ends it."""
    command = [str(firefox()), *sys.argv[1:]]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, process.terminate)
    assert process.stderr is not None
    async for line in process.stderr:
        if listens := LISTENS.search(line.decode(errors="replace")):
            await _serve(listens[1])
    await process.wait()


async def _serve(firefox: str) -> None:
    async def relay(request: web.Request) -> web.WebSocketResponse:
        ours = web.WebSocketResponse(max_msg_size=0)
        await ours.prepare(request)
        url = firefox + request.path
        async with ClientSession() as session, session.ws_connect(url, max_msg_size=0) as theirs:
            answering = asyncio.create_task(_answer(theirs, ours))
            async for message in ours:
                await _pass(message.data, ours, theirs)
            answering.cancel()
        return ours

    app = web.Application()
    app.router.add_get("/{path:.*}", relay)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, port = runner.addresses[0]
    sys.stderr.write(f"WebDriver BiDi listening on ws://127.0.0.1:{port}\n")
    sys.stderr.flush()


async def _pass(message: str, ours: web.WebSocketResponse, theirs: ClientWebSocketResponse) -> None:
    command = json.loads(message)
    if command["method"] in UNKNOWN:
        await ours.send_json({"type": "success", "id": command["id"], "result": {}})
    else:
        await theirs.send_str(message)


async def _answer(theirs: ClientWebSocketResponse, ours: web.WebSocketResponse) -> None:
    async for message in theirs:
        if message.type is WSMsgType.TEXT:
            await ours.send_str(message.data)
    await ours.close()


if __name__ == "__main__":
    asyncio.run(main())
