"""A process that lives for weeks: what one request leaves behind, thousands leave too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.build import joined
from tests.doors import Rollcall, ago, bearer, drain, on_postgresql, ops_token, session_url, token
from tests.faults import until

DESCRIPTORS = Path("/proc/self/fd")
WARM, MORE = 15, 120
"""Rounds: until everything was made once, and then more than any pool has room for."""

FEW = 10
"""What may be made once more, such as another connection in a pool."""


def rounds(rollcall: Rollcall, numbers: range) -> None:
    """Each in a thread of its own: the web server ends threads that have nothing to do, and starts
    others."""
    for number in numbers:
        in_a_thread(partial(one_round, rollcall.another(), number))


def in_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def one_round(rollcall: Rollcall, number: int) -> None:
    """A webhook, a status, the same from the cache, a roster, and a caller who is refused."""
    user = f"pupil-{number}"
    assert rollcall.send(joined(ago(10), sid=f"PA_{number}", user=user)) == [204]
    own, everybody = bearer(token(user)), bearer(ops_token())
    status = session_url("quran-98", "attendance-status")
    roster = session_url("quran-98", "attendance")
    for path, headers, answer in (
        (status, own, 200),
        (status, own, 200),
        (roster, everybody, 200),
        (roster, {}, 401),
    ):
        assert rollcall.client.get(path, headers=headers).status_code == answer


def held(rollcall: Rollcall) -> dict[str, int]:
    """What the process holds of the system's."""
    return {
        "descriptors": len(list(DESCRIPTORS.iterdir())),
        "threads": threading.active_count(),
        "connections to Redis": len(rollcall.backend.redis.client_list()),
    }


def held_at_rest(rollcall: Rollcall) -> dict[str, int]:
    """The same, once no timer is left that waits to write several things at once."""
    until(lambda: not any(isinstance(each, threading.Timer) for each in threading.enumerate()))
    return held(rollcall)


@on_postgresql
@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="the system has no /proc")
def test_requests_in_threads_that_come_and_go_leave_nothing_behind(rollcall: Rollcall) -> None:
    rollcall.send(joined(ago(10)))
    drain(rollcall.backend)
    rounds(rollcall, range(WARM))
    before = held_at_rest(rollcall)
    rounds(rollcall, range(WARM, WARM + MORE))
    after = held_at_rest(rollcall)
    assert {what: count for what, count in after.items() if count > before[what] + FEW} == {}
