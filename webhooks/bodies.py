"""The JSON that comes in, declared: what does not fit is answered 400 with the field's name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

import orjson
from flask import request
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from models.event import END_OF_TIME, EPOCH, MAX_ID_BYTES, MAX_NAME_LENGTH
from models.session import MAX_DURATION
from webhooks.address import plain
from webhooks.problems import Problem

MAX_SMALL_BODY = 64 * 1024 + 8 * 1024
"""Bytes: what `sendBeacon` can carry, and a little."""

MAX_EXPECTED = 10_000
MAX_SESSION_BODY = 4 * 1024 * 1024
MAX_MADE_ID_BYTES = MAX_ID_BYTES + len("@2026-11-23")


def _number_is_text(value: Any) -> Any:
    """Ids are text; a frontend whose ids are numbers may send them as such."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _fits(text: str) -> str:
    if len(text.encode()) > MAX_MADE_ID_BYTES:
        raise ValueError(f"is longer than {MAX_ID_BYTES} bytes")
    return plain(text)


def _in_time(at: datetime) -> datetime:
    if not EPOCH < at < END_OF_TIME:
        raise ValueError("is out of range")
    return at.astimezone(UTC)


Id = Annotated[str, BeforeValidator(_number_is_text), Field(min_length=1), AfterValidator(_fits)]
Name = Annotated[str, Field(max_length=MAX_NAME_LENGTH), AfterValidator(plain)]
SessionType = Literal["individual", "academic", "group"]


class Body(BaseModel):
    """A JSON object in a request's body, whatever its content type says."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    max_bytes: ClassVar[int] = MAX_SMALL_BODY

    @classmethod
    def of_request(cls) -> Self:
        """Raises pydantic's ValidationError, or Problem when it is no JSON object."""
        request.max_content_length = cls.max_bytes
        try:
            told = orjson.loads(request.get_data(cache=False))
        except orjson.JSONDecodeError as error:
            raise Problem(400, "not-json", f"The body is not JSON: {error}.") from None
        if not isinstance(told, dict):
            raise Problem(400, "not-json", "The body is not a JSON object.")
        return cls.model_validate(told)


class JoinBody(Body):
    """A manual join. Type and academy count only when the session is made."""

    session_id: Id
    participant_sid: Id | None = None
    session_type: SessionType | None = None
    academy_id: Id | None = None
    name: Name | None = None


class LeaveBody(Body):
    """A manual leave; `navigator.sendBeacon` sets no header, so the token may stand here."""

    session_id: Id
    visit: Id
    access_token: str | None = None


class ExpectedPerson(Body):
    """Somebody whom a session expects."""

    user_id: Id
    name: Name | None = None


class SessionBody(Body):
    """A session to register; null means the default."""

    max_bytes: ClassVar[int] = MAX_SESSION_BODY

    room_name: Id | None = None
    session_type: SessionType | None = None
    academy_id: Id | None = None
    scheduled_at: Annotated[AwareDatetime, AfterValidator(_in_time)] | None = None
    duration_minutes: int | None = Field(None, ge=1, le=MAX_DURATION.total_seconds() // 60)
    late_after_minutes: int | None = Field(None, ge=0, le=1440)
    minimum_percentage: float | None = Field(None, ge=0, le=100)
    expected: list[ExpectedPerson] = Field(default=[], max_length=MAX_EXPECTED)


class PageQuery(BaseModel):
    """Which sessions to list: a room's, begun in [from, to), beyond the `after` of a page."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    room_name: Id | None = None
    since: Annotated[AwareDatetime, AfterValidator(_in_time)] | None = Field(None, alias="from")
    until: Annotated[AwareDatetime, AfterValidator(_in_time)] | None = Field(None, alias="to")
    after: Id | None = None
    limit: int = Field(100, ge=1, le=1000)

    @classmethod
    def of_query(cls) -> Self:
        """Raises pydantic's ValidationError."""
        return cls.model_validate(request.args.to_dict())
