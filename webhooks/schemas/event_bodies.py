"""Which events an operator means: the filters of the ledger as a query, a body or a command has
them. What is no filter is refused: a misspelt one would mean more than was meant.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from models.domain.json_fields import END_OF_TIME, EPOCH
from models.ledger.filters import CURSOR, Cursor, Filters
from webhooks.door.context import unhurried
from webhooks.door.values import Bound, Id, Number
from webhooks.schemas.bodies import Body, Query, example

Status = Literal["pending", "applied", "ignored", "failed", "unreadable"]
Kind = Literal[
    "participant_joined",
    "participant_left",
    "participant_connection_aborted",
    "participant_seen",
    "room_started",
    "room_finished",
    "client_joined",
    "client_left",
    "corrected",
    "correction_undone",
]

MAX_PAGE = 1_000
MAX_REPLAY = 10_000
"""Events that one request puts back: what LiveKit sends meanwhile waits behind them."""

MAX_EVENT_IDS = 1_000


def _place(text: str) -> str:
    Cursor.parse(text)
    return text


def _is_replayable(status: object) -> object:
    if status == "unreadable":
        raise ValueError("nothing was kept of unreadable events: there is nothing to replay")
    if status == "pending":
        raise ValueError("pending events are about to be applied: there is nothing to replay")
    return status


def _is_flag(value: object) -> object:
    """pydantic would take yes, on and 1 as well."""
    if value not in ("true", "false", True, False):
        raise ValueError("is neither true nor false")
    return value


Place = Annotated[
    str, AfterValidator(_place), Field(json_schema_extra={"pattern": f"^{CURSOR.pattern}$"})
]
Flag = Annotated[bool, BeforeValidator(_is_flag, json_schema_input_type=bool)]
Replayable = Literal["applied", "ignored", "failed", "any"]


class EventFilters(BaseModel):
    """Events for which all of this holds."""

    model_config = ConfigDict(defer_build=True)

    status: Status | None = None
    event: Kind | None = Field(None, description="LiveKit's name of it, or a manual join's.")
    room_name: Id | None = None
    session_id: Id | None = Field(None, description="Of the session's rooms and manual joins.")
    user_id: Id | None = None
    since: Bound | None = Field(None, description="Received at or after.")
    until: Bound | None = Field(None, description="Received before.")
    after: Place | None = Field(None, description="The `next` of the page before.")

    @model_validator(mode="after")
    def _spans(self) -> Self:
        if self.since is None or self.until is None or self.since < self.until:
            return self
        if self.since == self.until and self.since in (EPOCH, END_OF_TIME):
            return self  # both lie beyond all that can be: nothing does
        raise ValueError("until must be later than since")

    @property
    def place(self) -> Cursor | None:
        return Cursor.parse(self.after) if self.after else None

    @property
    def filters(self) -> Filters:
        return Filters(
            status=self.status,
            event=self.event,
            room_name=self.room_name,
            session_id=self.session_id,
            user_id=self.user_id,
            since=self.since,
            until=self.until,
            rules=unhurried().rules,
        )


class EventsQuery(EventFilters, Query):
    """Which page of the ledger."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(100, ge=1, le=MAX_PAGE)


class Replay(EventFilters):
    """Which events to replay: without any filter, those that failed."""

    status: Annotated[Replayable, BeforeValidator(_is_replayable)] | None = Field(  # type: ignore[assignment]  # "any" is none
        None, description="`any`: applied, ignored and failed ones, also without another filter."
    )
    event_ids: list[Id] | None = Field(
        None, min_length=1, max_length=MAX_EVENT_IDS, description="These, where the filters hold."
    )

    @property
    def filters(self) -> Filters:
        asked = super().filters
        if self.status == "any":
            asked = replace(asked, status=None)
        ids = tuple(self.event_ids) if self.event_ids else None
        if asked == Filters() and ids is None and self.status is None:
            return Filters(status="failed")
        return replace(asked, event_ids=ids)


class ReplayBody(Replay, Body):
    """A replay that is asked for over HTTP."""

    model_config = ConfigDict(extra="forbid", frozen=True) | example(status="failed", dry_run=True)

    limit: Annotated[int, Field(ge=1, le=MAX_REPLAY), Number] | None = Field(
        None, description=f"At most so many; one request puts back {MAX_REPLAY} at most."
    )
    dry_run: bool = Field(False, strict=True, description="Count only; nothing is changed.")


class EraseQuery(Query):
    """Whether to count only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: Flag = Field(False, description="Count only; nothing is changed.")
