"""One LiveKit server and one Rollcall, on PostgreSQL and Valkey, for all these tests."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from tests import stack
from tests.browser.conftest import (  # noqa: F401 - fixtures
    database_url,
    launched,
    opened,
    quran,
    settings,
    site,
)
from tests.build import KEY, SECRET
from tests.e2e import livekit_binary, livekit_server
from tests.e2e.door import Door
from tests.e2e.livekit_server import LiveKit
from tests.faults import Postgres, Valkey, free_port, until
from tests.processes import answers


@dataclass(frozen=True, slots=True)
class Deployment:
    """A LiveKit server that posts its webhooks through a door to Rollcall."""

    livekit: LiveKit
    door: Door
    port: int
    postgres: Postgres
    valkey: Valkey


_exit_status = [1]


@atexit.register
def _end_at_once() -> None:
    """Runs after all other such functions, since it is registered before them. LiveKit's client
    has threads of its own, which may abort a Python that ends while they call it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_exit_status[0])


def pytest_sessionfinish(exitstatus: int) -> None:
    _exit_status[0] = int(exitstatus)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """For one file: other files of this folder run event loops of their own."""
    with launched(tmp_path_factory.mktemp("firefox")) as made:
        yield made


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    binary = livekit_binary.built()
    data = tmp_path_factory.mktemp("e2e")
    port = free_port()
    with ExitStack() as until_done:
        postgres, valkey = Postgres(), Valkey(data / "valkey")
        until_done.callback(postgres.remove)
        until_done.callback(valkey.stop)
        started = stack.started(
            data=data,
            PORT=str(port),
            DATABASE_URL=postgres.url,
            REDIS_URL=valkey.url,
            LIVEKIT_API_KEY=KEY,
            LIVEKIT_API_SECRET=SECRET,
            CORS_ORIGINS="*",
        )
        until_done.enter_context(started)
        door = until_done.enter_context(Door(port))
        livekit = livekit_server.running(binary, data, webhooks_to=door.port)
        server = until_done.enter_context(livekit)
        until(lambda: is_ready(port), seconds=stack.PATIENCE_SECONDS)
        yield Deployment(server, door, port, postgres, valkey)


def is_ready(port: int) -> bool:
    """Whether Rollcall listens there, and has what it needs."""
    return answers(port, "/readyz")
