#!/usr/bin/env bash
# Granian's main process is killed (kill -9, or for want of memory). Its worker lives on and keeps
# answering; a new Granian starts on the same port without an error, and from then on old and new
# code answer in turns.
#
# Why it matters: after such a restart some webhooks are still handled by the old version, with its
# old settings, and nothing says so. Who starts it again expects that the port is free or that the
# start fails.
#
# What Rollcall does: the worker asks the kernel to be stopped with its parent
# (webhooks/__main__.py).

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
  granian==2.8.9 psutil==7.2.2 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 110 venv/bin/python -W ignore - <<'PYTHON'
import os, signal, socket, subprocess, sys, time, urllib.request
from collections import Counter
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import psutil

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


APPLICATION = """
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["VERSION"].encode()]
"""
Path("served.py").write_text(APPLICATION)


def start(port, version):
    with open("granian.log", "a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
            + ["--port", str(port), "served:application"],
            env=os.environ | {"VERSION": version},
            stdout=log,
            stderr=log,
        )


def answer(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
        return response.read().decode()


def answers_of(port, version, seconds=40):
    """All answers until this version has answered, or for so long."""
    heard, deadline = [], time.monotonic() + seconds
    while version not in heard and time.monotonic() < deadline:
        try:
            heard.append(answer(port))
        except OSError:
            time.sleep(0.1)
    return heard


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
processes = [start(port, "old")]
workers, counted = [], Counter()
try:
    answers_of(port, "old")
    workers = psutil.Process(processes[0].pid).children(recursive=True)
    processes[0].kill()
    processes[0].wait()
    time.sleep(3)
    left = [worker for worker in workers if worker.is_running()]
    processes.append(start(port, "new"))
    answers_of(port, "new")
    for _ in range(100):
        with suppress(OSError):
            counted[answer(port)] += 1
finally:
    for process in [*processes, *workers]:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in [*processes, *workers]:
        try:
            process.wait(10)
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            process.kill()

print(f"3 s after the kill {len(left)} of {len(workers)} workers are left")
tell(
    f"granian {metadata.version('granian')}",
    "only the new version answers",
    f"of {counted.total()} answers {counted['old']} are of the old version, {counted['new']} of the new",
    counted["old"] > 0 and counted["new"] > 0,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
