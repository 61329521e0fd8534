"""The reconciler: it asks LiveKit's API for what no webhook brought.

It runs beside the scheduler, never on a request's path and never in a worker's: LiveKit may be
slow. Its inferences are events of the ledger like any other, of a lower rank than webhooks, so that
a webhook that comes later corrects them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic

import structlog
from redis.exceptions import RedisError

from models.domain import visit
from models.domain.facts import Cycle
from models.ledger.incoming import Incoming
from models.lookup import open_visits
from models.lookup.open_visits import Standing
from models.settings.settings import Settings
from models.storage import db
from models.storage.bulk import chunks
from models.tables import webhook_event
from worker.inbox import bell
from worker.jobs import draining
from worker.process import periodic
from worker.process.backend import Backend
from worker.reconcile import inferences, livekit_api
from worker.reconcile.livekit_api import Look, Unanswered
from worker.reconcile.misses import Misses

EVERY_SECONDS = 33.0
"""From one look to the next: the second one to miss somebody closes the visit."""

MOST_ROOMS, MOST_VISITS, MOST_BY_HAND = 1_000, 20_000, 5_000
"""What is compared at a time; the next time goes on where it stopped."""

A_TRANSACTION = 500

log = structlog.get_logger()


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Reconcile for as long as the context lasts; it needs a LIVEKIT_URL."""
    with periodic.going(
        "reconcile",
        settings,
        lambda backend: Reconciler(backend).reconcile,
        every=EVERY_SECONDS,
        expected=(Unanswered, *draining.NOBODYS_FAULT),
    ):
        yield


class Reconciler:
    """Each time it is asked, it goes on where it stopped, and knows who was missed before."""

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Callable[[], float] = monotonic,
        most_rooms: int = MOST_ROOMS,
    ) -> None:
        self._backend, self._clock, self._most_rooms = backend, clock, most_rooms
        self._missed, self._missed_by_hand = Misses(), Misses()
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
        inferred = [
            *self._gone(known, look, began),
            *self._gone_by_hand(look, began),
            *self._inside(look),
        ]
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
        missing = {
            each.participant_sid: each
            for each in known
            if look.shows(each.room_sid, each.participant_sid) is False
        }
        twice = self._missed.twice(
            ((sid, each.room_sid) for sid, each in missing.items()),
            is_unknown=look.is_unknown,
            at=look.at,
            seconds=seconds,
        )
        for sid, first_missed_at in twice:
            yield inferences.left(missing[sid], first_missed_at=first_missed_at)

    def _gone_by_hand(self, look: Look, seconds: float) -> Iterator[Incoming]:
        """The manual joins to rooms that two looks showed without the person.

        Somebody who only just joined by hand is still connecting. Where LiveKit reported the visit
        that a manual join is about, that visit says how it ended.
        """
        rooms = {look.rooms[sid]["name"]: sid for sid in look.people}
        missing = {
            f"{manual.cycle_id} {manual.client_joined_at}": manual  # joined again: missed anew
            for manual in self._unconfirmed(look, rooms)
            if manual.user_id not in look.identities(rooms[manual.room_name or ""])
        }
        twice = self._missed_by_hand.twice(
            ((key, rooms[manual.room_name or ""]) for key, manual in missing.items()),
            is_unknown=look.is_unknown,
            at=look.at,
            seconds=seconds,
        )
        for key, first_missed_at in twice:
            yield inferences.left_by_hand(missing[key], first_missed_at=first_missed_at)

    def _unconfirmed(self, look: Look, names: Iterable[str]) -> Iterator[Cycle]:
        """The open manual joins to rooms of these names of which LiveKit reported no visit."""
        since = look.at - self._backend.rules.max_cycle
        with db.reading(self._backend.engine) as conn:
            joins = open_visits.open_by_hand(
                conn, names, since=since, until=look.at - visit.NEAR, limit=MOST_BY_HAND
            )
            known = open_visits.of_the_same_people(conn, joins, since=since - visit.NEAR)
        for manual in joins:
            own = known[manual.user_id, manual.room_name or ""]
            if manual.joined_at and visit.stands_for(manual, manual.joined_at, own) is None:
                yield manual

    def _inside(self, look: Look) -> Iterator[Incoming | None]:
        """Those whose join no webhook brought, and those who should be noted as seen."""
        sids = [sid for inside in look.people.values() for sid in inside]
        with db.reading(self._backend.engine) as conn:
            known = {each.participant_sid: each for each in open_visits.of_sids(conn, sids)}
        rules = self._backend.rules
        for room_sid, inside in look.people.items():
            if look.lists_a_ghost(room_sid):
                continue
            for sid, person in inside.items():
                standing = known.get(sid)
                if standing is None or (standing.joined_at is None and not standing.surely_over):
                    if person.get("state") == "ACTIVE":  # joined means: media is up
                        yield inferences.joined(look.rooms[room_sid], person, at=look.at)
                elif inferences.sight_matters(standing, at=look.at, rules=rules):
                    yield inferences.seen(standing, at=look.at)

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
