"""Several selects in one round trip: the answers are those that each would get alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import bindparam, select

from models.domain.facts import Person, Session
from models.storage import db
from models.storage.questions import Given, Question, Rows, answer, answers
from models.tables import session
from models.tables.session import sessions
from tests.doors import counting, on_postgresql
from worker.process.backend import Backend

AT = datetime(2026, 3, 1, 9, 0, 0, 120_000, tzinfo=UTC)

FIRST = Session(
    id="جلسة ٩٨",
    room_name="room \u202e /?#% {}\\ \" '",
    made_by="registered",
    scheduled_at=AT,
    minimum_percentage=75.0,
    expected=(Person("pupil-1", "Zoë"), Person("pupil-2")),
    labels=("a", "b"),
)
SECOND = Session(id="99", room_name="quran-99", made_by="registered")

BY_ID = select(sessions).where(sessions.c.id == bindparam("session_id"))
SINCE = select(sessions.c.id, sessions.c.scheduled_at).where(
    sessions.c.scheduled_at >= bindparam("since", type_=sessions.c.scheduled_at.type)
)


@pytest.fixture
def two_sessions(backend: Backend) -> Backend:
    with db.writing(backend.engine) as conn:
        for each in (FIRST, SECOND):
            session.store(conn, each, now=AT)
    return backend


def all_sessions(rows: Rows) -> list[Session]:
    return [session.read(row) for row in rows]


def of_id(session_id: str) -> Question[list[Session]]:
    return Question(BY_ID, {"session_id": session_id}, all_sessions)


def starts_since(moment: datetime) -> Question[list[datetime]]:
    return Question(SINCE, {"since": moment}, lambda rows: [row["scheduled_at"] for row in rows])


def test_every_value_is_what_it_is_alone(two_sessions: Backend) -> None:
    with db.reading(two_sessions.engine) as conn:
        alone = answer(conn, of_id(FIRST.id))
        [first, second] = answers(conn, of_id(FIRST.id), of_id(SECOND.id))
    assert first == alone == [FIRST]
    assert second == [SECOND]
    assert isinstance(first[0].minimum_percentage, float), "JSON has no point in 75"


def test_questions_with_the_same_names_have_values_of_their_own(two_sessions: Backend) -> None:
    moments = (AT, AT + timedelta(microseconds=1), AT - timedelta(days=1))
    with db.reading(two_sessions.engine) as conn:
        assert answers(conn, *map(starts_since, moments)) == [[AT], [], [AT]]


@on_postgresql
def test_what_is_given_is_not_asked_for(two_sessions: Backend) -> None:
    with counting(two_sessions.engine) as statements, db.reading(two_sessions.engine) as conn:
        assert answers(conn, Given({}), of_id("nobody's"), Given([1])) == [{}, [], [1]]
    assert len(statements) == 1


@on_postgresql
def test_they_are_one_statement_of_postgresql(two_sessions: Backend) -> None:
    with counting(two_sessions.engine) as statements, db.reading(two_sessions.engine) as conn:
        answers(conn, of_id(FIRST.id), starts_since(AT), of_id(SECOND.id))
    assert len(statements) == 1


def test_rows_without_instants_are_as_they_came() -> None:
    rows = Rows(["a", "b"], [(1, "2026-03-01"), (2, None)])
    assert list(rows) == [{"a": 1, "b": "2026-03-01"}, {"a": 2, "b": None}]
