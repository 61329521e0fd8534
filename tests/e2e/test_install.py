"""`make install` on a fresh checkout: what production needs, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_MIB = 150
WEB = "webhooks.app, webhooks.cli.commands, webhooks.stack.processes"
MODULES = f"{WEB}, worker.__main__, worker.schedule"


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


def test_an_installer_with_another_hash_is_refused(tmp_path: Path) -> None:
    """uv, which checks the hashes of everything else, is held to its own."""
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    before, own, after = (ROOT / "uv.lock").read_text().partition('[[package]]\nname = "uv"\n')
    section, end, rest = after.partition("\n[[package]]")
    assert "sha256:" in section
    section = re.sub(r"sha256:[0-9a-f]{4}", "sha256:0000", section)
    (tmp_path / "uv.lock").write_text(before + own + section + end + rest)
    command = ["make", "python"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode != 0
    assert "DO NOT MATCH THE HASHES" in made.stderr
    assert not (tmp_path / ".venv" / "bin" / "uv").exists()
