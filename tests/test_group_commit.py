"""The group commit: requests share a transaction, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from models.tables import webhook_event
from tests.build import joined
from tests.doors import Rollcall, counting, pausing, together, wait_for
from worker.inbox.group_commit import Entry, GroupCommit

Row = dict[str, Any]
INSERT = "INSERT INTO webhook_events"


@pytest.fixture
def commit(rollcall: Rollcall) -> GroupCommit:
    return GroupCommit(rollcall.backend.engine)


def test_those_who_come_while_one_stores_share_the_next_transaction(
    commit: GroupCommit, rollcall: Rollcall
) -> None:
    with counting(rollcall.backend.engine) as statements:
        first, *rest = put_behind(commit, rollcall, row("a"), [row("b"), row("c"), row("d")])
    assert len([one for one in statements if INSERT in one]) == 2
    assert stored(rollcall) == {"a", "b", "c", "d"}
    assert first.rings, "the first stored alone"
    assert [one.rings for one in rest].count(True) == 1, "one rings for all of a transaction"


def test_of_those_who_share_a_transaction_each_hears_whether_its_own_event_was_new(
    commit: GroupCommit, rollcall: Rollcall
) -> None:
    first, again, other = put_behind(commit, rollcall, row("a"), [row("a"), row("b")])
    assert (first.fresh, again.fresh, other.fresh) == (True, False, True)
    assert stored(rollcall) == {"a", "b"}


def test_a_row_that_the_database_refuses_fails_nobody_elses(
    commit: GroupCommit, rollcall: Rollcall
) -> None:
    bad = row("bad") | {"received_at": None}
    with pytest.raises(IntegrityError):
        put_behind(commit, rollcall, row("a"), [row("b"), bad, row("c")])
    assert stored(rollcall) == {"a", "b", "c"}


def test_a_group_commit_is_free_again_after_a_failure(
    commit: GroupCommit, rollcall: Rollcall
) -> None:
    with pytest.raises(IntegrityError):
        commit.put(row("bad") | {"received_at": None})
    assert commit.put(row("a")).fresh
    assert stored(rollcall) == {"a"}


def test_many_threads_lose_nothing(commit: GroupCommit, rollcall: Rollcall) -> None:
    def put(thread: int) -> list[bool]:
        return [commit.put(row(f"{thread}-{number}")).fresh for number in range(25)]

    fresh = together(*(partial(put, thread) for thread in range(8)))
    assert all(all(some) for some in fresh)
    assert len(rollcall.ledger()) == 200


def put_behind(
    commit: GroupCommit, rollcall: Rollcall, first: Row, rest: Sequence[Row]
) -> list[Entry]:
    """Put the first, and while it is being stored all the others; their letters, in that order.

    Raises the error of the first that has one.
    """
    with (
        ThreadPoolExecutor(len(rest) + 1) as pool,
        pausing(rollcall.backend.engine, after=INSERT) as pause,
    ):
        ahead = pool.submit(commit.put, first)
        pause.wait()
        behind = [pool.submit(commit.put, one) for one in rest]
        wait_for(lambda: commit.waiting == len(rest))
        pause.over()
        return [one.result(20) for one in (ahead, *behind)]


def row(event_id: str) -> Row:
    made = webhook_event.pending_row(joined(), {}, received_at=datetime.now(UTC))
    return made | {"event_id": event_id}


def stored(rollcall: Rollcall) -> set[str]:
    return {one["event_id"] for one in rollcall.ledger()}
