"""The environment: what is set, what is left empty, and the sentence for what is wrong."""

from __future__ import annotations

import pytest

from models.settings import Settings, load

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
