"""Several selects in one round trip to PostgreSQL, which makes one JSON array of each one's rows.

A statement and its round trip cost more than what most of them have to find, and as long as the
network takes where the database is on another machine. SQLite has no network: there each select is
executed by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import (
    JSON,
    BindParameter,
    CompoundSelect,
    Connection,
    ScalarSelect,
    Select,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.sql.visitors import replacement_traverse

from models.storage.db import Instant, is_sqlite

T = TypeVar("T")

Statement = Select[Any] | CompoundSelect[Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a select. `arrays` are their values in the order of `names`; those at the places
    `instants` are still text, as JSON has them."""

    names: Sequence[str]
    arrays: Sequence[Sequence[Any]]
    instants: Sequence[int] = ()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows by the names of their columns."""
        for values in self.arrays:
            row = dict(zip(self.names, values, strict=True))
            for place in self.instants:
                if values[place] is not None:
                    row[self.names[place]] = datetime.fromisoformat(values[place])
            yield row


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """A select, the values of its bound parameters, and what its rows mean.

    The statement is one that is built once and kept (`functools.cache`): to build one costs more
    than to execute it.
    """

    statement: Statement
    values: Mapping[str, Any]
    read: Callable[[Rows], T]


@dataclass(frozen=True, slots=True)
class Given(Generic[T]):
    """An answer that need not be asked for."""

    answer: T


def answer(conn: Connection, question: Question[T]) -> T:
    """The answer to one question."""
    result = conn.execute(question.statement, question.values)
    return question.read(Rows(list(result.keys()), result.all()))


def answers(conn: Connection, *questions: Question[Any] | Given[Any]) -> list[Any]:
    """The answers to these questions, in their order; on PostgreSQL of one moment."""
    wanted = [each for each in questions if isinstance(each, Question)]
    asked = iter(_asked(conn, wanted) if wanted else ())
    return [each.answer if isinstance(each, Given) else next(asked) for each in questions]


def _asked(conn: Connection, questions: Sequence[Question[Any]]) -> list[Any]:
    if is_sqlite(conn) or len(questions) == 1:
        return [answer(conn, each) for each in questions]
    values = {
        _numbered(number, name): value
        for number, each in enumerate(questions)
        for name, value in each.values.items()
    }
    arrays = conn.execute(_together(tuple(each.statement for each in questions)), values).one()
    return [
        each.read(_rows(each.statement, rows)) for each, rows in zip(questions, arrays, strict=True)
    ]


def _rows(statement: Statement, arrays: list[list[Any]]) -> Rows:
    names, instants = _columns(statement)
    return Rows(names, arrays, instants)


@cache
def _columns(statement: Statement) -> tuple[Sequence[str], Sequence[int]]:
    """The names of the columns, and the places of those that are instants."""
    columns = list(statement.selected_columns)
    instants = [place for place, each in enumerate(columns) if isinstance(each.type, Instant)]
    return [str(each.key) for each in columns], instants


@cache
def _together(statements: tuple[Statement, ...]) -> Select[Any]:
    return select(*(_as_json(number, each) for number, each in enumerate(statements)))


def _as_json(number: int, statement: Statement) -> ScalarSelect[Any]:
    """One value: the array of the statement's rows, each an array of its values."""
    rows = _renamed(number, statement).subquery()
    every = func.json_agg(func.json_build_array(*rows.c))
    return select(func.coalesce(every, literal_column("'[]'::json"), type_=JSON)).scalar_subquery()


def _renamed(number: int, statement: Statement) -> Statement:
    """The statement with names of its own for its values: another one may have the same names."""

    def renamed(element: Any, **_: Any) -> Any:
        if isinstance(element, BindParameter) and element.required:
            return bindparam(_numbered(number, element.key), type_=element.type)
        return None

    return cast("Statement", replacement_traverse(statement, {}, renamed))


def _numbered(number: int, name: str) -> str:
    return f"{name}_{number}"
