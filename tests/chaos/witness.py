"""The witnesses: they poll statuses all the while, and judge each by what LiveKit had told by then.

A status may be as old as the cache allows, and older by as long as something was broken. Whatever
was true at some moment of that span, it may say; anything else is a lie.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp

from tests.chaos.storm import Fault
from tests.doors import bearer, token
from webhooks.simulator.event import Visit
from webhooks.simulator.plan import Plan
from webhooks.simulator.sender import Diary

CACHE_LIFE = timedelta(seconds=10)
BUSY = timedelta(seconds=3)
"""From an acknowledgement to its commit by a worker, on a machine that has much else to do."""

RECOVERY = timedelta(seconds=7)
"""After a repair: the sweep (5 s) that rings for what nobody rang for, and what it enqueues."""

POLLERS = 4
ANSWER_SECONDS = 5
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Testimony:
    """What one status said of a person, somewhere between these two moments."""

    room: str
    person: str
    present: bool
    asked_at: datetime
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class Stay:
    """A visit as it was told: from when it may and must be known, that it began and that it ended.

    Between posting and acknowledging an event, both what was before and what it tells are true.
    """

    may_begin: datetime
    must_begin: datetime
    may_end: datetime
    must_end: datetime


class Witnesses:
    """They poll while `watching`; `testimonies` and `refusals` are what they got."""

    def __init__(self, port: int, plan: Plan, seed: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/sessions"
        self._people = sorted({(one.room.name, one.identity) for one in plan.visits})
        self._tokens = {(room, who): bearer(token(who, room)) for room, who in self._people}
        self._dice = random.Random(f"{seed}-witness")
        self.testimonies: list[Testimony] = []
        self.refusals: list[str] = []

    async def watch(self, stop: asyncio.Event) -> None:
        """Poll until `stop`, one poll after another each."""
        limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=limit) as http:
            await asyncio.gather(*(self._poll_until(stop, http) for _ in range(POLLERS)))

    async def _poll_until(self, stop: asyncio.Event, http: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            room, person = self._dice.choice(self._people)
            try:
                await self._poll(http, room, person)
            except (aiohttp.ClientError, TimeoutError) as error:
                self.refusals.append(type(error).__name__)
            await asyncio.sleep(self._dice.uniform(0.02, 0.1))

    async def _poll(self, http: aiohttp.ClientSession, room: str, person: str) -> None:
        url, headers = f"{self._url}/{room}/attendance-status", self._tokens[room, person]
        asked_at = datetime.now(UTC)
        async with http.get(url, headers=headers) as answer:
            if answer.status != 200:
                self.refusals.append(str(answer.status))
                return
            told = await answer.json()
        present, answered_at = told["is_currently_in_meeting"], datetime.now(UTC)
        self.testimonies.append(Testimony(room, person, present, asked_at, answered_at))


def stays(plan: Plan, diary: Diary) -> dict[tuple[str, str], list[Stay]]:
    """Each person's visits as they were told, by room name and person."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for event in plan.events:
        if event.visit is not None:
            told[event.visit.participant_sid][event.kind] = event.event_id
    found: dict[tuple[str, str], list[Stay]] = defaultdict(list)
    for visit in plan.visits:
        found[visit.room.name, visit.identity].append(_stay(visit, told, diary))
    return found


def _stay(visit: Visit, told: dict[str, dict[str, str]], diary: Diary) -> Stay:
    events = told[visit.participant_sid]
    began, ended = events["participant_joined"], events["participant_left"]
    return Stay(
        may_begin=diary.posted_at.get(began, FOREVER),
        must_begin=diary.acknowledged_at.get(began, FOREVER),
        may_end=diary.posted_at.get(ended, FOREVER),
        must_end=diary.acknowledged_at.get(ended, FOREVER),
    )


def lies(
    testimonies: Iterable[Testimony],
    told: dict[tuple[str, str], list[Stay]],
    faults: Sequence[Fault],
) -> Iterator[tuple[Testimony, datetime]]:
    """The testimonies that were true at no moment since (the moment is told) they had to be."""
    for one in testimonies:
        since = _since(one.asked_at, faults)
        visits = told[one.room, one.person]
        if one.present:
            possible = any(v.may_begin <= one.answered_at and v.must_end >= since for v in visits)
        else:
            possible = not _surely_inside(visits, since, one.answered_at)
        if not possible:
            yield one, since


def _surely_inside(visits: Iterable[Stay], since: datetime, until: datetime) -> bool:
    """Whether the visits leave no gap between these moments."""
    covered = since
    for visit in sorted(visits, key=lambda visit: visit.must_begin):
        if visit.must_begin <= covered:
            covered = max(covered, visit.may_end)
    return covered > until


def _since(at: datetime, faults: Sequence[Fault]) -> datetime:
    """How far back something may come from: the cache's life, broken time not counted."""
    left, moment = CACHE_LIFE + BUSY, at
    for fault in sorted(faults, key=lambda fault: fault.repaired_at, reverse=True):
        ended_at = fault.repaired_at + RECOVERY
        if fault.began_at >= moment:
            continue
        if ended_at < moment:
            if moment - ended_at >= left:
                break
            left -= moment - ended_at
            moment = ended_at
        moment = min(moment, fault.began_at)
    return moment - left
