"""Sending what is due: each receiver's deliveries one batch after another, by the rows' own times.

A row is taken for a minute before it is sent. Whoever is killed between the receiver's answer and
its mark leaves a row that is due again then, and goes out under the same id: the receiver has it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog
from sqlalchemy import Connection

from models.storage import db, reasons
from models.tables import delivery, final_session
from models.tables.delivery import Delivery
from webhooks.outgoing import body, posting
from webhooks.outgoing.body import Final, NotFinal
from webhooks.outgoing.finding import READ_SECONDS, look_at
from webhooks.outgoing.posting import Message, Outcome
from worker.inbox import bell, own_job
from worker.jobs.draining import NOBODYS_FAULT
from worker.process import metrics, shutdown
from worker.process.backend import Backend, own_backend

DELAYS = (
    *(timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
"""After each attempt that failed, until the next one: the schedule that Standard Webhooks gives as
an example. Ten attempts in three days and four hours; then it failed."""

JITTER = 0.1
"""Each delay is up to so much longer: what failed together is not sent together again."""

HELD_FOR = timedelta(minutes=1)
"""How long a row is taken for: longer than an answer may take."""

NOT_FINAL_FOR = timedelta(minutes=5)
"""Until the next look at a session that is not final any more: somebody is inside again."""

FOR_OTHERS = timedelta(hours=1)
"""How long a delivery waits for an address that this process does not know: one that is new, while
processes are restarted one after another."""

AT_ONCE = 8
"""Requests to one receiver at a time."""

JOB_SECONDS = 20.0

log = structlog.get_logger()


def send_due() -> None:
    """RQ job: send what is due to each receiver, for JOB_SECONDS at most; ring for the rest."""
    backend = own_backend()
    try:
        more = send_all(backend)
    except NOBODYS_FAULT as error:
        log.warning("deliveries.unsent", reason=reasons.of(error))
        return
    if more:
        bell.enqueue(backend.redis, own_job.SEND)


def send_all(backend: Backend) -> bool:
    """Send what is due; whether some is left. One thread for each receiver: none waits for another,
    and the failure of one is not another's."""
    addresses = backend.settings.attendance_webhook_url
    if not addresses or not _is_due(backend, addresses):
        return False
    ends_at = monotonic() + JOB_SECONDS
    with ThreadPoolExecutor(len(addresses), thread_name_prefix="deliveries") as threads:
        return any(list(threads.map(lambda url: _send_to(backend, url, ends_at), addresses)))


def _is_due(backend: Backend, addresses: Sequence[str]) -> bool:
    """Whether anything is, once what is for other receivers was dropped: not at once, since another
    process may know them already."""
    now, receivers = datetime.now(UTC), [delivery.receiver_of(url) for url in addresses]
    with db.reading(backend.engine) as conn:
        if not delivery.is_due(conn, now=now):
            return False
    with db.writing(backend.engine) as conn:
        delivery.drop_others(conn, receivers, made_before=now - FOR_OTHERS, now=now)
    return True


def _send_to(backend: Backend, url: str, ends_at: float) -> bool:
    """Send what is due to this receiver; whether some is left.

    One that does not answer at all is left for the next job: others' deliveries may be due.
    """
    while not shutdown.requested.is_set() and monotonic() < ends_at:
        now = datetime.now(UTC)
        with db.writing(backend.engine) as conn:
            receiver = delivery.receiver_of(url)
            taken = delivery.claim(conn, receiver, now=now, until=now + HELD_FOR, limit=AT_ONCE)
        ready = [(each, made) for each in taken if (made := _message(backend, each)) is not None]
        outcomes = _post(backend, url, ready)
        if len(taken) < AT_ONCE or (outcomes and not any(each.answered for each in outcomes)):
            return False
    return True


def _message(backend: Backend, taken: Delivery) -> Message | None:
    """What to send; None when it can't be made, or must not be sent, which its row says then."""
    now = datetime.now(UTC)
    try:
        return _made(backend, taken, now)
    except NOBODYS_FAULT:
        raise
    except Exception as error:  # one that can't be made must stop no other
        log.exception("delivery.unmade", delivery=taken.delivery_id)
        why, again_at = type(error).__name__, _again_at(taken.attempts + 1, timedelta(0), now)
        with db.writing(backend.engine) as conn:
            delivery.mark_unsent(conn, taken.id, error=why, again_at=again_at, now=now)
    return None


def _made(backend: Backend, taken: Delivery, now: datetime) -> Message | None:
    """The message; None when its session says something else now, or nothing."""
    with db.snapshot(backend.engine, timeout=READ_SECONDS) as conn:
        known = final_session.find(conn, taken.session_id)
        seen = body.read(conn, taken.session_id, now=now, rules=backend.rules)
    if isinstance(seen, Final) and known is not None and known.version == taken.version:
        if seen.digest == known.digest:
            made = seen.body(known, path_prefix=backend.settings.path_prefix)
            return Message(taken.delivery_id, made)
        look_at(backend, taken.session_id, now=now)  # which drops this one for a newer version
    with db.writing(backend.engine) as conn:
        if seen is None:
            delivery.drop_session(conn, taken.session_id, why=delivery.NOT_THERE, now=now)
        elif isinstance(seen, NotFinal):
            delivery.postpone(conn, taken.id, until=now + NOT_FINAL_FOR)
    return None


def _post(backend: Backend, url: str, ready: Sequence[tuple[Delivery, Message]]) -> list[Outcome]:
    """Post these, and mark what became of each."""
    if not ready:
        return []
    secrets = backend.settings.attendance_webhook_secret
    outcomes = posting.post_all(url, [message for _, message in ready], secrets)
    with db.writing(backend.engine) as conn:
        for (sent, _), outcome in zip(ready, outcomes, strict=True):
            _mark(conn, sent, outcome)
    return outcomes


def _mark(conn: Connection, sent: Delivery, outcome: Outcome) -> None:
    now, number = datetime.now(UTC), sent.attempts + 1
    word = _word(outcome)
    metrics.delivery_attempts.labels(word).inc()
    told = {"delivery": sent.delivery_id, "url": sent.url, "attempt": number}
    log.info("delivery.attempted", outcome=word, error=outcome.error, **told)
    if outcome.error is None:
        delivery.mark_sent(conn, sent.id, now=now)
        return
    again_at = None if outcome.gone else _again_at(number, outcome.wait, now)
    delivery.mark_unsent(conn, sent.id, error=outcome.error, again_at=again_at, now=now)


def _again_at(attempts: int, wait: timedelta, now: datetime) -> datetime | None:
    """When it is tried again after so many attempts; None when that were all."""
    if attempts > len(DELAYS):
        return None
    delay = DELAYS[attempts - 1] * (1 + random.random() * JITTER)  # noqa: S311  (no secret)
    return now + max(delay, wait)


def _word(outcome: Outcome) -> str:
    if outcome.error is None:
        return "taken"
    return "refused" if outcome.answered else "unanswered"
