#!/usr/bin/env bash
# XlsxWriter's `write_string` writes a text that begins with `<r>` and ends with `</r>` into the
# workbook as it is, without escaping: it takes it for a rich text that it made itself. Every other
# text is escaped.
#
# Why it matters: a name comes from a stranger. A person who calls themselves `<r>&</r>` makes a
# workbook that no program opens, for everybody in it; `<r><t>Ada</t></r>` is shown as Ada.
#
# What Rollcall does: it writes a text that begins with `<r>` in two parts with `write_rich_string`,
# which escapes both (webhooks/sheets/xlsx_sheet.py).

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
  xlsxwriter==3.3.1 openpyxl==3.1.5 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 30 venv/bin/python -W ignore - <<'PYTHON'
import io, signal, sys
from xml.etree.ElementTree import ParseError

import openpyxl
import xlsxwriter

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


def read_back(text, **options):
    """What a program reads where this text was written, or that it reads nothing."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, options)
    book.add_worksheet().write_string(0, 0, text)
    book.close()
    try:
        return openpyxl.load_workbook(file).active["A1"].value
    except ParseError:
        return "no workbook"


TEXTS = ["<b>&</b>", "<r><t>Ada</t></r>", "<r>&</r>"]
seen = [read_back(text) for text in TEXTS]
in_constant_memory = [read_back(text, constant_memory=True) for text in TEXTS]
print(f"with constant_memory: {in_constant_memory}")

tell(
    f"XlsxWriter {xlsxwriter.__version__}, openpyxl {openpyxl.__version__}",
    f"{TEXTS}",
    f"{seen}",
    seen == in_constant_memory == ["<b>&</b>", "Ada", "no workbook"],
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
