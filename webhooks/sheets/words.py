"""What people read in a spreadsheet, in each language: headings, and words for machine words."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import orjson

from webhooks.sheets.form import Language

HERE = Path(__file__).parent
PAGES = HERE.parent / "pages" / "languages"
"""A file says what the page says that it was taken from."""

ON_PAGES = {
    "attendance_status": "state",
    "uncorrected_status": "state",
    "ended_by": "ended_by",
    "disconnect_reason": "reason",
    "source": "source",
}
"""By column, the part of a language of the pages that has its words. `values` has the others."""

Words = dict[str, str]


def heading(name: str, language: Language) -> str:
    """What people read over a column, or on a sheet; a name without a heading stands for itself."""
    return headings(language).get(name, name)


@cache
def headings(language: Language) -> dict[str, str]:
    """Every heading of a language, by the machine's name of the column or the table."""
    return dict(_read(HERE / "headings", language))


@cache
def values(language: Language) -> dict[str, Words]:
    """By column, what people read for each of its machine words."""
    on_pages = _read(PAGES, language)
    return _read(HERE / "values", language) | {
        column: on_pages[part] for column, part in ON_PAGES.items()
    }


def _read(folder: Path, language: Language) -> dict[str, Any]:
    words: dict[str, Any] = orjson.loads((folder / f"{language}.json").read_bytes())
    return words
