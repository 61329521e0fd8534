#!/usr/bin/env bash
# One thread writes to SQLite again and again, twenty milliseconds each time. Another one that wants
# to write waits for its busy timeout of a second and is told that the database is locked, although
# the lock was let go dozens of times meanwhile. Who waits sleeps and looks again now and then;
# there is no queue.
#
# Why it matters: webhooks come in many threads, each of them writes for a moment, and the busy
# timeout looks long enough. The unlucky ones are answered with an error.
#
# What Rollcall does: the threads of a process write one after another, in the order in which they
# came (models/storage/write_queue.py).

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
  pysqlite3-binary==0.5.4.post2 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 60 venv/bin/python -W ignore - <<'PYTHON'
import signal, sys, threading, time
from importlib import metadata

from pysqlite3 import dbapi2 as sqlite

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


BUSY_SECONDS, WRITE_SECONDS, TRIES = 1.0, 0.02, 8
stop, written = threading.Event(), [0]


def connect(timeout):
    connection = sqlite.connect("events.db", isolation_level=None, timeout=timeout)
    connection.execute("PRAGMA synchronous = OFF")  # so that the disk plays no part: the pause is the write
    return connection


def write_again_and_again():
    connection = connect(30)
    while not stop.is_set():
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO event VALUES ('busy')")
        time.sleep(WRITE_SECONDS)
        connection.execute("COMMIT")
        written[0] += 1


other = connect(BUSY_SECONDS)
other.execute("PRAGMA journal_mode = WAL")
other.execute("CREATE TABLE event (who text)")
thread = threading.Thread(target=write_again_and_again, daemon=True)
thread.start()
time.sleep(0.3)
refused = []
for _ in range(TRIES):
    before = written[0]
    try:
        other.execute("INSERT INTO event VALUES ('other')")
        print("the other one wrote")
    except sqlite.OperationalError as error:
        refused.append(written[0] - before)
        print(f"the other one: {error}; meanwhile the lock was let go {refused[-1]} times")
stop.set()
thread.join()

tell(
    f"pysqlite3-binary {metadata.version('pysqlite3-binary')}, SQLite {sqlite.sqlite_version}",
    f"the other one writes when the lock is let go, {WRITE_SECONDS * 1000:.0f} ms later",
    f"it was refused {len(refused)} of {TRIES} times",
    any(times >= 20 for times in refused),
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
