"""Where this host's processes keep their counts, for any web process's /metrics to add up.

prometheus-client looks for the directory when it is imported, so `prepare` comes before that.
"""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from time import time

from models.settings.settings import Settings

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
DEFAULT = "var/metrics"
FORGOTTEN_AFTER = timedelta(days=1)


def prepare(settings: Settings) -> None:
    """Set the directory up; the counts of processes that are gone are kept for a day.

    Processes that work on the same database and Redis share one, others in the same checkout not.
    """
    stack = hashlib.sha256(f"{settings.database_url}\n{settings.redis_url}".encode()).hexdigest()
    directory = Path(os.environ.setdefault(VARIABLE, f"{DEFAULT}/{stack[:8]}"))
    directory.mkdir(parents=True, exist_ok=True)
    long_ago = time() - FORGOTTEN_AFTER.total_seconds()
    for path in directory.glob("*.db"):
        if path.stat().st_mtime < long_ago and not _lives(_pid(path)):
            path.unlink(missing_ok=True)


def _pid(path: Path) -> int:
    """The library names its files `<type>_<pid>.db`."""
    pid = path.stem.rpartition("_")[2]
    return int(pid) if pid.isdigit() else 0


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
