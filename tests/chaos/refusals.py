"""Refusals: a webhook is answered 503 only while neither the database nor Redis can keep it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import orjson

from tests.chaos.storm import Fault

REFUSED = "spool.down"
"""What the web process logs for each webhook that neither took."""

NOTICED = timedelta(seconds=2)
"""After a repair: the breaker's next probe, half a second later, on a machine that is busy."""


def needless(log: str, faults: Sequence[Fault]) -> Iterator[str]:
    """The refusals at moments at which one of the two was well. A web process that was stopped in
    its tracks takes both for dead when it goes on: their answers came too late."""
    for line in log.splitlines():
        if f'"{REFUSED}"' not in line:
            continue
        said = orjson.loads(line)
        at = datetime.fromisoformat(said["timestamp"])
        current = [one for one in faults if one.began_at <= at <= one.repaired_at + NOTICED]
        broken = {one.part for one in current}
        was_hung = any((one.part, one.what) == ("web", "hang") for one in current)
        if not was_hung and not broken >= {"postgres", "valkey"}:
            yield f"a webhook was refused at {at} though only {sorted(broken)} failed: {said}"
