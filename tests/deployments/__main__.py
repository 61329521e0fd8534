"""`make deployments`: which pairs of a database and a Redis keep a recorded class whole.

Prints a table for docs/reliability.md. The exit status is 1 when something was lost or differs.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import pytest
import structlog

from models.settings.settings import Settings
from models.storage import schema
from tests.build import KEY, SECRET
from tests.deployments import databases, redises
from tests.deployments.cell import Outcome, outcome
from tests.deployments.databases import Database, Way
from tests.deployments.redises import Make, Store
from tests.faults import Postgres

DATABASES = {"PostgreSQL 15": databases.debians, "PostgreSQL 18": databases.wheels}
WAYS = {
    "direct": Way(None, prepares=True),
    "PgBouncer, session": Way("session", prepares=True),
    "PgBouncer, transaction, prepared statements": Way("transaction", prepares=True),
    "PgBouncer, transaction, none": Way("transaction", prepares=False),
}
STORES: dict[str, Make] = {
    "Valkey": redises.valkey,
    "Redis 7": redises.redis_7,
    "ACL user": redises.user_of_few_rights,
    "full memory": redises.full_memory,
    "Sentinel failover": redises.failover,
}


def main() -> int:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=False,
    )
    began, wrong = monotonic(), 0
    wanted = reference()
    print(f"| database | way | {' | '.join(STORES)} |\n|{'---|' * (2 + len(STORES))}")
    for database, way, results in rows(wanted):
        print(f"| {database} | {way} | {' | '.join(results)} |", flush=True)
        wrong += sum(not result.startswith(("whole", "skipped")) for result in results)
    events = len(wanted.event_ids)
    print(f"\n{events} events a class; {monotonic() - began:.0f} s; {wrong} not whole.")
    return 1 if wrong else 0


def reference() -> Outcome:
    """The same class where nothing happens: on SQLite and Valkey."""
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/rollcall.db"
        schema.upgrade(url)
        with redises.valkey(Path(directory)) as store:
            return outcome(settings(url, store), None, store)


def rows(wanted: Outcome) -> Iterator[tuple[str, str, list[str]]]:
    for name, make in DATABASES.items():
        with ExitStack() as until_done:
            try:
                database = until_done.enter_context(make())
            except pytest.skip.Exception as skipped:
                yield name, "all", [f"skipped: {skipped}"] * len(STORES)
                continue
            for way_name, way in WAYS.items():
                yield (
                    name,
                    way_name,
                    [cell(database, way, store, wanted) for store in STORES.values()],
                )


def cell(database: Database, way: Way, make: Make, wanted: Outcome) -> str:
    """What became of the class there, in a word."""
    Postgres.empty(database)  # type: ignore[arg-type]  # it needs no more than the URL
    try:
        with (
            TemporaryDirectory() as directory,
            way.to(database) as url,
            make(Path(directory)) as store,
        ):
            found = outcome(settings(url, store, prepares=way.prepares), database, store)
    except pytest.skip.Exception as skipped:
        return f"skipped: {skipped}"
    except AssertionError as error:
        return f"FAILED: {error}"
    if lost := wanted.event_ids - found.event_ids:
        return f"LOST {len(lost)}"
    if found.statuses != {"applied"} or found.rosters != wanted.rosters:
        return "DIFFERS"
    return f"whole, {found.repeated} repeated" if found.repeated else "whole"


def settings(url: str, store: Store, *, prepares: bool = True) -> Settings:
    return Settings(
        livekit_api_key=KEY,
        livekit_api_secret=SECRET,
        database_url=url,
        redis_url=store.url,
        prepared_statements=prepares,
        _env_file=None,
    )


if __name__ == "__main__":
    sys.stdout.flush()
    status = main()
    sys.stdout.flush()
    os._exit(status)  # threads of applications that are gone may still wait for their Redis
