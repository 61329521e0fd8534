"""Where this host's processes keep their counts, for any web process's /metrics to add up.

prometheus-client looks for the directory when it is imported, so `prepare` comes before that.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.settings.settings import Settings

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
DEFAULT = "var/metrics"
LOCK = "lock"


def prepare(settings: Settings) -> None:
    """Set the directory up, and add up what processes counted that are gone, in a file for each
    type. Were it forgotten, the totals would fall: Prometheus would take all that is left for new.

    Processes that work on the same database and Redis share one, others in the same checkout not.
    """
    stack = hashlib.sha256(f"{settings.database_url}\n{settings.redis_url}".encode()).hexdigest()
    directory = Path(os.environ.setdefault(VARIABLE, f"{DEFAULT}/{stack[:8]}"))
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory, fcntl.LOCK_EX):
        for path in directory.glob("*.db"):
            if (pid := _pid(path)) and not _lives(pid):
                _add_up(path)


@contextmanager
def reading() -> Iterator[None]:
    """Have nobody add up meanwhile: what is added up is in two files for a moment."""
    with _locked(Path(os.environ[VARIABLE]), fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(directory: Path, kind: int) -> Iterator[None]:
    with (directory / LOCK).open("a") as lock:
        fcntl.flock(lock, kind)
        yield


def _add_up(path: Path) -> None:
    """Put a file's counts into the file of those that are gone, and remove it."""
    from prometheus_client import mmap_dict  # noqa: PLC0415  (see above)

    kept: Any = mmap_dict.MmapedDict  # which has no types
    try:
        counts = list(kept.read_all_values_from_file(path))
    except (RuntimeError, struct.error):  # its process was killed while it made the file
        counts = []
    gone = kept(path.with_name(f"{path.stem.partition('_')[0]}_gone.db"))
    for key, count, *_ in counts:
        gone.write_value(key, gone.read_value(key)[0] + count, 0.0)
    gone.close()
    path.unlink()


def _pid(path: Path) -> int:
    """The library names its files `<type>_<pid>.db`. 0 of what was added up."""
    pid = path.stem.rpartition("_")[2]
    return int(pid) if pid.isdigit() else 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
