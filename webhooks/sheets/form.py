"""In which form a table is written: the file's format, time zone, separator and language."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Format = Literal["csv", "xlsx"]
Separator = Literal["comma", "semicolon", "tab", "pipe"]
Language = Literal["en", "ar"]

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv", "xlsx": XLSX}
SEPARATORS: dict[Separator, str] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}

MAX_FILE_NAME_BYTES = 180
"""Of the subject in a file's name; file systems allow 255 for all of it."""

_NOT_IN_A_FILE_NAME = frozenset("<>:\"/\\|?*%;'")


@dataclass(frozen=True, slots=True)
class Form:
    """How to write a file.

    `zone` is the zone of its times. Without one, CSV has them in UTC alone, and XLSX too.
    `separator` is for CSV, `language` for the headings and the words of XLSX.
    """

    format: Format
    zone: ZoneInfo | None = None
    separator: Separator = "comma"
    language: Language = "en"


def zone_named(name: str) -> str:
    """The name of a time zone, as it came. Raises ValueError when no zone has it."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        detail = "is not the name of a time zone; use one such as Asia/Riyadh, Europe/Berlin or UTC"
        raise ValueError(detail) from None
    return name


def file_name(name: str, subject: str, form: Form) -> str:
    """A name that any file system takes and nobody can be misled by.

    `name` is the table's, `subject` what it is of, such as a session's id.
    """
    text = "".join(
        char if char.isprintable() and char not in _NOT_IN_A_FILE_NAME else "_"
        for char in unicodedata.normalize("NFC", subject)
    )
    text = text.encode()[:MAX_FILE_NAME_BYTES].decode(errors="ignore").strip(" .")
    return f"{name}-{text}.{form.format}"
