"""The reconciler: what LiveKit's webhooks did not tell is found by asking its API.

It runs beside the scheduler, never on a request's path and never in a worker's: LiveKit may be
slow. Its findings are events of the ledger like any other, of a lower rank than webhooks, so that a
webhook that comes later corrects them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import structlog
from redis.exceptions import RedisError

from models.settings.settings import Settings
from models.storage import db
from models.tables import open_visits, webhook_event
from models.tables.open_visits import Standing
from worker.inbox import bell
from worker.jobs import draining
from worker.process import periodic
from worker.process.backend import Backend
from worker.reconcile import inferences, livekit_api
from worker.reconcile.inferences import Finding
from worker.reconcile.livekit_api import Look, Unanswered

MISSED_SECONDS = 30.0
"""Between the two looks that must both miss somebody: one may fall into a hiccup of LiveKit's."""

SWEEP_SECONDS = 33.0
"""From a sweep's start to the next one's: the second one to miss somebody closes the visit."""

MOST_ROOMS, MOST_VISITS = 1_000, 20_000
"""What one sweep looks at; the next one goes on where it stopped."""

A_TRANSACTION = 500

log = structlog.get_logger()


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Reconcile for as long as the context lasts, when LIVEKIT_URL is set."""
    if not settings.livekit_url:
        yield
        return
    with periodic.going(
        "reconcile",
        settings,
        lambda backend: Reconciler(backend).sweep,
        every=SWEEP_SECONDS,
        expected=(Unanswered, *draining.NOBODYS_FAULT),
    ):
        yield


@dataclass(frozen=True, slots=True)
class _Miss:
    """When somebody was first not there: on the clock, and for measuring how long ago that is."""

    room_sid: str
    at: datetime
    seconds: float


class Reconciler:
    """One sweep after another. That somebody was missed once is remembered here alone: when this
    is lost, with its process, a visit closes later; it never closes wrongly.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Callable[[], float] = monotonic,
        most_rooms: int = MOST_ROOMS,
    ) -> None:
        self._backend, self._clock, self._most_rooms = backend, clock, most_rooms
        self._missed: dict[str, _Miss] = {}
        self._after = ""

    def sweep(self) -> int:
        """Compare the open visits with LiveKit's word; how many findings were stored.

        Raises Unanswered, and what the database raises: then nothing was found.
        """
        began = self._clock()
        known, until = self._open_visits()
        look = livekit_api.look(
            self._backend.settings, after=self._after, until=until, most=self._most_rooms
        )
        found = [*self._gone(known, look, began), *self._inside(look)]
        self._store([one for one in found if one is not None], look.at)
        self._after = look.until or ""
        ms = round((self._clock() - began) * 1000, 1)
        log.info("reconcile.swept", rooms=len(look.people), found=len(found), ms=ms)
        return len(found)

    def _open_visits(self) -> tuple[list[Standing], str | None]:
        """Read before the look, so that whoever joins meanwhile is not missed in it."""
        since = datetime.now(UTC) - self._backend.rules.max_cycle
        with db.reading(self._backend.engine) as conn:
            return open_visits.open_visits(conn, since=since, after=self._after, limit=MOST_VISITS)

    def _gone(
        self, known: Iterable[Standing], look: Look, seconds: float
    ) -> Iterator[Finding | None]:
        """The visits that two looks missed, long enough apart."""
        missed = {
            sid: miss
            for sid, miss in self._missed.items()
            if look.shows(miss.room_sid, sid) is None
        }
        for one in known:
            if look.shows(one.room_sid, one.participant_sid) is not False:
                continue
            now_missed = _Miss(one.room_sid, look.at, seconds)
            first = self._missed.get(one.participant_sid, now_missed)
            missed[one.participant_sid] = first
            if seconds - first.seconds >= MISSED_SECONDS:
                yield inferences.left(one, first_missed_at=first.at)
        self._missed = missed

    def _inside(self, look: Look) -> Iterator[Finding | None]:
        """Those of whom no webhook told, and those who had better been seen."""
        people = {sid: one for room in look.people.values() for sid, one in room.items()}
        with db.reading(self._backend.engine) as conn:
            known = {one.participant_sid: one for one in open_visits.of_sids(conn, people)}
        for room_sid, inside in look.people.items():
            for sid, person in inside.items():
                one = known.get(sid)
                if one is None or (one.joined_at is None and not one.surely_over):
                    if person.get("state") == "ACTIVE":  # joined means: media is up
                        yield inferences.joined(look.rooms[room_sid], person, at=look.at)
                elif not one.surely_over and self._sight_matters(one, look.at):
                    yield inferences.seen(one, at=look.at)

    def _sight_matters(self, one: Standing, at: datetime) -> bool:
        return inferences.sight_matters(one, at=at, rules=self._backend.rules)

    def _store(self, found: Sequence[Finding], now: datetime) -> None:
        """Into the inbox, in the order of their ids, as two sweeps at a time would lock them."""
        found = sorted(found, key=lambda one: one.event.event_id)
        for start in range(0, len(found), A_TRANSACTION):
            some = found[start : start + A_TRANSACTION]
            with db.writing(self._backend.engine) as conn:
                webhook_event.insert_rows(conn, [_row(one, now) for one in some if not one.renews])
                webhook_event.renew_rows(conn, [_row(one, now) for one in some if one.renews])
        if found:
            self._tell()

    def _tell(self) -> None:
        """Ring; without Redis nobody else hears of it, so what was found is applied here."""
        try:
            bell.ring(self._backend.redis)
        except RedisError:
            draining.work_off(self._backend)


def _row(one: Finding, now: datetime) -> dict[str, Any]:
    return webhook_event.pending_row(one.event, one.payload, received_at=now)
