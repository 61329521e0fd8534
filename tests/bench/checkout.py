"""Checkouts: this tree and, with BASE, another revision of it beside, each on an environment that
has what production needs and nothing else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.process import ROOT

OURS = "this tree"
UV = ROOT / ".venv" / "bin" / "uv"
BLOCK_BYTES = 512
"""What `st_blocks` counts in."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A tree, and the environment that its own lock file makes; `installed_bytes` on the disk."""

    name: str
    root: Path
    venv: Path
    installed_bytes: int


@contextmanager
def checkouts() -> Iterator[list[Checkout]]:
    """This tree first, then the revision that BASE in the environment names, where it does."""
    with ExitStack() as resources:
        made = [_made(resources, OURS, ROOT)]
        if base := os.environ.get("BASE"):
            made.append(_made(resources, base, resources.enter_context(_tree(base))))
        yield made


def _made(resources: ExitStack, name: str, root: Path) -> Checkout:
    venv = Path(resources.enter_context(TemporaryDirectory(prefix="bench-venv-"))) / "venv"
    _sync(root, venv)
    size = _bytes_on_disk(venv)
    _sync(root, venv, "--group", "embedded")  # the Valkey of `make run`
    return Checkout(name, root, venv, size)


@contextmanager
def _tree(revision: str) -> Iterator[Path]:
    """That revision's files, in a folder that goes with the context."""
    with TemporaryDirectory(prefix="bench-tree-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _sync(root: Path, venv: Path, *more: str) -> None:
    """What `make install` does, elsewhere. Copied, not linked: a library that programs of other
    checkouts have in memory too would count as shared with them."""
    environment = os.environ | {"UV_PROJECT_ENVIRONMENT": str(venv), "UV_LINK_MODE": "copy"}
    command = [str(UV), "sync", "--frozen", "--quiet", "--no-default-groups", "--compile-bytecode"]
    subprocess.run([*command, *more], cwd=root, env=environment, check=True)


def _bytes_on_disk(folder: Path) -> int:
    return sum(path.lstat().st_blocks for path in folder.rglob("*")) * BLOCK_BYTES


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *arguments], check=True)
