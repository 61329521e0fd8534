"""One declaration makes a field: it stands in the JSON, the description and the file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DECLARED = '    Field("join_count",'
ADDED = '    Field("visit_count", int, 7, "Added by a test.", source="join_count"),\n'

SHOW = """
import io, json, openpyxl
from datetime import UTC, datetime
from models.domain import attendance
from models.domain.facts import Meeting, Rules, Session
from models.domain.held import NEVER
from webhooks.api import exports
from webhooks.schemas import answers, replies
from webhooks.sheets import sheet
from webhooks.sheets.form import Form

now, session = datetime(2026, 11, 23, tzinfo=UTC), Session("98", "quran-98")
rules = Rules(*[now - now] * 3)
person = attendance.view(Meeting(session), "5", (), now=now, rules=rules)

def written(format):
    with sheet.opened(file := io.BytesIO(), exports.PERSONS, Form(format)) as opened:
        for row in exports.person_rows(Meeting(session), [person], NEVER, now=now):
            opened.add(row)
    return file

cells = openpyxl.load_workbook(written("xlsx")).active.values
print(json.dumps({
    "status": answers.status(session, person),
    "roster": answers.roster(Meeting(session), [person], now),
    "schema": replies.Roster.model_json_schema(mode="serialization"),
    "csv": written("csv").getvalue().decode("utf-8-sig"),
    "xlsx": dict(zip(next(cells), map(str, next(cells)))),
}))
"""


def test_one_declaration_adds_a_field_everywhere(tmp_path: Path) -> None:
    for folder in ("models", "webhooks", "worker"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    declarations = tmp_path / "webhooks" / "schemas" / "fields.py"
    text = declarations.read_text(encoding="utf-8")
    assert text.count(DECLARED) == 1
    declarations.write_text(text.replace(DECLARED, ADDED + DECLARED), encoding="utf-8")
    shown = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    made = json.loads(shown.stdout)
    assert made["status"]["visit_count"] == 0
    assert made["roster"]["attendances"][0]["visit_count"] == 0
    described = made["schema"]["$defs"]["RosterLine"]["properties"]["visit_count"]
    assert described == {
        "description": "Added by a test.",
        "title": "Visit Count",
        "type": "integer",
    }
    assert made["schema"]["examples"][0]["attendances"][0]["visit_count"] == 7
    assert "visit_count" in made["csv"].splitlines()[0].split(",")
    assert made["xlsx"]["visit_count"] == "0"
