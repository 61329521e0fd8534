"""Events that wait: what is renewed waits anew, whoever has it at that moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from typing import Any

from sqlalchemy import Connection, select

from models.storage import db
from models.tables import pending_event, webhook_event
from models.tables.webhook_event import webhook_events
from tests.build import at, joined
from tests.doors import on_postgresql, wait_for
from worker.process.backend import Backend

SEEN = "seen-PA_1"


def row(minutes: int) -> dict[str, Any]:
    """The row of an event whose latest word is of so many minutes after two."""
    heard_at = at("14:00") + timedelta(minutes=minutes)
    event = joined("14:00")._replace(event_id=SEEN, created_at=heard_at)
    payload = {"event": event.event, "id": SEEN, "room": {"sid": event.room_sid}}
    return webhook_event.pending_row(event, payload, received_at=heard_at)


def renew(backend: Backend, *minutes: int) -> None:
    with db.writing(backend.engine) as conn:
        webhook_event.renew_rows(conn, [row(each) for each in minutes])


@contextmanager
def taking(backend: Backend) -> Iterator[tuple[Connection, int]]:
    """A drain that has taken what waits, and not committed; how many events it has."""
    with db.writing(backend.engine) as conn:
        taken = webhook_event.take(conn, 10)
        yield conn, len(taken[0]) if taken else 0


def kept(backend: Backend) -> list[Any]:
    with db.reading(backend.engine) as conn:
        return list(conn.execute(select(webhook_events.c.created_at)).scalars())


def waiting(backend: Backend) -> int:
    with db.reading(backend.engine) as conn:
        return pending_event.count(conn)


def test_the_latest_of_several_words_in_one_renewal_is_kept(backend: Backend) -> None:
    renew(backend, 2, 3, 1)
    assert kept(backend) == [at("14:03")]
    assert waiting(backend) == 1


def test_what_was_applied_waits_anew(backend: Backend) -> None:
    renew(backend, 1)
    with taking(backend) as (_, count):
        assert count == 1
    assert waiting(backend) == 0
    renew(backend, 2)
    assert waiting(backend) == 1
    renew(backend, 1)
    assert kept(backend) == [at("14:02")], "an older word renews nothing"


@on_postgresql
def test_what_is_renewed_while_a_drain_has_it_waits_anew(backend: Backend) -> None:
    renew(backend, 1)
    with taking(backend) as (_, count):
        assert count == 1
        with_another = Thread(target=renew, args=(backend, 2))
        with_another.start()
        wait_for(lambda: waits_for_another(backend))
    with_another.join(20)
    assert not with_another.is_alive()
    assert waiting(backend) == 1
    assert kept(backend) == [at("14:02")]


@on_postgresql
def test_a_drain_passes_over_what_is_being_renewed(backend: Backend) -> None:
    renew(backend, 1)
    with db.writing(backend.engine) as conn:
        webhook_event.renew_rows(conn, [row(2)])
        with taking(backend) as (_, count):
            assert count == 0
    with taking(backend) as (_, count):
        assert count == 1


def waits_for_another(backend: Backend) -> bool:
    """Whether a session of this database waits for a lock."""
    with db.reading(backend.engine) as conn:
        found = conn.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(found.scalar_one())
