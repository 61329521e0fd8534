#!/usr/bin/env bash
# A process is killed while three requests are under way. The next process that has the same number
# starts its gauge of requests under way with 3, and never comes down to 0 again: the file of the
# gauge has the number in its name.
#
# Why it matters: in a container the web process often has the same number after each restart. A
# gauge of webhooks that are being stored then grows with each crash, and its alert never ends.
# (prometheus-client lets a program name the process itself; the trial uses that to have the same
# name twice.)
#
# What Rollcall does: what its processes write into files are counters and histograms alone
# (worker/process/metrics.py). What waits or is at work is counted when somebody asks
# (webhooks/api/metrics.py).

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
  prometheus-client==0.26.0 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 60 venv/bin/python -W ignore - <<'PYTHON'
import os, signal, subprocess, sys
from importlib import metadata
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


PROCESS = """
import os, signal, sys
from prometheus_client import values
values.ValueClass = values.MultiProcessValue(process_identifier=lambda: sys.argv[1])
from prometheus_client import CollectorRegistry, Gauge, multiprocess

gauge = Gauge("under_way", "Requests that are being answered", multiprocess_mode="liveall")
if sys.argv[2] == "killed":
    for _ in range(3):
        gauge.inc()
    os.kill(os.getpid(), signal.SIGKILL)
with gauge.track_inprogress():
    pass
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(registry.get_sample_value("under_way", {"pid": sys.argv[1]}))
"""


def run(directory, name, how):
    Path(directory).mkdir(exist_ok=True)
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": directory}
    command = [sys.executable, "-c", PROCESS, name, how]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


fresh = run("fresh", "7", "alive").stdout.strip()
killed = run("used", "7", "killed").returncode
after = run("used", "7", "alive").stdout.strip()
print(f"in a directory where nobody was killed: {fresh}")
tell(
    f"prometheus-client {metadata.version('prometheus-client')}",
    "0.0: the new process has nothing under way",
    f"{after}",
    killed == -signal.SIGKILL and fresh == "0.0" and after == "3.0",
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
