"""`make install` on a fresh checkout: what production needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_MIB = 150
MODULES = "webhooks.app, webhooks.cli.commands, worker.__main__, worker.schedule"


def size_mib(directory: Path) -> float:
    files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 2**20


def test_what_is_installed_runs_and_is_small(tmp_path: Path) -> None:
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT)
    copy = ["xargs", "-0", "cp", "--parents", "--target-directory", str(tmp_path)]
    subprocess.run(copy, cwd=ROOT, input=tracked, check=True)
    inside = {"cwd": tmp_path, "env": os.environ | {"VIRTUAL_ENV": ""}}
    subprocess.run(["make", "install"], check=True, **inside)  # type: ignore[call-overload]
    python = str(tmp_path / ".venv" / "bin" / "python")
    subprocess.run([python, "-c", f"import {MODULES}"], check=True, **inside)  # type: ignore[call-overload]
    assert size_mib(tmp_path / ".venv") < MOST_MIB
    assert not (tmp_path / ".venv" / "bin" / "pytest").exists()
