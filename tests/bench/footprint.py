"""What processes and tables take: memory, processor time, bytes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import psycopg

MEBIBYTE = 1024 * 1024

POSTGRESQL = """
SELECT sum(pg_table_size(oid)), sum(pg_indexes_size(oid))
FROM pg_class WHERE relkind = 'r' AND relname LIKE 'webhook_event%'
"""
SQLITE = """
SELECT coalesce(sum(pgsize) FILTER (WHERE type = 'table'), 0),
  coalesce(sum(pgsize) FILTER (WHERE type = 'index'), 0)
FROM dbstat('main', 1) size JOIN sqlite_schema part ON part.name = size.name
WHERE tbl_name LIKE 'webhook_event%'
"""
COUNT = "SELECT count(*) FROM webhook_events"


def pss_mib(pid: int) -> list[float]:
    """The proportional set size of the process and of each that it started, in MiB: of a page that
    n processes share, 1/n."""
    return [_pss_kib(process.pid) / 1024 for process in _family(pid)]


def cpu_seconds(pid: int) -> float:
    """What the process and those that it started took of processors until now."""
    times = [process.cpu_times() for process in _family(pid)]
    return sum(each.user + each.system for each in times)


def on_postgresql(url: str) -> tuple[float, float]:
    """Bytes an event of the ledger's tables and of their indexes."""
    with psycopg.connect(url, autocommit=True) as conn:
        sizes, count = conn.execute(POSTGRESQL).fetchone(), conn.execute(COUNT).fetchone()
    assert sizes is not None
    assert count is not None
    return float(sizes[0]) / count[0], float(sizes[1]) / count[0]


def vacuum(url: str) -> None:
    """What autovacuum does on a database that lives for long: dead rows leave their place to new
    ones."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")


def on_sqlite(file: Path) -> tuple[float, float]:
    """Bytes an event of the ledger's tables and of their indexes."""
    with closing(sqlite3.connect(file)) as conn:
        tables, indexes = conn.execute(SQLITE).fetchone()
        (count,) = conn.execute(COUNT).fetchone()
    return tables / count, indexes / count


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/smaps_rollup has no Pss")
