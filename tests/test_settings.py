"""The environment: what is set, what is left empty, and the sentence for what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from models.settings import Settings, load

ROOT = Path(__file__).parents[1]
EXAMPLE, README = ROOT / ".env.example", ROOT / "README.md"
KEYS = {"LIVEKIT_API_KEY": "devkey", "LIVEKIT_API_SECRET": "devsecret"}


@pytest.fixture(autouse=True)
def only_the_keys_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        for name in (field.upper(), f"{field.upper()}_FILE"):
            monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def test_an_empty_variable_means_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    untouched = load(_env_file=None)
    for field, told in Settings.model_fields.items():
        if not told.is_required():
            monkeypatch.setenv(field.upper(), "")
    assert load(_env_file=None) == untouched


def test_the_example_has_every_variable_with_its_default() -> None:
    assert _of_example() == {name: _as_text(told) for name, told in _fields()}


def test_the_example_as_it_stands_starts_nothing_but_what_has_keys(tmp_path: Path) -> None:
    copied = tmp_path / ".env"
    copied.write_text(_uncommented(EXAMPLE.read_text()))
    assert load(_env_file=copied) == load(_env_file=None)


def test_the_readme_lists_every_variable_with_its_default() -> None:
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|(.*?)\|", README.read_text(), re.MULTILINE)
    listed = {
        name: default.replace("`", "").strip()
        for names, default in rows
        for name in re.findall("[A-Z_]+", names)
    }
    assert listed == {name: _in_words(name, field) for name, field in _fields()}


def _fields() -> list[tuple[str, FieldInfo]]:
    return [(name.upper(), field) for name, field in Settings.model_fields.items()]


def _of_example() -> dict[str, str]:
    lines = _uncommented(EXAMPLE.read_text()).splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#") and line)


def _uncommented(example: str) -> str:
    return re.sub(r"^# (?=[A-Z_]+=)(?!NAME_FILE)", "", example, flags=re.MULTILINE)


def _as_text(field: FieldInfo) -> str:
    if field.is_required() or field.default is None:
        return ""
    if isinstance(field.default, tuple):
        return ",".join(field.default)
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def _in_words(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return {
        "LIVEKIT_KEYS": "",
        "LIVEKIT_URL": "unset",
        "MINIMUM_PERCENTAGE": "unset",
        "CORS_ORIGINS": "empty",
        "LOG_FORMAT": "json (console on a terminal)",
    }.get(name) or _as_text(field)
