"""The types of values that come in: ids, names, numbers and times, each with what it must hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from models.domain.json_fields import END_OF_TIME, EPOCH, MAX_ID_BYTES, MAX_NAME_LENGTH
from webhooks.door.address import plain

MAX_MADE_ID_BYTES = MAX_ID_BYTES + len("@2026-11-23")
INT64 = range(-(2**63), 2**63)


def _number_is_text(value: Any) -> Any:
    """Ids are text; a frontend whose ids are numbers may send them as such (5, and 5.0).

    A float beyond 2^53 may be a rounded integer: somebody else's id.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value not in INT64:
        return value
    return str(value)


def _empty_is_none(value: Any) -> Any:
    """As LiveKit has it: an empty name is none."""
    return None if value == "" else value


def _fits(most: int) -> AfterValidator:
    """An id of at most so many bytes. Whoever chose it hears of MAX_ID_BYTES: an id that is made
    has a date besides."""

    def check(text: str) -> str:
        text = plain(text)  # first: what stands for a NUL is longer than it
        if len(text.encode()) > most:
            raise ValueError(f"is longer than {MAX_ID_BYTES} bytes")
        return text

    return AfterValidator(check)


def _is_dated(value: Any) -> Any:
    """pydantic would take a number, or its digits, for seconds since 1970."""
    if not isinstance(value, str) or not _DATED.match(value):
        raise ValueError("is not a time as RFC 3339 has it")
    return value


def _is_number(value: Any) -> Any:
    """pydantic would take "60" and true for numbers."""
    if isinstance(value, str | bool):
        raise ValueError("is not a number")
    return value


def _in_time(at: datetime) -> datetime:
    if not EPOCH <= at < END_OF_TIME:
        raise ValueError("is out of range")
    return at.astimezone(UTC)


def _nearest_in_time(at: datetime) -> datetime:
    """Nothing lies outside, so a bound there means the same as one at the edge."""
    return min(max(at, EPOCH), END_OF_TIME).astimezone(UTC)


_DATED = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")
_YEARS = re.compile(r"^(19[7-9]|2\d\d)\d-")

Word = Annotated[str, Field(min_length=1, max_length=MAX_MADE_ID_BYTES), _fits(MAX_MADE_ID_BYTES)]
"""A session's id, a room's name, a user's id: any Unicode."""

MaybeWord = Annotated[str, Field(max_length=MAX_MADE_ID_BYTES), _fits(MAX_MADE_ID_BYTES)]
Int64 = Annotated[int, Field(ge=INT64.start, lt=INT64.stop)]
Id = Annotated[Word, BeforeValidator(_number_is_text, json_schema_input_type=Word | Int64)]
UserWord = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES), _fits(MAX_ID_BYTES)]
UserId = Annotated[
    UserWord, BeforeValidator(_number_is_text, json_schema_input_type=UserWord | Int64)
]
_Name = Annotated[str, Field(max_length=MAX_NAME_LENGTH), AfterValidator(plain)] | None
Name = Annotated[_Name, BeforeValidator(_empty_is_none, json_schema_input_type=_Name)]
Number = BeforeValidator(_is_number)
_Time = Annotated[AwareDatetime, BeforeValidator(_is_dated, json_schema_input_type=AwareDatetime)]
Time = Annotated[
    _Time, AfterValidator(_in_time), Field(json_schema_extra={"pattern": _YEARS.pattern})
]
Bound = Annotated[_Time, AfterValidator(_nearest_in_time)]
