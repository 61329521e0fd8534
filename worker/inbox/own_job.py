"""A job as a worker takes it from Redis: one of ours, whatever is written there.

Whoever can write to Redis can have us drain, sweep, prune and send what is due, and nothing else.
RQ on its own would unpickle a job, import whatever function it names, call it with any arguments,
and do the same for its callbacks; it would also post to the addresses that a job names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import structlog
from rq.exceptions import NoSuchJobError
from rq.job import Job

DRAIN = "worker.jobs.drain"
SWEEP = "worker.jobs.sweep"
PRUNE = "worker.jobs.prune_some"
FIND = "webhooks.outgoing.find_final"
SEND = "webhooks.outgoing.send_due"
OUTGOING = frozenset({FIND, SEND})
"""Webhooks of our own. No code here imports them: a worker that is given their name does."""

OURS = frozenset({DRAIN, SWEEP, PRUNE}) | OUTGOING

FIELDS = frozenset(
    {
        *("data", "status", "origin", "worker_name", "timeout", "result_ttl", "failure_ttl"),
        *("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"),
    }
)
"""What is read of a job. No callbacks, no dependencies, no retries, no webhooks of its own."""

log = structlog.get_logger()


class OwnJob(Job):
    """RQ's job, which calls one of our functions, without arguments.

    One that names no function of ours is a ring: it drains. That also serves the jobs that version
    0.1 left in the queue: they are pickled, and are not read.
    """

    def restore(self, raw_data: Mapping[bytes, Any]) -> Any:
        try:
            super().restore({key: raw_data[key] for key in raw_data if key.decode() in FIELDS})
        except (ValueError, AssertionError) as error:  # such a job is passed over, like a lost one
            raise NoSuchJobError from error
        self.func_name, self.instance, self.args, self.kwargs = self._own_function(), None, (), {}

    def _own_function(self) -> str:
        try:
            name, *_ = json.loads(self.data)
        except (ValueError, TypeError):
            name = None
        if isinstance(name, str) and name in OURS:
            return name
        log.warning("job.unknown", reason="it names no job of ours, and drains instead")
        return DRAIN
