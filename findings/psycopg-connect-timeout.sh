#!/usr/bin/env bash
# psycopg drops what comes after the point of connect_timeout, and takes the 0 that is left for "no
# limit". So half a second means 130 seconds (its own last resort), and one second means two.
#
# Why it matters: a receiver of webhooks wants to give up on its database within a second, so that
# the sender is told to come back. With connect_timeout=0.5 each request waits for two minutes on a
# server that accepts and does not answer.
#
# What Rollcall does: it connects in a thread and waits for that no longer than its own limit, which
# may be a fraction (models/storage/postgres.py).

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
  psycopg==3.3.9 psycopg-binary==3.3.9 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 90 venv/bin/python -W ignore - <<'PYTHON'
import signal, socket, subprocess, sys, time
from importlib import metadata

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


PATIENCE = 12
CONNECT = """
import sys, psycopg
try:
    psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=a dbname=a connect_timeout={sys.argv[2]}")
except psycopg.OperationalError:
    pass
"""


def waited(port, limit):
    """How long a connection is waited for, in seconds; None: longer than our patience."""
    began = time.monotonic()
    try:
        subprocess.run([sys.executable, "-c", CONNECT, str(port), limit], timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    return time.monotonic() - began


# It accepts, as a PostgreSQL that is stopped does: the kernel answers for it.
with socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    server.listen()
    port = server.getsockname()[1]
    by_limit = {limit: waited(port, limit) for limit in ("3", "1", "0.5")}

for limit, seconds in by_limit.items():
    print(f"connect_timeout={limit}: " + (f"{seconds:.1f} s" if seconds else f"over {PATIENCE} s"))
tell(
    f"psycopg {metadata.version('psycopg')}",
    "0.5 gives up after half a second, or is refused as a value",
    f"after {PATIENCE} s it still waits" if by_limit["0.5"] is None else "it gives up",
    by_limit["0.5"] is None and all(by_limit[limit] for limit in ("3", "1"))
    and by_limit["1"] >= 2,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
