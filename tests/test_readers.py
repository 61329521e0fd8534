"""What pandas, polars and DuckDB make of the CSV with their default options, whatever people are
called: no row is shifted, times are times, numbers are numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import polars as pl
import pytest

from tests import hostile
from webhooks.sheets import sheet
from webhooks.sheets.form import SEPARATORS, Form, Separator
from webhooks.sheets.table import Column, Kind, Table

JOINED = datetime(2026, 11, 23, 14, 10, 42, 118000, tzinfo=UTC)
LEFT = datetime(2026, 11, 23, 14, 16, 3, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Riyadh")
LOCAL = "joined_at (Asia/Riyadh)"

TABLE = Table(
    "visits",
    (
        Column("user_id", Kind.TEXT),
        Column("name", Kind.TEXT),
        Column("joined_at", Kind.INSTANT),
        Column("left_at", Kind.INSTANT),
        Column("duration_seconds", Kind.DURATION),
        Column("attendance_percentage", Kind.PERCENTAGE),
        Column("is_late", Kind.FLAG),
    ),
)

IDS = [f"user-{number}" for number in range(len(hostile.NAMES))]
OPEN = [number % 3 == 0 for number in range(len(IDS))]
"""Whose visit is open: then there is no end."""

each_separator = pytest.mark.parametrize("separator", sorted(SEPARATORS))


@dataclass(frozen=True)
class File:
    """A file of people with hostile names."""

    path: Path
    separator: str


@pytest.fixture
def file(tmp_path: Path, separator: Separator) -> File:
    path = tmp_path / "visits.csv"
    with path.open("wb") as opened:
        form = Form("csv", ZONE, separator)
        with sheet.opened(opened, TABLE, form) as lines:
            for user, name, is_open in zip(IDS, hostile.NAMES, OPEN, strict=True):
                left = None if is_open else LEFT
                lines.add([user, name, JOINED, left, 745, 20.7, None if is_open else True])
    return File(path, SEPARATORS[separator])


def unmarked(name: str) -> str:
    """A name without the apostrophes that keep it from being a formula, which no name here has."""
    return name.replace("'", "")


NAMES = [unmarked(name) for name in hostile.NAMES]


@each_separator
def test_pandas_shifts_nobody(file: File) -> None:
    read = pd.read_csv(file.path, sep=file.separator, keep_default_na=False)
    assert read["user_id"].tolist() == IDS
    assert [unmarked(name) for name in read["name"]] == NAMES


@each_separator
def test_pandas_reads_times_and_numbers(file: File) -> None:
    read = pd.read_csv(file.path, sep=file.separator)
    assert pd.to_datetime(read["joined_at"]).tolist() == [JOINED] * len(IDS)
    assert pd.to_datetime(read[LOCAL]).dt.tz_localize(ZONE).tolist() == [JOINED] * len(IDS)
    assert pd.to_datetime(read["left_at"]).isna().tolist() == OPEN
    assert read["duration_seconds"].sum() == 745 * len(IDS)
    assert read["attendance_percentage"].mean() == pytest.approx(20.7)
    assert read["is_late"].isna().tolist() == OPEN


@each_separator
def test_polars_shifts_nobody(file: File) -> None:
    read = pl.read_csv(file.path, separator=file.separator)
    assert read["user_id"].to_list() == IDS
    assert [unmarked(name) for name in read["name"]] == NAMES


@each_separator
def test_polars_reads_times_and_numbers(file: File) -> None:
    read = pl.read_csv(file.path, separator=file.separator, try_parse_dates=True)
    assert read["joined_at"].to_list() == [JOINED] * len(IDS)
    assert read[LOCAL].dt.replace_time_zone("Asia/Riyadh").to_list() == [JOINED] * len(IDS)
    assert read["left_at"].is_null().to_list() == OPEN
    assert read["duration_seconds"].sum() == 745 * len(IDS)
    assert read["attendance_percentage"].mean() == pytest.approx(20.7)
    assert read["is_late"].is_null().to_list() == OPEN


@each_separator
def test_duckdb_finds_the_separator_and_shifts_nobody(file: File) -> None:
    read = duckdb.read_csv(str(file.path)).fetchall()
    assert [row[0] for row in read] == IDS
    assert [unmarked(row[1]) for row in read] == NAMES


@each_separator
def test_duckdb_reads_times_and_numbers(file: File) -> None:
    read = duckdb.read_csv(str(file.path))
    types = dict(zip(read.columns, map(str, read.types), strict=True))
    assert types == {
        "user_id": "VARCHAR",
        "name": "VARCHAR",
        "joined_at": "TIMESTAMP WITH TIME ZONE",
        LOCAL: "TIMESTAMP",
        "left_at": "TIMESTAMP WITH TIME ZONE",
        "left_at (Asia/Riyadh)": "TIMESTAMP",
        "duration_seconds": "BIGINT",
        "attendance_percentage": "DOUBLE",
        "is_late": "BOOLEAN",
    }
    local = JOINED.astimezone(ZONE).replace(tzinfo=None)
    assert [row[0] for row in read.project(f'"{LOCAL}"').fetchall()] == [local] * len(IDS)


def test_ids_of_digits_are_numbers_to_who_does_not_say_that_they_are_text(tmp_path: Path) -> None:
    """As docs/api.md says, with the option that keeps them."""
    path = tmp_path / "ids.csv"
    with path.open("wb") as opened, sheet.opened(opened, TABLE, Form("csv")) as lines:
        for user in ("007", "12"):
            lines.add([user, None, JOINED, None, 1, 1.0, None])
    assert pd.read_csv(path)["user_id"].tolist() == [7, 12]
    assert pd.read_csv(path, dtype={"user_id": str})["user_id"].tolist() == ["007", "12"]
    assert pl.read_csv(path)["user_id"].to_list() == [7, 12]
    read = pl.read_csv(path, schema_overrides={"user_id": pl.String})
    assert read["user_id"].to_list() == ["007", "12"]
    assert [row[0] for row in duckdb.read_csv(str(path)).fetchall()] == ["007", "12"]
    typed = duckdb.read_csv(str(path), dtype={"user_id": "VARCHAR"}).fetchall()
    assert [row[0] for row in typed] == ["007", "12"]
