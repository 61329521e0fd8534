"""Many rows in one statement, whatever their number: inserted where missing, or upserted.

On PostgreSQL they travel as one JSON parameter, so the statement is always the same: compiled and
prepared once. (A webhook's row costs 35 us of Python that way, 100 us as 14 parameters, in groups
of four to eight.) SQLite takes them one by one, in C.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Select, Table, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB

from models.storage.db import among_bound, is_sqlite
from models.storage.questions import Given, Question, Rows, answers

T = TypeVar("T")
Row = dict[str, Any]
Insert = postgresql.Insert | sqlite.Insert


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """All items in lists of up to `size`, for a statement or a transaction each."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def missing(conn: Connection, *wanted: tuple[Column[Any], Iterable[str]]) -> list[list[str]]:
    """For each column, those of its values, in their order, that no row has yet; only
    `insert_missing` can be sure. By one statement of PostgreSQL.

    A row that is there need not be made, sent and refused: 10 us of Python, 10 of PostgreSQL.
    """
    on_sqlite = is_sqlite(conn)
    return answers(conn, *(_absent(key, list(values), on_sqlite) for key, values in wanted))


def _absent(
    key: Column[Any], wanted: list[str], on_sqlite: bool
) -> Question[list[str]] | Given[list[str]]:
    def absent(rows: Rows) -> list[str]:
        there = {value for (value,) in rows.arrays}
        return [value for value in wanted if value not in there]

    if not wanted:
        return Given([])
    return Question(_there(key, on_sqlite), {"keys": wanted}, absent)


def insert_missing(
    conn: Connection,
    table: Table,
    rows: Sequence[Row],
    *,
    key: str,
    noted: Table | None = None,
) -> set[str]:
    """Insert the rows whose `key` (a unique column) is not there yet, in the order given; the keys
    of those that were inserted.

    Each of those gets a row in `noted` too, whose columns are some of the table's: on PostgreSQL in
    the same statement. Transactions that all insert in the order of the keys never wait for each
    other in a circle.
    """
    if not rows:
        return set()
    on_sqlite = is_sqlite(conn)
    statement = _missing(table, tuple(rows[0]), on_sqlite, key, noted)
    inserted = conn.execute(statement, _parameters(conn, rows)).all()
    if on_sqlite and noted is not None and inserted:
        names = [column.name for column in noted.c]
        notes = [{name: getattr(row, name) for name in names} for row in inserted]
        conn.execute(sqlite.insert(noted), notes)
    return {getattr(row, key) for row in inserted}


def upsert(
    conn: Connection, table: Table, rows: Sequence[Row], *, keep: Sequence[str] = ()
) -> None:
    """Insert the rows, or overwrite the columns of those whose primary key is there.

    Columns in `keep` stay as they were first inserted.
    """
    if rows:
        statement = _upsert(table, tuple(rows[0]), is_sqlite(conn), tuple(keep))
        conn.execute(statement, _parameters(conn, rows))


@cache
def _there(key: Column[Any], on_sqlite: bool) -> Select[Any]:
    return select(key).where(among_bound(key, "keys", on_sqlite=on_sqlite))


@cache
def _missing(
    table: Table, names: tuple[str, ...], on_sqlite: bool, key: str, noted: Table | None
) -> Any:
    statement = _insert(table, names, on_sqlite).on_conflict_do_nothing(index_elements=[key])
    if noted is None:
        return statement.returning(table.c[key])
    columns = [table.c[column.name] for column in noted.c]
    returning = statement.returning(table.c[key], *columns)
    if on_sqlite:
        return returning
    inserted = returning.cte("inserted")
    notes = select(*(inserted.c[column.name] for column in columns))
    into = postgresql.insert(noted).from_select([column.name for column in columns], notes)
    return select(inserted.c[key]).add_cte(into.cte("noted"))


@cache
def _upsert(table: Table, names: tuple[str, ...], on_sqlite: bool, keep: tuple[str, ...]) -> Insert:
    statement = _insert(table, names, on_sqlite)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in names if name not in {*keys, *keep}}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _insert(table: Table, names: tuple[str, ...], on_sqlite: bool) -> Insert:
    if on_sqlite:
        return sqlite.insert(table)
    columns = [column(name, table.c[name].type) for name in names]
    records = func.jsonb_to_recordset(bindparam("rows", type_=JSONB)).table_valued(*columns)
    rows = records.render_derived(with_types=True)
    return postgresql.insert(table).from_select(names, select(*(rows.c[name] for name in names)))


def _parameters(conn: Connection, rows: Sequence[Row]) -> Any:
    return list(rows) if is_sqlite(conn) else {"rows": list(rows)}
