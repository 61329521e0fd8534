"""Sending what is due: each receiver's deliveries one batch after another, by the rows' own times.

A row is taken for a minute before its message is made, and for another one before that is sent.
Whoever is killed between the receiver's answer and its mark leaves a row that is due again then,
and goes out under the same id: the receiver has it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog
from sqlalchemy import Connection

from models.settings import urls
from models.storage import db, reasons
from models.tables import delivery, final_session
from models.tables.delivery import Delivery
from models.tables.final_session import FinalSession
from webhooks.outgoing import body, posting
from webhooks.outgoing.body import NotFinal
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

AT_ONCE = 8
"""Requests to one receiver at a time."""

JOB_SECONDS = 20.0

Ready = tuple[Delivery, Message]

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
        bell.enqueue_once(backend.redis, own_job.SEND)


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
    """Whether anything is, once what is for other receivers was handed over or dropped: not dropped
    at once, since another process may know them already."""
    now, receivers = datetime.now(UTC), [delivery.receiver_of(url) for url in addresses]
    with db.reading(backend.engine) as conn:
        if not delivery.is_due(conn, now=now):
            return False
    with db.writing(backend.engine) as conn:
        for url in _unambiguous(addresses):
            delivery.hand_over(conn, url, known=receivers, now=now)
        delivery.drop_others(conn, receivers, now=now)
    return True


def _unambiguous(addresses: Sequence[str]) -> Iterator[str]:
    """Those that no other differs from by user, password or query alone."""
    shown = Counter(map(urls.receiver_address, addresses))
    return (url for url in addresses if shown[urls.receiver_address(url)] == 1)


def _send_to(backend: Backend, url: str, ends_at: float) -> bool:
    """Send what is due to this receiver; whether some is left.

    One that takes nothing of a batch is left for a later job.
    """
    receiver = delivery.receiver_of(url)
    while not shutdown.requested.is_set() and monotonic() < ends_at:
        now = datetime.now(UTC)
        with db.writing(backend.engine) as conn:
            taken = delivery.claim(conn, receiver, now=now, until=now + HELD_FOR, limit=AT_ONCE)
        outcomes = _post(backend, url, _ready(backend, taken, ends_at))
        if len(taken) < AT_ONCE or (outcomes and all(each.error for each in outcomes)):
            return False
    return True


def _ready(backend: Backend, taken: Sequence[Delivery], ends_at: float) -> list[Ready]:
    """These with their messages, but for those that can't be made or must not be sent. When the
    time is over, the rest is due again at once."""
    ready: list[Ready] = []
    for at, each in enumerate(taken):
        if monotonic() > ends_at:
            _postpone(backend, taken[at:], until=datetime.now(UTC))
            break
        if (message := _message(backend, each)) is not None:
            ready.append((each, message))
    return ready


def _message(backend: Backend, taken: Delivery) -> Message | None:
    """What to send; None when it can't be made, or must not be sent, which its row says then."""
    now = datetime.now(UTC)
    try:
        return _made(backend, taken, now)
    except Exception as error:  # one that can't be made, or not in time, must stop no other
        again_at = _again_at(taken.attempts, timedelta(0), now)
        why = f"can't be made: {body.why(error)}"
        with db.writing(backend.engine) as conn:  # which fails as well when the database is away
            delivery.mark_unsent(conn, taken.id, error=why, again_at=again_at, now=now)
        log.exception("delivery.unmade", delivery=taken.delivery_id, reason=body.why(error))
    return None


def _made(backend: Backend, taken: Delivery, now: datetime) -> Message | None:
    """The message; None when its version is not the newest any more, or its session says something
    else now, or nothing."""
    with db.snapshot(backend.engine, timeout=READ_SECONDS) as conn:
        known = final_session.find(conn, taken.session_id)
        seen = body.read(conn, taken.session_id, now=now, rules=backend.rules, seconds=READ_SECONDS)
    if known is None or known.version != taken.version:
        _drop(backend, taken, known, why=delivery.NEWER)
    elif seen is None:
        _drop(backend, taken, known, why=delivery.NOT_THERE)
    elif isinstance(seen, NotFinal):
        _postpone(backend, [taken], until=now + NOT_FINAL_FOR)
    elif seen.digest == known.digest:
        made = seen.body(known, path_prefix=backend.settings.path_prefix)
        return Message(taken.delivery_id, made)
    else:
        look_at(backend, taken.session_id, now=now)  # which drops this one for a newer version
    return None


def _drop(backend: Backend, taken: Delivery, known: FinalSession | None, *, why: str) -> None:
    """Unless its session was looked at meanwhile: then it may be sent after all, in a minute."""
    with db.writing(backend.engine) as conn:
        if final_session.find(conn, taken.session_id, lock=True) == known:
            delivery.drop(conn, taken.id, why=why, now=datetime.now(UTC))


def _postpone(backend: Backend, some: Sequence[Delivery], *, until: datetime) -> None:
    with db.writing(backend.engine) as conn:
        for each in some:
            delivery.postpone(conn, each.id, until=until)


def _post(backend: Backend, url: str, ready: Sequence[Ready]) -> list[Outcome]:
    """Post these, but for those that are not ours any more, and mark what became of each."""
    if not ready:
        return []
    now = datetime.now(UTC)
    with db.writing(backend.engine) as conn:
        ours = delivery.hold(conn, [each for each, _ in ready], until=now + HELD_FOR)
    posted = [(each, message) for each, message in ready if each.id in ours]
    if not posted:
        return []
    secrets = backend.settings.attendance_webhook_secret
    outcomes = posting.post_all(url, [message for _, message in posted], secrets)
    with db.writing(backend.engine) as conn:
        for (sent, _), outcome in zip(posted, outcomes, strict=True):
            _mark(conn, sent, outcome)
    _give_time(backend, delivery.receiver_of(url), outcomes)
    return outcomes


def _mark(conn: Connection, sent: Delivery, outcome: Outcome) -> None:
    now, word = datetime.now(UTC), _word(outcome)
    metrics.delivery_attempts.labels(word).inc()
    about = {"delivery": sent.delivery_id, "url": sent.url, "attempt": sent.attempts}
    log.info("delivery.attempted", outcome=word, error=outcome.error, **about)
    if outcome.error is None:
        delivery.mark_sent(conn, sent.id, now=now)
        return
    again_at = None if outcome.gone else _again_at(sent.attempts, outcome.wait, now)
    delivery.mark_unsent(conn, sent.id, error=outcome.error, again_at=again_at, now=now)


def _give_time(backend: Backend, receiver: str, outcomes: Sequence[Outcome]) -> None:
    """A receiver that asked for time has it for all that waits for it, and not for one delivery."""
    longest = max(outcomes, key=lambda each: each.wait)
    if longest.wait:
        until = datetime.now(UTC) + longest.wait
        why = f"it asked for time: {longest.error}"
        with db.writing(backend.engine) as conn:
            delivery.put_off(conn, receiver, until=until, why=why)


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
