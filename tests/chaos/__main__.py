"""`make chaos`: one class of 50 rooms for each seed, in a storm of faults."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import click
from flask.testing import FlaskClient
from redis import Redis
from yarl import URL

from models.storage import db
from models.tables import pending_event
from tests.build import KEY, SECRET
from tests.chaos import refusals, truth, witness
from tests.chaos.deployment import Deployment
from tests.chaos.registrar import Registrar
from tests.chaos.storm import Storm
from tests.chaos.witness import Witnesses
from tests.doors import bearer, ops_token, session_url
from tests.faults import until
from webhooks.app import create_app
from webhooks.door.context import EXTENSION
from webhooks.simulator.plan import Plan, plan_classes
from webhooks.simulator.sender import WALL_CLOCK, Diary, Report, Tally, Target, sending
from worker.inbox import spool
from worker.process.backend import Backend

VAR = Path(__file__).parents[2] / "var" / "chaos"
ROOMS = tuple(f"class-{number:02d}" for number in range(1, 51))
PEOPLE = 6
SPEED = 3.0
"""A class's minute in twenty seconds: more comings and goings for each fault."""

SETTLED_SECONDS = 60
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `wrong` has a line for each thing that should not be."""

    report: Report
    faults: Counter[str]
    testimonies: int
    unanswered: Counter[str]
    registrations: Counter[int | str]
    wrong: Sequence[str]


@click.command()
@click.option("--seeds", default=10, show_default=True, help="How many runs.")
@click.option("--first", default=1, show_default=True, help="The first seed.")
@click.option("--seconds", default=20.0, show_default=True, help="How long each class lasts.")
@click.option("--within", default=570.0, show_default=True, help="No run begins after this.")
def main(*, seeds: int, first: int, seconds: float, within: float) -> None:
    """Exit status 1 when anything acknowledged was lost, or anything said was false."""
    began, bad, done = monotonic(), [], 0
    shutil.rmtree(VAR, ignore_errors=True)
    VAR.mkdir(parents=True)
    deployment = Deployment(VAR)
    with closing(deployment):
        for seed in range(first, first + seeds):
            outcome = _run(deployment, seed, seconds)
            _print(seed, outcome)
            done += 1
            bad += [seed] if outcome.wrong else []
            if monotonic() - began > within:
                break
    click.echo(f"{done} seeds in {monotonic() - began:.0f} s; bad: {bad or 'none'}. Logs: {VAR}")
    sys.exit(1 if bad or done < seeds else 0)


def _run(deployment: Deployment, seed: int, seconds: float) -> Outcome:
    with deployment.running(f"seed-{seed}"):
        with _inside(deployment) as (client, _):
            for room in ROOMS:
                answer = client.put(session_url(room), json={}, headers=bearer(ops_token()))
                assert answer.status_code == 201, answer.text
        plan = _plan(seed, seconds)
        witnesses, storm = Witnesses(deployment.port, plan, seed), Storm(deployment, seed)
        registrar = Registrar(deployment.port, ROOMS, seed)
        with registrar.at_work():
            report, diary = asyncio.run(_class(deployment, plan, witnesses, storm))
        told = witness.stays(plan, diary)
        lies = witness.lies(witnesses.testimonies, told, storm.faults)
        wrong = [*storm.failures]
        wrong += [f"{one} is a lie since {at}: {told[one.room, one.person]}" for one, at in lies]
        with _inside(deployment) as (client, backend):
            _register_as_before(client, registrar)
            wrong += _wrong_in_the_end(client, backend, plan, set(report.acknowledged_ids))
        wrong += refusals.needless(deployment.processes["web"].log(), storm.faults)
        wrong += _accidents(deployment)
    faults = Counter(f"{one.part} {one.what}" for one in storm.faults)
    unanswered = Counter(witnesses.refusals)
    testimonies = len(witnesses.testimonies)
    return Outcome(report, faults, testimonies, unanswered, registrar.answers, wrong)


def _register_as_before(client: FlaskClient, registrar: Registrar) -> None:
    """One session a room, without a schedule: then a roster has all that happened in the room."""
    for room in ROOMS:
        client.put(session_url(room), json={}, headers=bearer(ops_token()))
    for session_id in registrar.ids():
        client.delete(session_url(session_id), headers=bearer(ops_token()))


def _wrong_in_the_end(
    client: FlaskClient, backend: Backend, plan: Plan, acknowledged: set[str]
) -> list[str]:
    try:
        until(lambda: _is_settled(backend), seconds=SETTLED_SECONDS)
    except AssertionError:
        return [f"something still waits after {SETTLED_SECONDS} s"]
    stored = truth.ledger(backend)
    return [
        *truth.unlike_ledger(stored, plan, acknowledged),
        *truth.unlike_rosters(client, stored, plan),
    ]


@contextmanager
def _inside(deployment: Deployment) -> Iterator[tuple[FlaskClient, Backend]]:
    """The application in this process, for what is done in calm weather."""
    app = create_app(deployment.settings)
    backend: Backend = app.extensions[EXTENSION].backend
    with closing(backend):
        yield app.test_client(), backend


def _plan(seed: int, seconds: float) -> Plan:
    starts_at = datetime.now(UTC) + timedelta(seconds=1)
    lasting = timedelta(seconds=seconds * SPEED)
    return plan_classes(
        ROOMS, people=PEOPLE, lasting=lasting, seed=seed, starts_at=starts_at, speed=SPEED
    )


async def _class(
    deployment: Deployment, plan: Plan, witnesses: Witnesses, storm: Storm
) -> tuple[Report, Diary]:
    """The class with its storm; the storm is over, and repaired, before the last retries are."""
    began, diary, stop = monotonic(), Diary(), asyncio.Event()
    tally = Tally(diary=diary)
    url = URL(f"http://127.0.0.1:{deployment.port}/webhooks/livekit")
    watching = asyncio.create_task(witnesses.watch(stop))
    with storm.raging():
        async with sending(Target(url, key=KEY, secret=SECRET), tally=tally) as sender:
            for event in plan.events:
                await WALL_CLOCK.until(event.at)
                sender.offer(event)
            await asyncio.to_thread(storm.calm)
    stop.set()
    await watching
    return tally.report(events=len(plan.events), wall_seconds=monotonic() - began), diary


def _is_settled(backend: Backend) -> bool:
    """Whether nothing waits any more, anywhere."""
    with Redis.from_url(backend.settings.redis_url) as redis:
        spooled = spool.length(redis)
    with db.reading(backend.engine) as conn:
        return spooled == 0 and pending_event.oldest(conn) is None


def _accidents(deployment: Deployment) -> list[str]:
    """What no fault excuses: errors of our own, and processes that end by themselves."""
    processes = deployment.processes
    gone = [f"{name} ended by itself" for name, one in processes.items() if not one.lives]
    return gone + [
        f"{name}: {line}"
        for name, process in processes.items()
        for line in process.log().splitlines()
        if '"request.failed"' in line or '"event.failed"' in line
    ]


def _print(seed: int, outcome: Outcome) -> None:
    report = outcome.report
    click.echo(
        f"seed {seed}: {report.acknowledged} of {report.events} acknowledged "
        f"({report.retried} retried, {report.lost + report.dropped} lost by LiveKit, "
        f"{report.refused} refused), {outcome.testimonies} statuses "
        f"(unanswered: {dict(outcome.unanswered)}), sessions put, moved and deleted: "
        f"{dict(outcome.registrations)}, faults: {dict(outcome.faults)}"
    )
    for line in outcome.wrong[:SHOWN]:
        click.echo(f"  WRONG {line}")
    if len(outcome.wrong) > SHOWN:
        click.echo(f"  … and {len(outcome.wrong) - SHOWN} more")


if __name__ == "__main__":
    main()
