"""The fields of a JSON object that somebody sent, read strictly: Unreadable says what is wrong.

LiveKit's are protojson: 64-bit integers as strings, zero values left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

MAX_ID_BYTES = 256
MAX_SESSION_ID_BYTES = MAX_ID_BYTES + len("@YYYY-MM-DD")  # made on the spot for a room
"""Also the longest word that a client may send: what a door takes can be read again."""
MAX_NAME_LENGTH = 256
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(3000, 1, 1, tzinfo=UTC)

INSTANTS = 10_000
"""That are kept: all events of a room carry its creation, and a leave the moment of its join."""

_INTEGER = re.compile(r"-?[0-9]{1,19}")


class Unreadable(ValueError):
    """The event can't be read: {0}."""


def nested(payload: dict[str, Any], word: str) -> dict[str, Any]:
    value = payload.get(word)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(f"{word} is not an object")
    return value


def required(payload: dict[str, Any], where: str, *words: str) -> None:
    for word in words:
        if not payload.get(word):
            raise Unreadable(f"{where}.{word} is missing")


def missing(word: str) -> datetime:
    raise Unreadable(f"{word} is missing")


def word_of(payload: dict[str, Any], word: str) -> str:
    value = payload.get(word)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{word} is missing or not a string")
    return value


def identifier(payload: dict[str, Any], word: str, *, limit: int = MAX_ID_BYTES) -> str:
    value = word_of(payload, word)
    if len(value.encode()) > limit:
        raise Unreadable(f"{word} is longer than {limit} bytes")
    return value


def optional(payload: dict[str, Any], word: str, *, limit: int | None = MAX_ID_BYTES) -> str | None:
    value = payload.get(word)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unreadable(f"{word} is not a string")
    if limit and len(value.encode()) > limit:
        raise Unreadable(f"{word} is longer than {limit} bytes")
    return value


def enum(payload: dict[str, Any], word: str, names: Mapping[int, str]) -> str | None:
    """An enum's name. protojson may give its number: always where it was set to, else for one
    that its sender has no name for."""
    value = payload.get(word)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Unreadable(f"{word} is neither a name nor a number")
    if value in {0, ""}:
        return None
    return names.get(value, str(value)) if isinstance(value, int) else value


def instant(
    payload: dict[str, Any], *, seconds: str = "", millis: str = "", micros: str = ""
) -> datetime | None:
    """The finest of the units that the payload carries; None when it carries none, or zero."""
    units = ((micros, 1), (millis, 1_000), (seconds, 1_000_000))
    for word, unit in units:
        count = _integer(payload, word) if word else 0
        if count:
            return _in_range(word, count * unit)
    return None


def _integer(payload: dict[str, Any], word: str) -> int:
    value = payload.get(word)
    if value is None:
        return 0
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"{word} is not an integer")
    return value


@lru_cache(INSTANTS)
def _in_range(word: str, micros: int) -> datetime:
    if not 0 < micros < (END_OF_TIME - EPOCH) // timedelta(microseconds=1):
        raise Unreadable(f"{word} is out of range")
    return EPOCH + timedelta(microseconds=micros)
