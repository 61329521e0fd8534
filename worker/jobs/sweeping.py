"""The sweep: rings for mail that nobody rang for, or whose drain was lost."""

from __future__ import annotations

import structlog

from models.storage import db, reasons
from models.tables import pending_event, webhook_event
from worker.inbox import bell, spool
from worker.jobs.draining import NOBODYS_FAULT
from worker.process import metrics
from worker.process.backend import Backend, own_backend

log = structlog.get_logger()


def sweep() -> None:
    """RQ job: ring for mail that nobody rang for, or whose drain was lost."""
    backend = own_backend()
    if _anything_waits(backend) and bell.ring(backend.redis):
        metrics.sweeps_rang.inc()
        log.info("sweep.rang")


def _anything_waits(backend: Backend) -> bool:
    if spool.length(backend.redis):
        return True
    try:
        with db.reading(backend.engine) as conn:
            waits = pending_event.oldest(conn) is not None
            return waits or webhook_event.older_ones_wait(conn)
    except NOBODYS_FAULT as error:
        log.warning("sweep.blind", reason=reasons.of(error))
        return False
