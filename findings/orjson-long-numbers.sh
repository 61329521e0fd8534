#!/usr/bin/env bash
# orjson reads a whole number of more than 64 bits without an error, as a float, so its last digits
# are gone. The json module of Python reads the same text exactly, so whoever replaces it to be
# faster does not look for that.
#
# Why it matters: ids come as numbers in bodies that others made. Two ids that differ in the last
# digit become the same person, and the id that is stored belongs to nobody.
#
# What Rollcall does: an id may come as a number only within 64 bits, never as a float
# (webhooks/api/bodies.py).

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
  orjson==3.13.0 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 30 venv/bin/python -W ignore - <<'PYTHON'
import json, signal, sys

import orjson

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


LARGEST = 2**64 - 1
texts = [str(number) for number in (LARGEST, LARGEST + 2, LARGEST + 3)]
by_json = [json.loads(text) for text in texts]
by_orjson = [orjson.loads(text) for text in texts]
print(f"json: {by_json}")

tell(
    f"orjson {orjson.__version__}, Python {sys.version.split()[0]}",
    "an error for what does not fit, or the same three numbers",
    f"{by_orjson}",
    by_orjson[0] == LARGEST and by_orjson[1] == by_orjson[2] and type(by_orjson[1]) is float,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
