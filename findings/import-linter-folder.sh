#!/usr/bin/env bash
# A folder of Python files without an __init__.py can be imported like any other, but import-linter
# does not see it. Contracts that its files break are "kept", with no warning, and one empty file in
# it makes them broken.
#
# Why it matters: a contract such as "the code that stores webhooks knows nothing of the web" is
# trusted for years. Who moves files into a new folder and forgets that one file has no contract
# there any more.
#
# What Rollcall does: each folder of its code has an __init__.py, and contracts name every floor
# (pyproject.toml).

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
  import-linter==2.17 grimp==3.20 || cannot "pip does not install the packages"

timeout --foreground --kill-after=10 150 venv/bin/python -W ignore - <<'PYTHON'
import signal, subprocess, sys
from importlib import metadata
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))

def tell(versions, expected, seen, holds):
    print(f"versions: {versions}\nexpected: {expected}\nseen:     {seen}")
    print("as stated" if holds else "CHANGED")
    sys.exit(0 if holds else 3)


FILES = {
    "shop/__init__.py": "",
    "shop/web/__init__.py": "",
    "shop/web/page.py": "TITLE = 'shop'",
    "shop/store/__init__.py": "",
    "shop/store/tables/order.py": "from shop.web.page import TITLE",
    ".importlinter": """
[importlinter]
root_package = shop
[importlinter:contract:floors]
name = the store does not know the web
type = layers
layers =
    web
    store
containers = shop
""",
}
for name, text in FILES.items():
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def lint():
    command = ["venv/bin/lint-imports", "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("Contracts:")]
    return done.returncode, line


importing = [sys.executable, "-c", "import shop.store.tables.order"]
imported = subprocess.run(importing, timeout=60).returncode == 0
without = lint()
Path("shop/store/tables/__init__.py").touch()
with_it = lint()

print(f"Python imports the file: {imported}; with an __init__.py: {with_it[1]}")
tell(
    f"import-linter {metadata.version('import-linter')}, grimp {metadata.version('grimp')}",
    "the contract is broken, or a warning about the folder",
    without[1],
    imported and without[0] == 0 and with_it[0] == 1,
)
PYTHON
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status" ;;
esac
