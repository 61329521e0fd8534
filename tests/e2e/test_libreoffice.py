"""What LibreOffice makes of our files with its default options, in three countries.

It opens each file without a window and saves it as a workbook, which is then read. A person who
opens a CSV is shown a dialogue, which takes UTF-8 from the byte order mark. Without a window there
is none, so comma, quote and UTF-8 are said (CSV:44,34,76).
"""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.cell.cell import Cell
from openpyxl.worksheet.worksheet import Worksheet

from tests.build import DAY, joined, left
from tests.doors import Rollcall
from tests.hostile import IDS
from tests.test_exports import SCHEDULE, export

SECONDS = 180
LOCALE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
  <item oor:path="/org.openoffice.Setup/L10N">
    <prop oor:name="ooSetupSystemLocale" oor:op="fuse"><value>{locale}</value></prop>
  </item>
</oor:items>
"""
NAMES = {"007": "أحمد المصري", "1e5": "=1+1", "1-2": "a;b\tc|d", "1/2": 'Abu "Bakr"\nJr'}
BEGAN = DAY.replace(hour=17, minute=1, tzinfo=None)
"""In Riyadh."""

pytestmark = [
    pytest.mark.skipif(
        shutil.which("soffice") is None,
        reason="LibreOffice is missing. Debian has it: apt-get install libreoffice-calc",
    ),
    pytest.mark.parametrize("locale", ["en-US", "de-DE", "ar-SA"]),
]


@pytest.fixture
def lesson(rollcall: Rollcall) -> Rollcall:
    people = [{"user_id": user, "name": NAMES.get(user)} for user in IDS]
    rollcall.put("98", **SCHEDULE, title="Quran; week 3", expected=people)
    rollcall.deliver(
        joined("14:01", user="007", sid="PA_a"),
        left("14:20", user="007", sid="PA_a", joined_at="14:01"),
    )
    return rollcall


def opened(folder: Path, file: str, data: bytes, locale: str) -> Worksheet:
    """The sheet that LibreOffice shows."""
    (folder / file).write_bytes(data)
    profile = folder / "profile"
    (profile / "user").mkdir(parents=True)
    registry = profile / "user" / "registrymodifications.xcu"
    registry.write_text(LOCALE.format(locale=locale), encoding="utf-8")
    command = ["soffice", f"-env:UserInstallation={profile.as_uri()}", "--headless"]
    if file.endswith(".csv"):
        command += ["--infilter=CSV:44,34,76"]
    command += ["--convert-to", "xlsx", "--outdir", str(folder / "saved"), str(folder / file)]
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
    saved = folder / "saved" / Path(file).with_suffix(".xlsx").name
    (sheet,) = openpyxl.load_workbook(saved).worksheets
    assert isinstance(sheet, Worksheet)
    return sheet


def rows(sheet: Worksheet) -> list[dict[str, Any]]:
    headings, *lines = sheet.iter_rows()
    return [
        {str(title.value): cell for title, cell in zip(headings, line, strict=True)}
        for line in lines
    ]


def is_text(cell: Cell) -> bool:
    return cell.data_type == "s"


def is_number(cell: Cell) -> bool:
    return cell.data_type == "n"


def test_a_spreadsheet_keeps_what_each_value_is(
    lesson: Rollcall, tmp_path: Path, locale: str
) -> None:
    answer = export(lesson, format="xlsx", tz="Asia/Riyadh", lang="en")
    lines = rows(opened(tmp_path, "roster.xlsx", answer.data, locale))
    assert sorted(line["User ID"].value for line in lines) == sorted(IDS)
    assert all(is_text(line["User ID"]) for line in lines)
    by_id = {line["User ID"].value: line for line in lines}
    for user, name in NAMES.items():
        assert (by_id[user]["Name"].value, is_text(by_id[user]["Name"])) == (name, True)
    came = by_id["007"]
    assert came["First joined (Asia/Riyadh)"].value == BEGAN
    assert came["Time inside"].value == timedelta(minutes=19)
    assert is_number(came["Minutes inside"])
    assert came["Attendance"].value == pytest.approx(19 / 60, abs=0.001)
    assert came["Expected"].value in (True, "=TRUE()")  # as it saves what is true


def test_an_arabic_spreadsheet_runs_from_right_to_left(
    lesson: Rollcall, tmp_path: Path, locale: str
) -> None:
    answer = export(lesson, format="xlsx", lang="ar")
    sheet = opened(tmp_path, "roster.xlsx", answer.data, locale)
    assert sheet.sheet_view.rightToLeft
    assert sheet.title == "الحضور"


def test_a_csv_is_read_without_a_question(lesson: Rollcall, tmp_path: Path, locale: str) -> None:
    """Local times are times and whole numbers are numbers everywhere. docs/api.md says what is not:
    a share where numbers are written with a comma is text, and an id like a number is a number."""
    answer = export(lesson, tz="Asia/Riyadh")
    lines = rows(opened(tmp_path, "roster.csv", answer.data, locale))
    assert len(lines) == len(IDS)
    (came,) = (line for line in lines if line["first_joined_at"].value)
    assert came["name"].value == NAMES["007"]
    assert came["first_joined_at (Asia/Riyadh)"].value == BEGAN
    assert came["scheduled_at (Asia/Riyadh)"].is_date
    assert (came["duration_seconds"].value, is_number(came["duration_seconds"])) == (19 * 60, True)
    assert came["title"].value == "Quran; week 3"
    assert is_number(came["attendance_percentage"]) is (locale != "de-DE")
    assert came["user_id"].value == 7
    assert {line["expected"].value for line in lines} <= {"true", True}
    for line in lines:
        for cell in line.values():
            assert cell.data_type != "f"
