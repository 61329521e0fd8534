"""Runs a plan: posts its events as a LiveKit server would, and reports what became of them.

Stands before the receiver. Promise: what is planned is posted by LiveKit's rules, to this machine
only, and the report says what became of each event. `plan.visits` is the truth to compare with.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Iterator
from datetime import timedelta
from time import perf_counter
from typing import Any, Final

from webhooks.simulator.event import Event
from webhooks.simulator.plan import Plan
from webhooks.simulator.sender import (
    LIVEKIT_RULES,
    WALL_CLOCK,
    Clock,
    Report,
    Rules,
    Sender,
    Tally,
    Target,
    sending,
)

# Past the last event, LiveKit's retries take 28 s at most, and what waits behind them ages out.
_TIMEOUT: Final = timedelta(seconds=60)
_TIMEOUT_PER_EVENT: Final = timedelta(seconds=0.1)


async def run(
    plan: Plan,
    *,
    target: Target,
    rules: Rules = LIVEKIT_RULES,
    clock: Clock = WALL_CLOCK,
    paced: bool = True,
    within: timedelta | None = None,
    stop: asyncio.Event | None = None,
) -> Report:
    """Post a plan's events and report what became of them.

    Paced, each goes into its room's queue at its `at`. Otherwise each room posts its next event as
    soon as the last is settled: nothing waits, so nothing is dropped. Ends by itself: after
    `within` (by default a minute past the plan; unpaced, plus 0.1 s an event), or when `stop` is
    set, whatever is left is abandoned and reported as unfinished.
    """
    tally = Tally()
    began = perf_counter()
    work = _deliver(plan.events, target, tally=tally, rules=rules, clock=clock, paced=paced)
    timeout = within if within is not None else _timeout(plan, clock=clock, paced=paced)
    await _bounded(work, within=timeout, stop=stop or asyncio.Event())
    return tally.report(events=len(plan.events), wall_seconds=perf_counter() - began)


async def run_until_stopped(
    events: Iterator[Event],
    *,
    target: Target,
    stop: asyncio.Event,
    rules: Rules = LIVEKIT_RULES,
    clock: Clock = WALL_CLOCK,
) -> Report:
    """Post events at their `at` until `stop` is set; what is in flight then is unfinished."""
    tally = Tally()
    began = perf_counter()
    work = _deliver(events, target, tally=tally, rules=rules, clock=clock, paced=True)
    await _bounded(work, within=None, stop=stop)
    return tally.report(events=tally.due, wall_seconds=perf_counter() - began)


def _timeout(plan: Plan, *, clock: Clock, paced: bool) -> timedelta:
    if paced:
        return max(plan.ends_at - clock.now(), timedelta()) + _TIMEOUT
    return _TIMEOUT + _TIMEOUT_PER_EVENT * len(plan.events)


async def _bounded(
    work: Coroutine[Any, Any, None], *, within: timedelta | None, stop: asyncio.Event
) -> None:
    """Do the work until it is done, time is up, or `stop` is set; then cancel what is left."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    seconds = within.total_seconds() if within is not None else None
    try:
        await asyncio.wait(
            {working, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
    if not working.cancelled():
        working.result()


async def _deliver(
    events: Iterable[Event],
    target: Target,
    *,
    tally: Tally,
    rules: Rules,
    clock: Clock,
    paced: bool,
) -> None:
    async with sending(target, tally=tally, rules=rules, clock=clock) as sender:
        if not paced:
            await _flat_out(events, sender)
            return
        for event in events:
            await clock.until(event.at)
            sender.offer(event)


async def _flat_out(events: Iterable[Event], sender: Sender) -> None:
    by_room: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_room[event.room.name].append(event)
    async with asyncio.TaskGroup() as rooms:
        for of_room in by_room.values():
            rooms.create_task(_one_after_another(of_room, sender))


async def _one_after_another(events: Iterable[Event], sender: Sender) -> None:
    for event in events:
        await sender.send(event)
