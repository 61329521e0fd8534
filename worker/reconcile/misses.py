"""Misses: who was not there when LiveKit was asked, and since when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

MISSED_SECONDS = 30.0
"""Between the two looks that must both miss somebody: one may fall into a hiccup of LiveKit's."""


@dataclass(frozen=True, slots=True)
class _Miss:
    """When somebody was first not there: on the clock, and for measuring how long ago that is."""

    room_sid: str
    at: datetime
    seconds: float


class Misses:
    """Who is missed, each by a key of their visit.

    That somebody was missed once is remembered here alone. When this is lost, with its process, a
    visit closes later; it never closes wrongly.
    """

    def __init__(self) -> None:
        self._first: dict[str, _Miss] = {}

    def twice(
        self,
        missing: Iterable[tuple[str, str]],
        *,
        is_unknown: Callable[[str], bool],
        at: datetime,
        seconds: float,
    ) -> Iterator[tuple[str, datetime]]:
        """Those who were missed before and still are, by key, with when they were missed first.

        `missing` are the keys and room sids of all who are not there now. Of a room that
        `is_unknown` this look says nothing: who was missed there stays so.
        """
        first = {key: miss for key, miss in self._first.items() if is_unknown(miss.room_sid)}
        for key, room_sid in missing:
            miss = first[key] = self._first.get(key, _Miss(room_sid, at, seconds))
            if seconds - miss.seconds >= MISSED_SECONDS:
                yield key, miss.at
        self._first = first
