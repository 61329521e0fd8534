#!/usr/bin/env bash
# LiveKitAPI takes a timeout, and its documentation says that it is ten seconds by default. Neither
# holds: each of its requests passes timeout=None, which turns the limit off, so a server that
# accepts and does not answer is waited for longer than either.
#
# Why it matters: whoever receives webhooks asks LiveKit from time to time who is really inside,
# since some webhooks never come. One server that hangs holds that up, without an error.
#
# What Rollcall does: it puts asyncio's own limit around each question
# (worker/reconcile/livekit_api.py, webhooks/cli/doctor.py).

set -u

cannot() {
  echo "This cannot be tried here: $1." >&2
  exit 2
}

folder=$(mktemp -d) || cannot "no temporary folder can be made"
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
cd "$folder" || cannot "the temporary folder cannot be entered"
"${PYTHON:-python3}" -m venv venv || cannot "Python 3.11 or newer with venv is needed"
timeout --foreground 200 venv/bin/pip install --quiet --disable-pip-version-check \
  livekit-api==1.2.2 aiohttp==3.14.5 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 60 venv/bin/python -W ignore - <<'PYTHON'
import asyncio, signal, socket, sys, time
from importlib import metadata

import aiohttp
from livekit.api import ListRoomsRequest, LiveKitAPI

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


LIMIT, PATIENCE = 1, 14
SECRET = "a-secret-of-at-least-32-characters"


async def waited(port, **arguments):
    """How long an answer is waited for, in seconds; None: longer than our patience."""
    began = time.monotonic()
    async with LiveKitAPI(f"http://127.0.0.1:{port}", "key", SECRET, **arguments) as livekit:
        asking = asyncio.create_task(livekit.room.list_rooms(ListRoomsRequest()))
        _, late = await asyncio.wait([asking], timeout=PATIENCE)
        asking.cancel()
        await asyncio.wait([asking])
    return None if late else time.monotonic() - began


async def both(port):
    explicit = waited(port, timeout=aiohttp.ClientTimeout(total=LIMIT))
    return await asyncio.gather(explicit, waited(port))


# It accepts, as a server that is stopped does: the kernel answers for it.
with socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    server.listen()
    explicit, default = asyncio.run(both(server.getsockname()[1]))

tell(
    f"livekit-api {metadata.version('livekit-api')}, aiohttp {aiohttp.__version__}",
    f"an error after {LIMIT} s with timeout={LIMIT}, after 10 s without",
    f"after {PATIENCE} s still waiting: with it {explicit is None}, without it {default is None}",
    explicit is None and default is None,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
