"""The reconciler: it asks LiveKit's API for what no webhook brought.

It runs beside the scheduler, never on a request's path and never in a worker's: LiveKit may be
slow. Its inferences are events of the ledger like any other, of a lower rank than webhooks, so that
a webhook that comes later corrects them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog
from redis.exceptions import RedisError

from models.ledger.incoming import Incoming
from models.settings.settings import Settings
from models.storage import db
from models.storage.bulk import chunks
from models.tables import open_visits, webhook_event
from models.tables.open_visits import Standing
from worker.inbox import bell
from worker.jobs import draining
from worker.process import periodic
from worker.process.backend import Backend
from worker.reconcile import inferences, livekit_api
from worker.reconcile.livekit_api import Look, Unanswered

MISSED_SECONDS = 30.0
"""Between the two looks that must both miss somebody: one may fall into a hiccup of LiveKit's."""

EVERY_SECONDS = 33.0
"""From one look to the next: the second one to miss somebody closes the visit."""

MOST_ROOMS, MOST_VISITS = 1_000, 20_000
"""What is compared at a time; the next time goes on where it stopped."""

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
        lambda backend: Reconciler(backend).reconcile,
        every=EVERY_SECONDS,
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
    """That somebody was missed once is remembered here alone. When this is lost, with its process,
    a visit closes later; it never closes wrongly.
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

    def reconcile(self) -> int:
        """Compare the open visits with LiveKit's word; how many inferences were stored.

        Raises Unanswered, and what the database raises: then nothing is inferred.
        """
        began = self._clock()
        known, until = self._open_visits()
        look = livekit_api.look(
            self._backend.settings, after=self._after, until=until, most=self._most_rooms
        )
        inferred = [*self._gone(known, look, began), *self._inside(look)]
        self._store([inference for inference in inferred if inference is not None], look.at)
        self._after = look.until or ""
        ms = round((self._clock() - began) * 1000, 1)
        log.info("reconcile.done", rooms=len(look.people), inferred=len(inferred), ms=ms)
        return len(inferred)

    def _open_visits(self) -> tuple[list[Standing], str | None]:
        """Read before the look, so that whoever joins meanwhile is not missed in it."""
        since = datetime.now(UTC) - self._backend.rules.max_cycle
        with db.reading(self._backend.engine) as conn:
            return open_visits.open_visits(conn, since=since, after=self._after, limit=MOST_VISITS)

    def _gone(
        self, known: Iterable[Standing], look: Look, seconds: float
    ) -> Iterator[Incoming | None]:
        """The visits that two looks missed, long enough apart."""
        missed = {
            sid: miss
            for sid, miss in self._missed.items()
            if look.shows(miss.room_sid, sid) is None
        }
        for visit in known:
            sid = visit.participant_sid
            if look.shows(visit.room_sid, sid) is not False:
                continue
            now_missed = _Miss(visit.room_sid, look.at, seconds)
            first = missed[sid] = self._missed.get(sid, now_missed)
            if seconds - first.seconds >= MISSED_SECONDS:
                yield inferences.left(visit, first_missed_at=first.at)
        self._missed = missed

    def _inside(self, look: Look) -> Iterator[Incoming | None]:
        """Those whose join no webhook brought, and those who should be noted as seen."""
        sids = [sid for inside in look.people.values() for sid in inside]
        with db.reading(self._backend.engine) as conn:
            known = {visit.participant_sid: visit for visit in open_visits.of_sids(conn, sids)}
        rules = self._backend.rules
        for room_sid, inside in look.people.items():
            if look.lists_a_ghost(room_sid):
                continue
            for sid, person in inside.items():
                visit = known.get(sid)
                if visit is None or (visit.joined_at is None and not visit.surely_over):
                    if person.get("state") == "ACTIVE":  # joined means: media is up
                        yield inferences.joined(look.rooms[room_sid], person, at=look.at)
                elif inferences.sight_matters(visit, at=look.at, rules=rules):
                    yield inferences.seen(visit, at=look.at)

    def _store(self, inferred: Sequence[Incoming], now: datetime) -> None:
        """Into the inbox, in the order of their ids, as two reconcilers would lock them."""
        for chunk in chunks(sorted(inferred, key=_event_id), A_TRANSACTION):
            new = [inference.row(now) for inference in chunk if not inferences.renews(inference)]
            renewed = [inference.row(now) for inference in chunk if inferences.renews(inference)]
            with db.writing(self._backend.engine) as conn:
                webhook_event.insert_rows(conn, new)
                webhook_event.renew_rows(conn, renewed)
        if inferred:
            self._ring()

    def _ring(self) -> None:
        """Without Redis no worker hears the bell, so what was stored is applied here."""
        try:
            bell.ring(self._backend.redis)
        except RedisError:
            draining.work_off(self._backend)


def _event_id(inference: Incoming) -> str:
    return inference.event.event_id
