"""What the storm holds against a web process: a 503 to a webhook that one of the two could keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.chaos.refusals import needless
from tests.chaos.storm import Fault, What

BEGAN = datetime(2026, 11, 23, 14, tzinfo=UTC)


def fault(part: str, what: What = "kill", *, seconds: float = 5) -> Fault:
    return Fault(part, what, BEGAN, BEGAN + timedelta(seconds=seconds))


def refused(*, seconds: float) -> str:
    """The web process's log with one refusal, so long after the faults began."""
    at = BEGAN + timedelta(seconds=seconds)
    lines = [{"message": "process.started"}, {"message": "spool.down", "timestamp": at.isoformat()}]
    return "\n".join(orjson.dumps(line).decode() for line in lines)


BOTH = (fault("postgres"), fault("valkey"))


@pytest.mark.parametrize(
    "faults", [(), BOTH[:1], BOTH[1:], (fault("worker-1"), BOTH[0]), (fault("web"),)]
)
def test_while_one_of_the_two_is_well_a_refusal_is_a_mistake(faults: tuple[Fault, ...]) -> None:
    assert len(list(needless(refused(seconds=3), faults))) == 1


def test_while_neither_is_well_a_refusal_is_right_and_soon_after_it_is_not() -> None:
    assert list(needless(refused(seconds=3), BOTH)) == []
    assert list(needless(refused(seconds=6), BOTH)) == []
    assert len(list(needless(refused(seconds=8), BOTH))) == 1
    assert len(list(needless(refused(seconds=8), (fault("postgres", seconds=9), BOTH[1])))) == 1


def test_a_web_process_that_was_stopped_in_its_tracks_may_take_both_for_dead() -> None:
    assert list(needless(refused(seconds=3), (fault("web", "hang"),))) == []
