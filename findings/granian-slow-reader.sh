#!/usr/bin/env bash
# A WSGI application answers with a file, as an iterator, of some megabytes. As many clients as there
# are blocking threads ask for it and read nothing: from then on nobody else is answered. When it
# answers with the same bytes as a list, the threads are free at once.
#
# Why it matters: granian reads and writes sockets in threads of its own, so one expects that a slow
# reader costs memory and no thread. Eight sockets of one person then keep out everybody.
#
# What Rollcall does: it hands over each answer whole, and bounds how much may be unread
# (webhooks/door/sending.py).

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
  granian==2.8.9 || cannot "pip does not install the package"

timeout --foreground --kill-after=10 110 venv/bin/python -W ignore - <<'PYTHON'
import signal, socket, subprocess, sys, time, urllib.request
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

THREADS, SIZE, SECONDS = 8, 16 * 1024 * 1024, 5


def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


APPLICATION = f"""
from io import BytesIO
from wsgiref.util import FileWrapper

def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"ok" if path == "/" else bytes({SIZE})
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return FileWrapper(BytesIO(body)) if path == "/iterator" else [body]
"""
Path("served.py").write_text(APPLICATION)


def reader(path):
    """Somebody who asks and reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


def answered():
    """Whether somebody else is answered in time."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=SECONDS) as response:
            return response.read() == b"ok"
    except OSError:
        return False


def answered_beside(path):
    with ExitStack() as readers:
        for _ in range(THREADS):
            readers.enter_context(reader(path))
        time.sleep(1)
        return answered()


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
    + ["--port", str(port), "--blocking-threads", str(THREADS), "--no-ws", "served:application"],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
try:
    deadline = time.monotonic() + 40
    while not answered() and time.monotonic() < deadline:
        time.sleep(0.1)
    whole, iterator = answered_beside("/list"), answered_beside("/iterator")
finally:
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()

words = {True: "are answered", False: f"wait for more than {SECONDS} s"}
tell(
    f"granian {metadata.version('granian')}",
    f"beside {THREADS} who read nothing, others are answered",
    f"beside an answer that is a list others {words[whole]}, beside an iterator they {words[iterator]}",
    whole and not iterator,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
