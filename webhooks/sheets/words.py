"""The headings of a spreadsheet, in each language."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import orjson

from webhooks.sheets.form import Language

HERE = Path(__file__).parent


def heading(name: str, language: Language) -> str:
    """What people read over a column, or on a sheet; a name without a heading stands for itself."""
    return headings(language).get(name, name)


@cache
def headings(language: Language) -> dict[str, str]:
    """Every heading of a language, by the machine's name of the column or the table."""
    words: dict[str, str] = orjson.loads((HERE / "headings" / f"{language}.json").read_bytes())
    return words
