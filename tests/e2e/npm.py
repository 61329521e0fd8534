"""What the tests take from npm, installed once into var/: a LiveKit client, axe, frameworks."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VAR = Path(__file__).parents[2] / "var" / "npm"
INSTALL_SECONDS = 300
NO_NPM = "This test takes JavaScript packages from npm: install Node 20 or newer."
NAMES = ("package.json", "package-lock.json")


def installed() -> Path:
    """The `node_modules` that the lock file describes; nothing of them runs while installing.

    Peers stay away: Livewire's script comes in a package that would bring a whole server with it.

    Fails the test, rather than skips it, on a machine without npm.
    """
    if shutil.which("npm") is None:
        pytest.fail(NO_NPM, pytrace=False)
    lock = (HERE / "package-lock.json").read_bytes()
    directory = VAR / hashlib.sha256(lock).hexdigest()[:12]
    modules = directory / "node_modules"
    if not (modules / ".package-lock.json").exists():
        directory.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            shutil.copy(HERE / name, directory)
        install = ["npm", "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=directory, check=True, timeout=INSTALL_SECONDS)
    return modules


def file(name: str) -> Path:
    """One file of what is installed."""
    return installed() / name
