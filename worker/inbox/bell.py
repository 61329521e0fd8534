"""The bell: "there is mail". It carries nothing, so a lost ring loses no event.

Whoever stores an event rings after its commit; the first ring enqueues a drain. The drain removes
the bell *before* it looks into the inbox, so that an event stored later rings anew.
"""

from __future__ import annotations

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from worker.inbox import own_job

BELL = "rollcall:bell"
BELL_LIFE_MS = 5_000
"""How long one ring stands for all: should its drain be lost, the next ring is heard after this."""

QUEUE = "rollcall"
FINDING = "rollcall-finding"
"""Of jobs that look for sessions that became final."""

DELIVERIES = "rollcall-deliveries"
"""Of jobs that wait for receivers of our webhooks: they have a worker of their own, which also does
those of FINDING, by turns. So neither waits for a backlog of the other."""

QUEUES = {own_job.FIND: FINDING, own_job.SEND: DELIVERIES}
"""Of the jobs that do not go through QUEUE."""

DRAIN_TIMEOUT_SECONDS = 60
FAILURE_LIFE_SECONDS = 24 * 3600


def ring(redis: Redis) -> bool:
    """Have the inbox drained; False when the bell was ringing already. Raises RedisError."""
    # Not `redis.set`: it looks at each of its arguments by name, which costs as much again.
    command = ("SET", BELL, b"1", "NX", "PX", BELL_LIFE_MS)
    if not redis.execute_command(*command):  # type: ignore[no-untyped-call]  # redis-py's
        return False
    enqueue(redis, own_job.DRAIN)
    return True


def answer(redis: Redis) -> None:
    """Silence the bell: what is stored from now on rings again. Raises RedisError."""
    redis.delete(BELL)


def enqueue(redis: Redis, job: str) -> None:
    """Have a job of ours (`own_job`) run, whose result nobody asks for. Raises RedisError."""
    queue(redis, queue_of(job)).enqueue(
        job,
        job_timeout=DRAIN_TIMEOUT_SECONDS,
        result_ttl=0,
        failure_ttl=FAILURE_LIFE_SECONDS,
    )


def queue_of(job: str) -> str:
    """The queue that a job of ours goes through."""
    return QUEUES.get(job, QUEUE)


def enqueue_once(redis: Redis, job: str) -> None:
    """The same, of a job with a queue of its own, unless it waits there already: it looks at the
    database when it begins, and so at all that was stored until then. Raises RedisError."""
    if not queue(redis, QUEUES[job]).count:
        enqueue(redis, job)


def queue(redis: Redis, name: str = QUEUE) -> Queue:
    """The queue that drains and sweeps go through, or another one of ours. Jobs are JSON: nothing
    is ever unpickled."""
    return Queue(name, connection=redis, serializer=JSONSerializer)
