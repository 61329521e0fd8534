"""`python -m tests.deployments.logs`: how many bytes of log each process writes for what it does.

The Procfile's processes at LOG_LEVEL=info, on PostgreSQL and Valkey; a recorded class, one webhook
after another; polls; then a minute in which nothing happens.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from time import sleep

from sqlalchemy import Engine

from models.storage import db
from models.storage.engine import make_engine
from models.tables import pending_event
from tests.build import captured, signed
from tests.chaos.deployment import Deployment
from tests.deployments.cell import RECORDING
from tests.doors import bearer, ops_token, session_url
from tests.faults import until
from tests.servers import VAR

ROOM = "class-5b"
POLLS = 1000
IDLE_SECONDS = 60
WRITER_SECONDS = 1
"""A web process writes its log in a thread of its own."""

DRAIN = '"events.applied"'


Log = dict[str, str]
"""What each process wrote, by its name."""


def main() -> None:
    directory = VAR / "log-volumes"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with closing(Deployment(directory)) as deployment, deployment.running("logs"):
        started = {name: process.log() for name, process in deployment.processes.items()}
        print(f"to start {len(started)} processes: {size(started)} bytes")
        measure_class(deployment)
        measure_polls(deployment)
        with written(deployment) as log:
            sleep(IDLE_SECONDS)
        print(f"{IDLE_SECONDS} s of nothing: {size(log)} bytes")


def measure_class(deployment: Deployment) -> None:
    bodies = [post.body for post in captured(RECORDING)]
    engine = make_engine(deployment.settings.database_url)
    with written(deployment) as log:
        for body in bodies:
            content, token = signed(body)
            ask(deployment, "POST", "/webhooks/livekit", {"Authorization": token}, content)
        until(lambda: is_applied(engine))
    engine.dispose()
    drains = [line for text in log.values() for line in text.splitlines() if DRAIN in line]
    print(f"{len(bodies)} webhooks: {len(log['web']) / len(bodies):.0f} bytes each")
    print(f"{len(drains)} drains: {sum(map(len, drains)) / len(drains):.0f} bytes each")
    print(f"the whole class: {size(log)} bytes")


def measure_polls(deployment: Deployment) -> None:
    url = session_url(ROOM, "attendance-status", user_id="1")
    with written(deployment) as log:
        for _ in range(POLLS):
            ask(deployment, "GET", url, bearer(ops_token()))
    print(f"{POLLS} polls: {size(log)} bytes")


def ask(
    deployment: Deployment, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> None:
    connection = HTTPConnection("127.0.0.1", deployment.port)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    assert answer.status in (200, 204), answer.read()
    connection.close()


def is_applied(engine: Engine) -> bool:
    with db.reading(engine) as conn:
        return pending_event.oldest(conn) is None


@contextmanager
def written(deployment: Deployment) -> Iterator[Log]:
    """What is written meanwhile, known at the end."""
    processes = deployment.processes
    before = {name: len(process.log()) for name, process in processes.items()}
    log: Log = {}
    yield log
    sleep(WRITER_SECONDS)
    log |= {name: process.log()[before[name] :] for name, process in processes.items()}


def size(log: Log) -> int:
    return sum(map(len, log.values()))


if __name__ == "__main__":
    main()
