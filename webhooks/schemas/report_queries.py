"""What may be asked for in a report, and of one person."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from models.domain.json_fields import EPOCH
from models.lookup.session_list import Wanted
from webhooks.door.values import Bound, Word
from webhooks.schemas.bodies import FileQuery, Query, SessionFilters

CURSOR_SEPARATOR = "_"
PLACE = re.compile(rf"[0-9]{{1,17}}{CURSOR_SEPARATOR}[\s\S]*")
"""Microseconds since 1970, and a session's id."""

ONE_MICROSECOND = timedelta(microseconds=1)


class ReportQuery(SessionFilters, FileQuery):
    """Of which sessions, in which form."""

    grid: bool = Field(
        False, description="Also each person's attendance in each session; a file: a line for each."
    )
    after: Word | None = Field(None, description="JSON: the `next` of the page before.")
    limit: int = Field(100, ge=1, le=1000, description="JSON: how many people a page has.")


def _is_place(text: str) -> str:
    place_of(text)
    return text


Place = Annotated[
    str,
    AfterValidator(_is_place),
    Field(max_length=400, json_schema_extra={"pattern": f"^{PLACE.pattern}$"}),
]


class PersonQuery(Query):
    """Which of the person's sessions: begun in [from, to), beyond the `after` of a page."""

    academy_id: Word | None = None
    course_id: Word | None = None
    since: Bound | None = Field(None, alias="from", description="Begun at or after.")
    until: Bound | None = Field(None, alias="to", description="Begun before.")
    after: Place | None = Field(None, description="The `next` of the page before.")
    limit: int = Field(100, ge=1, le=1000)
    export: bool = Field(
        False, description="For operators: all that is kept of them, as a file; nothing filters it."
    )

    def wanted(self, now: datetime, *, of_room: str | None) -> Wanted:
        """The sessions that it asks for; with `of_room`, of those of that room."""
        filters = self.model_dump(exclude={"after", "limit", "export"})
        return Wanted(now=now, of_room=of_room, **filters)

    def is_beyond(self, began_at: datetime, session_id: str) -> bool:
        """Whether this session comes after the page before: it began earlier, or together and has
        the greater id."""
        if self.after is None:
            return True
        before, last_id = place_of(self.after)
        began_us = place_of(place(began_at, session_id))[0]
        return began_us < before or (began_us == before and session_id > last_id)


def place(began_at: datetime, session_id: str) -> str:
    """The cursor of what follows this session."""
    microseconds = (began_at - EPOCH) // ONE_MICROSECOND
    return f"{microseconds}{CURSOR_SEPARATOR}{session_id}"


def place_of(text: str) -> tuple[int, str]:
    """When the session of the cursor began, in microseconds, and its id. Raises ValueError."""
    if not PLACE.fullmatch(text):
        raise ValueError("is no cursor that a page gave")
    microseconds, _, session_id = text.partition(CURSOR_SEPARATOR)
    return int(microseconds), session_id
