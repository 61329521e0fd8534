"""The roster as a file to take away: what a spreadsheet makes of it, and what it costs to write."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from zipfile import ZipFile

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from psycopg import ServerCursor
from sqlalchemy import Connection, bindparam, event, text
from werkzeug.http import parse_options_header
from werkzeug.test import TestResponse

from models.domain.facts import Session
from models.storage import db
from models.storage.engine import make_engine
from models.tables import session
from tests.build import DAY, at, joined, left
from tests.doors import (
    Rollcall,
    bearer,
    on_sqlite,
    ops_token,
    problem,
    session_url,
    token,
    told,
)
from tests.memory import peak_mib
from webhooks.api import exports
from webhooks.schemas import fields
from webhooks.sheets import sheet
from webhooks.sheets.form import SEPARATORS, XLSX, Form, Format, Separator, file_name
from webhooks.sheets.table import Column, Kind, Table
from worker.process.backend import REQUEST

SCHEDULE = {"scheduled_at": f"{DAY.date()}T14:00:00Z", "room_name": "quran-98"}
PEOPLE = [{"user_id": "5", "name": "أحمد"}, {"user_id": "6", "name": "سارة"}]


def export(rollcall: Rollcall, name: str = "98", **query: str) -> TestResponse:
    url = session_url(name, "attendance", **({"format": "csv"} | query))
    return fetch(rollcall, url, bearer(ops_token()))


def fetch(rollcall: Rollcall, url: str, headers: dict[str, str]) -> TestResponse:
    """Read to its end and closed, as a server does it."""
    return rollcall.client.get(url, headers=headers, buffered=True)


def lines(answer: TestResponse) -> list[dict[str, str]]:
    """The file's lines by column, read as RFC 4180 has it."""
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))


def as_text(value: Any, column: Column) -> str:
    """As the CSV has what the JSON says."""
    if value is None:
        return ""
    if column.kind is Kind.INSTANT:
        return value if "." in value else f"{value[:-1]}.000Z"
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_class(rollcall: Rollcall, *, guest: str) -> Rollcall:
    """A class to which 5 came twice, 6 never, and a guest of this name once."""
    rollcall.put("98", **SCHEDULE, minimum_percentage=50, expected=PEOPLE)
    rollcall.deliver(
        joined("14:01", user="5", sid="PA_b"),
        left("14:20", user="5", sid="PA_b", joined_at="14:01"),
        joined("14:00", user="7", sid="PA_a", name=guest),
        left("14:50", user="7", sid="PA_a", joined_at="14:00"),
        joined("14:25:00.250", user="5", sid="PA_c"),
        left("14:58", user="5", sid="PA_c", joined_at="14:25:00.250"),
    )
    return rollcall


@pytest.fixture
def a_class(rollcall: Rollcall) -> Rollcall:
    """A class with somebody who came twice, a guest, and somebody who never came."""
    return with_class(rollcall, guest='Abu "Bakr", Jr')


# --- what is in it --------------------------------------------------------------------------------


def test_a_line_a_person_says_what_the_json_says(a_class: Rollcall) -> None:
    people = told(a_class.roster("98"))["attendances"]
    found = lines(export(a_class))
    assert [line["user_id"] for line in found] == ["5", "6", "7"]
    for line, person in zip(found, people, strict=True):
        assert line["session_id"] == "98"
        for column in fields.ROSTER_LINE.columns:
            shown = as_text(person[column.name], column)
            assert line[column.name] == shown, column


def test_a_line_a_visit_keeps_each_persons_visits_together(a_class: Rollcall) -> None:
    people = told(a_class.roster("98"))["attendances"]
    visits = [(person, visit) for person in people for visit in person["cycles"]]
    found = lines(export(a_class, cycles="1"))
    assert [line["participant_sid"] for line in found] == ["PA_b", "PA_c", "PA_a"]
    for line, (person, visit) in zip(found, visits, strict=True):
        assert (line["user_id"], line["name"]) == (person["user_id"], person["name"])
        for column in fields.VISIT.columns:
            shown = as_text(visit[column.name], column)
            assert line[column.name] == shown, column


def test_who_was_expected_and_never_came_has_a_line_but_no_visit(a_class: Rollcall) -> None:
    absent = next(line for line in lines(export(a_class)) if line["user_id"] == "6")
    assert (absent["name"], absent["attendance_status"]) == ("سارة", "absent")
    assert "6" not in {line["user_id"] for line in lines(export(a_class, cycles="1"))}


def test_the_bytes_are_what_spreadsheets_need(a_class: Rollcall) -> None:
    """UTF-8 with a byte order mark, CRLF after every line, quotes only where they are needed."""
    data = export(a_class).data
    assert data.startswith("\ufeffsession_id,user_id,name,attendance_status,".encode())
    assert data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r\n") == 4
    assert b'Abu ""Bakr"", Jr"' in data


def test_a_session_that_nobody_knows_yet_is_a_header_only(rollcall: Rollcall) -> None:
    teacher = token("t", "quran-98", roomAdmin=True)
    url = session_url("quran-98", "attendance", format="csv")
    assert lines(fetch(rollcall, url, bearer(teacher))) == []
    assert export(rollcall, "nobody").status_code == 404


@on_sqlite
def test_a_line_says_which_session_it_is_of(rollcall: Rollcall) -> None:
    rollcall.put("98", **SCHEDULE, title="Quran; week 3", expected=PEOPLE)
    for cycles in ("", "1"):
        rollcall.deliver(joined("14:01", user="5", sid="PA_b"))
        for line in lines(export(rollcall, cycles=cycles or "0")):
            assert (line["title"], line["room_name"]) == ("Quran; week 3", "quran-98")
            assert line["scheduled_at"] == f"{DAY.date()}T14:00:00.000Z"
            assert line["ends_at"] == f"{DAY.date()}T15:00:00.000Z"


@on_sqlite
def test_all_times_of_a_file_are_equally_long(a_class: Rollcall) -> None:
    """Programs take the form of a column from its first lines."""
    times = [
        value
        for cycles in ("0", "1")
        for line in lines(export(a_class, cycles=cycles))
        for column, value in line.items()
        if column.endswith(("_at", "as_of")) and value
    ]
    assert {len(value) for value in times} == {len("2026-11-23T14:10:42.118Z")}


@on_sqlite
def test_a_time_zone_adds_what_its_clocks_show_and_takes_nothing(a_class: Rollcall) -> None:
    (line, *_) = lines(export(a_class, cycles="1", tz="Asia/Riyadh"))
    assert line["joined_at"] == f"{DAY.date()}T14:01:00.000Z"
    assert line["joined_at (Asia/Riyadh)"] == f"{DAY.date()}T17:01:00.000"
    assert line["ends_at (Asia/Riyadh)"] == f"{DAY.date()}T18:00:00.000"


@on_sqlite
@pytest.mark.parametrize("separator", sorted(SEPARATORS))
def test_the_separator_is_chosen(a_class: Rollcall, separator: Separator) -> None:
    answer = export(a_class, sep=separator)
    text = io.StringIO(answer.data.decode("utf-8-sig"), newline="")
    read = list(csv.DictReader(text, delimiter=SEPARATORS[separator]))
    assert [line["name"] for line in read] == ["أحمد", "سارة", 'Abu "Bakr", Jr']


def test_the_documentations_example_has_these_columns() -> None:
    docs = Path(__file__).parents[1] / "docs" / "api.md"
    (heading,) = re.findall(r"^```csv\n(.*)$", docs.read_text("utf-8"), re.MULTILINE)
    assert heading.split(",") == [column.name for column in exports.PERSONS.columns]


@on_sqlite
def test_an_open_visit_has_its_cells_too(rollcall: Rollcall) -> None:
    """A missing time is two empty cells where a time zone adds one."""
    rollcall.put("98", **SCHEDULE)
    rollcall.deliver(joined("14:01", user="5", sid="PA_b", name="Ada"))
    data = export(rollcall, tz="Asia/Riyadh").data.decode("utf-8-sig")
    heading, line = csv.reader(io.StringIO(data, newline=""))
    assert len(heading) == len(line)
    assert line[heading.index("title") :][:3] == ["", "", SCHEDULE["room_name"]]
    assert line[heading.index("expected")] == "false"


# --- how it is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", None, "application/json"),
        ("", "*/*", "application/json"),
        ("", "text/csv", "text/csv"),
        ("", "text/csv; charset=utf-8", "text/csv"),
        ("", "text/csv, application/json;q=0.5", "text/csv"),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("", XLSX, XLSX),
        ("?format=xlsx", "text/csv", XLSX),
        ("?format=csv", "application/json", "text/csv"),
        ("?format=json", "text/csv", "application/json"),
    ],
)
@on_sqlite
def test_the_query_decides_else_what_the_reader_accepts(
    a_class: Rollcall, query: str, accept: str | None, kind: str
) -> None:
    headers = bearer(ops_token()) | ({"Accept": accept} if accept else {})
    answer = fetch(a_class, f"/api/sessions/98/attendance{query}", headers)
    assert answer.mimetype == kind
    assert "Accept" in answer.headers["Vary"]
    assert answer.headers["Cache-Control"] == "private, no-store"


@on_sqlite
def test_another_form_is_refused_by_name(a_class: Rollcall) -> None:
    url = session_url("98", "attendance", format="ods")
    assert problem(a_class.client.get(url, headers=bearer(ops_token()))) == (400, "invalid")


@on_sqlite
@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ({"sep": ","}, "'comma', 'semicolon', 'tab' or 'pipe'"),
        ({"lang": "fr"}, "'en' or 'ar'"),
        ({"tz": "Mars/Olympus"}, "such as Asia/Riyadh"),
        ({"tz": "../../etc/passwd"}, "such as Asia/Riyadh"),
        ({"tz": "America"}, "such as Asia/Riyadh"),
        ({"tz": ""}, "such as Asia/Riyadh"),
        ({"tz": "a\0b"}, "such as Asia/Riyadh"),
        ({"tz": "ق" * 5000}, "such as Asia/Riyadh"),
    ],
)
def test_what_no_file_can_have_is_refused_with_what_it_can(
    a_class: Rollcall, query: dict[str, str], allowed: str
) -> None:
    answer = export(a_class, **query)
    assert problem(answer) == (400, "invalid")
    assert allowed in json.loads(answer.data)["detail"]


@on_sqlite
def test_a_student_may_not_take_it_away(a_class: Rollcall) -> None:
    url = session_url("98", "attendance", format="csv")
    assert problem(a_class.client.get(url, headers=bearer(token("5")))) == (403, "forbidden")


@on_sqlite
def test_a_part_of_it_is_not_to_be_had(a_class: Rollcall) -> None:
    """Each file is of its own moment: parts of two do not fit."""
    url = session_url("98", "attendance", format="csv")
    answer = fetch(a_class, url, bearer(ops_token()) | {"Range": "bytes=0-9"})
    assert answer.status_code == 200
    assert answer.content_length == len(answer.data) > 10


# --- what a spreadsheet might do with it ----------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+966500000000", "'+966500000000"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        (" =1", "' =1"),
        ("\u200f=1", "'\u200f=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("'=1", "''=1"),
        ("a;=1", "a;'=1"),  # a spreadsheet that separates by semicolons opens it too
        ('a;"=1', "a;'\"=1"),
        ("a\n=1", "a\n'=1"),
        ("a=1", "a=1"),
        ("'Abd al-Rahman", "'Abd al-Rahman"),
        ("Smith, -J", "Smith, -J"),
        ("أحمد", "أحمد"),
        ("", ""),
    ],
)
def test_a_cell_is_never_a_formula(value: str, shown: str) -> None:
    assert read_csv([value], "comma") == ["98", shown]


def csv_line(values: list[str], separator: Separator) -> str:
    """The line that a file has of these texts, after an id."""
    table = Table("t", tuple(Column(f"c{number}", Kind.TEXT) for number in range(len(values) + 1)))
    file = io.BytesIO()
    with sheet.opened(file, table, Form("csv", separator=separator)) as opened:
        opened.add(["98", *values])
    return file.getvalue().decode("utf-8-sig").partition("\r\n")[2]


def read_csv(values: list[str], separator: Separator) -> list[str]:
    line = csv_line(values, separator)
    (read,) = csv.reader(io.StringIO(line, newline=""), delimiter=SEPARATORS[separator])
    return read


TEXTS = st.text("=+-@ \t\r\n,;|'\"aب\uff1d\u200f")


@given(st.lists(TEXTS, min_size=1, max_size=4), st.sampled_from(sorted(SEPARATORS)))
def test_however_it_is_separated_no_cell_begins_a_formula(
    values: list[str], separator: Separator
) -> None:
    line = csv_line(values, separator)
    for guessed in ",;\t|":
        for read in csv.reader(io.StringIO(line, newline=""), delimiter=guessed):
            for cell in read:
                assert not re.match(r"[\s\u200f]*[=+\-@\uff1d]", cell), (guessed, cell)


@given(st.lists(TEXTS, min_size=1, max_size=4), st.sampled_from(sorted(SEPARATORS)))
def test_one_apostrophe_taken_away_gives_the_text_back(
    values: list[str], separator: Separator
) -> None:
    others = re.escape("".join({*",;|\t"} - {SEPARATORS[separator]}))
    mark = rf"(?:\A|(?<=[{others}\t\r\n]))'(?=[\s\"'\u200f]*[=+\-@\t\r\n\uff1d])"
    assert [re.sub(mark, "", cell) for cell in read_csv(values, separator)] == ["98", *values]


@pytest.mark.parametrize("separator", sorted(SEPARATORS))
@pytest.mark.parametrize("value", ["a,b", "a;b", "a\tb", "a|b", 'a"b', "a\nb"])
def test_a_text_with_any_separator_is_quoted(value: str, separator: Separator) -> None:
    """Else a program that guesses the separator could guess that one."""
    doubled = value.replace('"', '""')
    assert csv_line([value], separator) == f'98{SEPARATORS[separator]}"{doubled}"\r\n'


def test_a_name_with_a_formula_comes_out_as_text(rollcall: Rollcall) -> None:
    rollcall.deliver(joined("14:00", user='=HYPERLINK("x")', name="+cmd|' /C calc'!A0"))
    (line,) = lines(export(rollcall, f"quran-98@{DAY.date()}"))
    assert line["user_id"] == '\'=HYPERLINK("x")'
    assert line["name"] == "'+cmd|' /C calc'!A0"


# --- the file's name ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("98", "attendance-98.csv"),
        ("quran-98@2026-11-23", "attendance-quran-98@2026-11-23.csv"),
        ("حلقة القرآن", "attendance-حلقة القرآن.csv"),
        ("a/b\\c:d", "attendance-a_b_c_d.csv"),
        ("../../etc/passwd", "attendance-_.._etc_passwd.csv"),
        ('x"; filename="evil.exe', "attendance-x__ filename=_evil.exe.csv"),
        ("a\r\nSet-Cookie: x", "attendance-a__Set-Cookie_ x.csv"),
        ("gpj.\u202eexe", "attendance-gpj._exe.csv"),
    ],
)
def test_the_files_name_is_safe(name: str, file: str) -> None:
    assert file_name("attendance", name, Form("csv")) == file


@on_sqlite
def test_the_files_name_is_told_in_unicode_and_in_ascii(rollcall: Rollcall) -> None:
    rollcall.put("حلقة ٩٨")
    header = export(rollcall, "حلقة ٩٨", cycles="1").headers["Content-Disposition"]
    assert parse_options_header(header) == ("attachment", {"filename": "visits-حلقة ٩٨.csv"})
    assert 'filename="visits- .csv"' in header


def test_a_long_name_still_fits_a_file_system() -> None:
    name = file_name("visits", "ق" * 128, Form("xlsx"))
    assert len(name.encode()) < 255
    assert name.startswith("visits-ققق")


# --- what it costs --------------------------------------------------------------------------------


@on_sqlite
def test_a_report_that_cant_be_finished_is_no_report(app: Flask, a_class: Rollcall) -> None:
    """It would seem complete if it were sent while it is read."""
    with db.writing(a_class.backend.engine) as conn:
        conn.execute(text("UPDATE cycles SET left_at = 'nonsense' WHERE user_id = '7'"))
    unchecked = FlaskClient(app, app.response_class)
    url = session_url("98", "attendance", format="csv")
    assert problem(unchecked.get(url, headers=bearer(ops_token()))) == (500, "internal-error")


def test_only_an_export_may_wait_long_for_the_database(postgres_url: str) -> None:
    engine = make_engine(postgres_url, timeout=REQUEST.database)
    with db.snapshot(engine, timeout=exports.TIMEOUT_SECONDS) as conn:
        assert _timeout(conn) == exports.TIMEOUT_SECONDS
        sent = _connection(conn)
    with db.reading(engine) as conn:
        assert _connection(conn) is sent
        assert _timeout(conn) == REQUEST.database
    engine.dispose()


def _timeout(conn: Connection) -> float:
    timeout: float = _connection(conn).timeout
    return timeout


def _connection(conn: Connection) -> Any:
    return conn.connection.driver_connection


@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
def test_memory_does_not_grow_with_the_people(
    rollcall: Rollcall, file_format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept as objects, the rows of 1,500 more people would take 1.2 MiB."""
    monkeypatch.setattr("models.lookup.reach.ROWS_AT_ONCE", 100)
    everything_on_disk(monkeypatch)
    few, many = 500, 2_000
    _fill(rollcall, "small", people=few)
    _fill(rollcall, "large", people=many)
    _export(rollcall, "large", many, file_format)
    small_mib = peak_mib(lambda: _export(rollcall, "small", few, file_format))
    large_mib = peak_mib(lambda: _export(rollcall, "large", many, file_format))
    assert large_mib - small_mib < 0.6, (small_mib, large_mib)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_rows_of_a_file_stay_in_postgresql_until_they_are_written(rollcall: Rollcall) -> None:
    """Python does not count what libpq holds: there, all the rows would be in memory at once."""
    of_everybody = list[bool]()

    def note(_conn: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if "ORDER BY cycles_in_reach.user_id" in statement:
            of_everybody.append(isinstance(cursor, ServerCursor))

    _fill(rollcall, "98", people=10)
    event.listen(rollcall.backend.engine, "before_cursor_execute", note)
    _export(rollcall, "98", 10, "csv")
    event.remove(rollcall.backend.engine, "before_cursor_execute", note)
    assert of_everybody, "no statement read everybody's cycles"
    assert all(of_everybody)


def _fill(rollcall: Rollcall, session_id: str, *, people: int) -> None:
    """A session with so many people, each with a manual join and a leave."""
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :people)"
        "INSERT INTO cycles (cycle_id, named_session, room_name, user_id, name, kind,"
        " hidden, name_rank, joined_rank, left_rank, claimed_rank, source, joined_at,"
        " client_joined_at, client_left_at)"
        " SELECT :id || i, :id, :id, 'user' || i, 'name', 'STANDARD',"
        " FALSE, '', '', '', '', 'client', :joined, :joined, :left FROM n"
    )
    cycles = text(numbers).bindparams(
        bindparam("joined", type_=db.Instant), bindparam("left", type_=db.Instant)
    )
    with db.writing(rollcall.backend.engine) as conn:
        session.store(conn, Session(session_id, session_id, scheduled_at=at("14:00")), now=DAY)
        span = {"joined": at("14:00"), "left": at("14:30")}
        conn.execute(cycles, {"people": people, "id": session_id} | span)


def _export(rollcall: Rollcall, session_id: str, people: int, file_format: Format) -> None:
    url = session_url(session_id, "attendance", format=file_format)
    assert count_lines(rollcall, url, file_format) == people + 1


def everything_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are made on disk from their first byte on, and none may be handed over whole."""
    monkeypatch.setattr("webhooks.api.exports.IN_MEMORY_BYTES", 1)
    monkeypatch.setattr("webhooks.door.unsent.Unsent.take", lambda *_, **__: False)


def count_lines(rollcall: Rollcall, url: str, file_format: Format) -> int:
    """With the headings, of a file that is read piece by piece, as the file itself says it."""
    with (
        TemporaryFile() as file,
        rollcall.client.get(url, headers=bearer(ops_token())) as answer,
    ):
        file.writelines(answer.iter_encoded())
        file.seek(0)
        if file_format == "csv":
            return sum(1 for _ in file)
        with ZipFile(file) as parts, parts.open("xl/worksheets/sheet1.xml") as sheet_xml:
            (last_row,) = re.findall(rb'<dimension ref="A1:[A-Z]+(\d+)"', sheet_xml.read(2_000))
        return int(last_row)
