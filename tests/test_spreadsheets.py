"""The roster as a spreadsheet, read back: times are times, numbers are numbers, texts are texts."""

from __future__ import annotations

import io
from datetime import time, timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from openpyxl.worksheet.worksheet import Worksheet

from models.domain.enums import DISCONNECT_REASONS, KINDS, ROOM_END_REASONS
from tests import hostile
from tests.build import DAY, Words, joined, left
from tests.doors import Rollcall, on_sqlite, told
from tests.test_exports import SCHEDULE, export, lines, with_class
from webhooks.api.exports import PERSONS, VISITS
from webhooks.api.reports import GRID_TABLE, PEOPLE_TABLE
from webhooks.door.problems import Problem
from webhooks.pages import pages
from webhooks.schemas.fields import ROSTER_LINE, SESSION, VISIT
from webhooks.sheets import words
from webhooks.sheets.form import XLSX, Form, Language
from webhooks.sheets.table import Column, Kind, Table
from webhooks.sheets.words import heading, values
from webhooks.sheets.xlsx_sheet import MAX_CELL_UNITS, XlsxSheet, sheet_name

LOCAL = DAY.replace(hour=0, minute=0, tzinfo=None)
"""A spreadsheet's time has no zone."""


@pytest.fixture
def lesson(rollcall: Rollcall) -> Rollcall:
    """A class with somebody who came twice, somebody who never came, and a guest."""
    return with_class(rollcall, guest="Zoë")


def sheet_of(rollcall: Rollcall, **query: str) -> Worksheet:
    answer = export(rollcall, **({"format": "xlsx"} | query))
    assert answer.status_code == 200, answer.text
    assert answer.content_type == XLSX
    assert answer.content_length == len(answer.data)
    return only_sheet(answer.data)


def only_sheet(data: bytes) -> Worksheet:
    book = openpyxl.load_workbook(io.BytesIO(data))
    (sheet,) = book.worksheets
    assert isinstance(sheet, Worksheet)
    return sheet


def cells(sheet: Worksheet) -> list[dict[str, Any]]:
    """The rows' cells by heading."""
    headings, *rows = sheet.iter_rows()
    return [
        {str(title.value): cell for title, cell in zip(headings, row, strict=True)} for row in rows
    ]


def written(kind: Kind, *values: Any, form: Form | None = None, **options: Any) -> bytes:
    table = Table("attendance", (Column("name", kind),))
    file = io.BytesIO()
    with XlsxSheet.opened(file, table, form or Form("xlsx"), **options) as sheet:
        for value in values:
            sheet.add([value])
    return file.getvalue()


@on_sqlite
def test_times_are_times_in_the_zone_that_the_heading_names(lesson: Rollcall) -> None:
    first, *_ = cells(sheet_of(lesson, cycles="1", tz="Asia/Riyadh"))
    joined_at = first["Joined (Asia/Riyadh)"]
    assert joined_at.is_date
    assert joined_at.value == LOCAL.replace(hour=17, minute=1)
    assert joined_at.number_format == "yyyy-mm-dd hh:mm:ss"
    assert first["Scheduled end (Asia/Riyadh)"].value.time() == time(18)


@on_sqlite
def test_without_a_zone_times_are_in_that_of_the_settings(lesson: Rollcall) -> None:
    first, *_ = cells(sheet_of(lesson))
    assert first["First joined (UTC)"].value == LOCAL.replace(hour=14, minute=1)


@on_sqlite
def test_every_value_says_what_the_json_says(lesson: Rollcall) -> None:
    people = told(lesson.roster("98"))["attendances"]
    rows = cells(sheet_of(lesson))
    assert [row["User ID"].value for row in rows] == ["5", "6", "7"]
    for row, person in zip(rows, people, strict=True):
        for column in ROSTER_LINE.columns:
            if column.kind is not Kind.INSTANT and column.name != "attendance_percentage":
                cell = row[heading(column.name, "en")]
                words = values("en").get(column.name, {})
                shown = words.get(person[column.name], person[column.name])
                assert meant(cell.value, column.kind) == shown, column


def meant(value: Any, kind: Kind) -> Any:
    """What JSON has for a cell's value."""
    if isinstance(value, time):
        value = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second)
    if kind is Kind.PERCENTAGE and value is not None:
        return pytest.approx(100 * value)
    return round(value.total_seconds()) if kind is Kind.DURATION and value is not None else value


@on_sqlite
def test_lengths_and_shares_can_be_calculated_with(lesson: Rollcall) -> None:
    last = cells(sheet_of(lesson))[-1]
    inside = last["Time inside"]
    assert (inside.number_format, meant(inside.value, Kind.DURATION)) == ("[h]:mm:ss", 50 * 60)
    share = last["Attendance"]
    assert (share.number_format, share.value) == ("0.0%", pytest.approx(50 / 60, abs=0.001))
    assert (last["Visits"].data_type, last["Visits"].value) == ("n", 1)
    assert last["Late"].value is False


def test_a_day_and_more_is_shown_in_hours() -> None:
    (_, cell) = next(only_sheet(written(Kind.DURATION, 90_000)).iter_cols())
    assert cell.value == timedelta(hours=25)
    assert cell.number_format == "[h]:mm:ss"


@on_sqlite
@pytest.mark.parametrize("lang", ["en", "ar"])
def test_the_headings_are_in_the_language_and_stay_in_sight(
    lesson: Rollcall,
    lang: Language,
) -> None:
    for cycles, columns in (("0", ROSTER_LINE.columns), ("1", VISIT.columns)):
        sheet = sheet_of(lesson, lang=lang, cycles=cycles)
        shown = [str(cell.value) for cell in sheet[1]]
        for column in (*columns, *SESSION.columns):
            ending = " (UTC)" if column.kind is Kind.INSTANT else ""
            assert heading(column.name, lang) + ending in shown
        assert len(set(shown)) == len(shown)
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == sheet.dimensions
        assert bool(sheet.sheet_view.rightToLeft) is (lang == "ar")
        assert sheet.title == heading("visits" if cycles == "1" else "attendance", lang)


@on_sqlite
@pytest.mark.parametrize(
    ("lang", "status", "of_visit"),
    [
        ("en", "Attended", ["Left the room", "Left the room", "LiveKit", "Person", "Registered"]),
        ("ar", "حضر", ["غادر الغرفة", "غادر الغرفة", "LiveKit", "شخص", "مسجّلة"]),
    ],
)
def test_people_read_the_words_of_the_page_and_programs_those_of_the_json(
    lesson: Rollcall, lang: Language, status: str, of_visit: list[str]
) -> None:
    state = pages.words(lang)["state"]
    people = told(lesson.roster("98"))["attendances"]
    shown = [row[heading("attendance_status", lang)] for row in cells(sheet_of(lesson, lang=lang))]
    assert [cell.value for cell in shown] == [state[each["attendance_status"]] for each in people]
    assert status in {cell.value for cell in shown}
    first, *_ = cells(sheet_of(lesson, lang=lang, cycles="1"))
    names = ("ended_by", "disconnect_reason", "source", "kind", "made_by")
    assert [first[heading(name, lang)].value for name in names] == of_visit
    in_csv = next(iter(lines(export(lesson, lang=lang, cycles="1"))))
    visit = next(each for person in people for each in person["cycles"]) | {"made_by": "registered"}
    assert [in_csv[name] for name in names] == [visit[name] for name in names]


OF_AGENTS = "AGENT_ERROR"
"""They are on no roster."""


def test_every_machine_word_has_a_word_in_every_language() -> None:
    literals = {
        column.name: {word for word in get_args(_plain(column.type)) if word is not None}
        for column in (*ROSTER_LINE.declared, *VISIT.declared, *SESSION.declared)
        if get_origin(_plain(column.type)) is Literal
    }
    literals |= {"kind": {"STANDARD", *KINDS.values()}}
    literals |= {"room_end_reason": set(ROOM_END_REASONS.values())}
    literals |= {"disconnect_reason": set(DISCONNECT_REASONS.values()) - {OF_AGENTS}}
    for language in ("en", "ar"):
        known = values(language)
        missing = {name: said - known.get(name, {}).keys() for name, said in literals.items()}
        assert not any(missing.values()), (language, missing)
        assert not known.keys() - literals.keys()


def _plain(declared: Any) -> Any:
    """The type without None."""
    parts = [part for part in get_args(declared) if part is not type(None)]
    return (
        parts[0] if isinstance(declared, UnionType) or get_origin(declared) is Union else declared
    )


@on_sqlite
def test_a_word_that_is_new_stays_as_it_is(lesson: Rollcall) -> None:
    words = Words(sid="PA_N", user="9", joined_at="14:10")
    lesson.deliver(joined("14:10", **words), left("14:20", **words | Words(reason="NEW_REASON")))
    rows = {row["User ID"].value: row for row in cells(sheet_of(lesson, cycles="1"))}
    assert rows["9"]["Disconnect reason"].value == "NEW_REASON"


def test_every_column_has_a_heading_in_every_language() -> None:
    columns = (*ROSTER_LINE.columns, *VISIT.columns, *SESSION.columns)
    names = {column.name for column in columns} | {"session_id", "as_of", "attendance", "visits"}
    assert names <= words.headings("en").keys()
    assert words.headings("en").keys() == words.headings("ar").keys()


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("table", [PERSONS, VISITS, PEOPLE_TABLE, GRID_TABLE])
def test_no_two_columns_of_a_table_have_one_heading(table: Table, language: Language) -> None:
    headings = [words.heading(each.heading or each.name, language) for each in table.columns]
    assert len(set(headings)) == len(headings)


@on_sqlite
def test_whatever_people_are_called_it_is_text(rollcall: Rollcall) -> None:
    names = dict(zip(map(str, range(100, 200)), hostile.NAMES, strict=False))
    people = [{"user_id": user, "name": name} for user, name in names.items()]
    people += [{"user_id": user, "name": user} for user in hostile.IDS]
    rollcall.put("98", **SCHEDULE, expected=people)
    rows = cells(sheet_of(rollcall))
    shown = {row["User ID"].value: row["Name"] for row in rows}
    assert shown.keys() == names.keys() | set(hostile.IDS)
    for user, cell in shown.items():
        assert cell.data_type in ("s", "inlineStr")
        assert cell.hyperlink is None
        assert unescape(cell.value) == names.get(user, user)
        assert cell.number_format == "@"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.text("<r>t/&_x04\r"))
def test_any_text_comes_back(value: str) -> None:
    (_, cell) = next(only_sheet(written(Kind.TEXT, value)).iter_cols())
    assert unescape(str(cell.value or "")) == value


def test_what_no_sheet_holds_goes_on_in_the_next() -> None:
    data = written(Kind.COUNT, *range(7), max_rows=4)
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert book.sheetnames == ["Attendance", "Attendance (2)", "Attendance (3)"]
    numbers = [
        row[0] for sheet in book.worksheets for row in sheet.iter_rows(min_row=2, values_only=True)
    ]
    assert numbers == list(range(7))
    assert all(sheet["A1"].value == "Name" for sheet in book.worksheets)


@pytest.mark.parametrize("text", ["a" * (MAX_CELL_UNITS + 1), "👩" * (MAX_CELL_UNITS // 2 + 1)])
def test_a_text_that_no_cell_holds_is_refused_and_not_cut(text: str) -> None:
    with pytest.raises(Problem, match="32767 characters"):
        written(Kind.TEXT, text)
    (_, cell) = next(only_sheet(written(Kind.TEXT, text[: MAX_CELL_UNITS // 2])).iter_cols())
    assert cell.value == text[: MAX_CELL_UNITS // 2]


@pytest.mark.parametrize(
    ("words", "number", "name"),
    [
        ("Attendance", 1, "Attendance"),
        ("Attendance", 12, "Attendance (12)"),
        ("a/b\\c:d*e?[f]", 1, "a_b_c_d_e__f_"),
        ("'quoted'", 1, "quoted"),
        ("History", 1, "History_"),
        ("ق" * 40, 2, "ق" * 27 + " (2)"),
        ("👩" * 40, 1, "👩" * 15),
        ("", 1, "_"),
    ],
)
def test_a_sheets_name_is_what_excel_takes(words: str, number: int, name: str) -> None:
    assert sheet_name(words, number) == name


def test_a_spreadsheet_that_cant_be_finished_is_no_spreadsheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves nothing behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(TypeError):
        written(Kind.COUNT, 1, 2, "not a number")
    assert list(tmp_path.iterdir()) == []
