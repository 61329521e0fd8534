"""Two million events are migrated to the short form while others are stored.

`python -m tests.bench.migrating` runs it; it is none of what `make bench` measures each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event as Flag
from threading import Thread
from time import perf_counter
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from models.domain import event as events
from models.storage import bulk, db, schema
from models.storage.engine import make_engine
from models.tables import webhook_event
from models.tables.webhook_event import webhook_events
from tests import servers
from tests.bench import incident, report
from tests.bench.load import BenchFailed
from tests.bench.mail import Classes
from tests.bench.process import ROOT
from tests.bench.turns import Figure
from tests.build import KEY, SECRET

STORED = 2_000_000
BEFORE, NEWEST = "0011", "head"
ALONE_SECONDS = 20.0
"""How long events are stored with nothing beside, to compare with."""

PAUSE_SECONDS = 0.01
"""Between two events that are stored."""

SIZES = text(
    "SELECT pg_relation_size('webhook_events') AS rows,"
    " pg_indexes_size('webhook_events') AS indexes"
)


def migrating(*, stored: int = STORED) -> list[Figure]:
    with servers.postgres("bench_migrating") as url:
        config = Config()
        config.set_main_option("script_location", str(schema.MIGRATIONS))
        config.attributes["database_url"] = url
        command.upgrade(config, BEFORE)
        engine = make_engine(url, timeout=900)
        incident.fill(engine, count=stored, failed=1, whole=True)
        notes: dict[str, float | str] = {"before": _sizes(engine, stored)}
        with _storing(engine) as alone:
            Flag().wait(ALONE_SECONDS)
        with _storing(engine) as beside:
            began = perf_counter()
            _release(url)
            seconds = perf_counter() - began
        notes |= {"after": _sizes(engine, stored)}
        _check(engine, len(alone) + len(beside) + stored)
        with engine.connect() as conn:
            conn.execute(text("VACUUM FULL webhook_events"))
        notes |= {"after VACUUM FULL": _sizes(engine, stored)}
        engine.dispose()
    figures = {
        name: [taken[round(len(taken) * share) - 1] if share < 1 else taken[-1]]
        for kind, unsorted in (("alone", alone), ("beside the migration", beside))
        for taken in (sorted(unsorted),)
        for name, share in ((f"{kind}: p50", 0.5), (f"{kind}: p99", 0.99), (f"{kind}: longest", 1))
    }
    title = f"an event stored while {stored:,} are migrated in {seconds:.0f} s, PostgreSQL"
    return [Figure(title, "ms", figures, notes=notes, compared=False)]


def _release(url: str) -> None:
    """As the Procfile does."""
    ours = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET, "DATABASE_URL": url}
    upgrade = [sys.executable, "-m", "alembic", "upgrade", NEWEST]
    subprocess.run(upgrade, cwd=ROOT, env=os.environ | ours, check=True)


@contextmanager
def _storing(engine: Engine) -> Iterator[list[float]]:
    """Events stored one by one, as a process of the older version does; the ms of each."""
    taken: list[float] = []
    stop = Flag()
    thread = Thread(target=_store, args=(engine, taken, stop))
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


def _store(engine: Engine, taken: list[float], stop: Flag) -> None:
    classes = Classes(rooms=20, people=30, prefix=f"new-{perf_counter()}", seed=len(taken))
    while not stop.wait(PAUSE_SECONDS):
        [one] = classes.next(1)
        payload = events.redact(events.parse(one.body()))
        row: dict[str, Any] = webhook_event.pending_row(
            events.read(payload), payload, received_at=datetime.now(UTC)
        )
        began = perf_counter()
        with db.inserting(engine) as conn:
            bulk.insert_missing(conn, webhook_events, [row], key="event_id")
        taken.append(1000 * (perf_counter() - began))


def _check(engine: Engine, number: int) -> None:
    with db.reading(engine) as conn:
        there = conn.execute(text("SELECT count(*) FROM webhook_events")).scalar_one()
        whole = text(
            "SELECT count(*) FROM webhook_events WHERE status <> 'pending' AND payload ? 'event'"
        )
        left = conn.execute(whole).scalar_one()
    if (there, left) != (number, 0):
        raise BenchFailed(f"{there:,} of {number:,} events are there, {left:,} of them whole")


def _sizes(engine: Engine, stored: int) -> str:
    with db.reading(engine) as conn:
        sizes = conn.execute(SIZES).one()
    return f"{sizes.rows / stored:.0f} + {sizes.indexes / stored:.0f} bytes an event"


if __name__ == "__main__":
    report.show(migrating(stored=int(sys.argv[1]) if len(sys.argv) > 1 else STORED))
