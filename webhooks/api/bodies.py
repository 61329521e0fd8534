"""The JSON that comes in, declared: what does not fit is answered 400 with the field's name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import IO, Annotated, Any, ClassVar, Literal, Self

import orjson
from flask import request
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from werkzeug.exceptions import RequestEntityTooLarge

from models.domain.event import END_OF_TIME, EPOCH, MAX_ID_BYTES, MAX_NAME_LENGTH
from models.tables.session import MAX_DURATION
from webhooks.api.fields import SessionType
from webhooks.door import auth
from webhooks.door.address import plain
from webhooks.door.problems import Problem

MAX_SMALL_BODY = 64 * 1024 + 8 * 1024
"""Bytes: what `sendBeacon` can carry, and a little."""

MAX_EXPECTED = 10_000
MAX_ROOMS = 100
MAX_SESSION_BODY = 4 * 1024 * 1024
MAX_MADE_ID_BYTES = MAX_ID_BYTES + len("@2026-11-23")
INT64 = range(-(2**63), 2**63)
MAX_MINUTES = MAX_DURATION // timedelta(minutes=1)


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


def _fits(text: str) -> str:
    text = plain(text)  # first: what stands for a NUL is longer than it
    if len(text.encode()) > MAX_MADE_ID_BYTES:
        raise ValueError(f"is longer than {MAX_ID_BYTES} bytes")
    return text


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

Word = Annotated[str, Field(min_length=1, max_length=MAX_MADE_ID_BYTES), AfterValidator(_fits)]
"""A session's id, a room's name, a user's id: any Unicode."""

Int64 = Annotated[int, Field(ge=INT64.start, lt=INT64.stop)]
Id = Annotated[Word, BeforeValidator(_number_is_text, json_schema_input_type=Word | Int64)]
_Name = Annotated[str, Field(max_length=MAX_NAME_LENGTH), AfterValidator(plain)] | None
Name = Annotated[_Name, BeforeValidator(_empty_is_none, json_schema_input_type=_Name)]
Number = BeforeValidator(_is_number)
_Time = Annotated[AwareDatetime, BeforeValidator(_is_dated, json_schema_input_type=AwareDatetime)]
Time = Annotated[
    _Time, AfterValidator(_in_time), Field(json_schema_extra={"pattern": _YEARS.pattern})
]
Bound = Annotated[_Time, AfterValidator(_nearest_in_time)]


def example(**values: Any) -> ConfigDict:
    """A body's own example, for whoever reads the documentation."""
    return ConfigDict(json_schema_extra={"examples": [values]})


def whole_body(limited: IO[bytes]) -> bytes:
    """The request's body, from its `stream`. Raises RequestEntityTooLarge when there is more.

    One that says its length comes in one go: werkzeug's stream reads once more to see that it ends,
    and each time Python's lock is given up. One that does not, that stream just cuts at the limit.
    """
    length = request.content_length
    if length is not None:
        return request.input_stream.read(length)
    body = limited.read()
    if len(body) == request.max_content_length and request.input_stream.read(1):
        raise RequestEntityTooLarge
    return body


class Body(BaseModel):
    """A JSON object in a request's body, whatever its content type says."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    max_bytes: ClassVar[int] = MAX_SMALL_BODY

    @classmethod
    def of_request(cls) -> Self:
        """Raises pydantic's ValidationError, or Problem when it is no JSON object.

        Whoever's header has a token that is not genuine is refused before anything is read.
        """
        request.max_content_length = cls.max_bytes
        with auth.sender():
            body = whole_body(request.stream)
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Problem(400, "not-json", f"The body is not JSON: {error}.") from None
        if not isinstance(parsed, dict):
            raise Problem(400, "not-json", "The body is not a JSON object.")
        return cls.model_validate(parsed)


class JoinBody(Body):
    """A manual join. Type and academy count only when the session is made."""

    model_config = example(session_id="98", participant_sid="PA_gLSkHqJzVTmz", name="أحمد")

    session_id: Id = Field(description="The session's id, or the name of the token's room.")
    participant_sid: Id | None = Field(None, description="LiveKit's sid of this connection.")
    session_type: SessionType | None = None
    academy_id: Id | None = None
    name: Name = Field(None, description="What the roster calls them.")


class LeaveBody(Body):
    """A manual leave; `navigator.sendBeacon` sets no header, so the token may stand here."""

    model_config = example(session_id="98", visit="VI_0b8f5f5e0d6c4c0f9a53a1a6f0a4f7a1")

    session_id: Id
    visit: Id = Field(description="What the join answered.")
    access_token: str | None = Field(None, description="Instead of the header.")


class ExpectedPerson(Body):
    """Somebody whom a session expects."""

    user_id: Id
    name: Name = None


RoomPattern = Annotated[Id, Field(description="A room's name, or how it begins and a `*`.")]


class SessionBody(Body):
    """A session to register; null means the default."""

    model_config = example(
        room_name="quran-98",
        session_type="individual",
        scheduled_at="2026-11-23T14:10:00Z",
        duration_minutes=60,
        minimum_percentage=75,
        expected=[{"user_id": "5", "name": "أحمد"}],
    )
    max_bytes: ClassVar[int] = MAX_SESSION_BODY

    room_name: Id | None = Field(None, description="By default the session's id.")
    session_type: SessionType | None = None
    academy_id: Id | None = None
    scheduled_at: Time | None = None
    duration_minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES), Number] | None = None
    late_after_minutes: Annotated[int, Field(ge=0, le=1440), Number] | None = None
    minimum_percentage: Annotated[float, Field(ge=0, le=100), Number] | None = None
    rooms: Annotated[list[RoomPattern], Field(max_length=MAX_ROOMS)] | None = Field(
        None, description="Further rooms, such as breakout rooms; `name*` means all that begin so."
    )
    expected: Annotated[list[ExpectedPerson], Field(max_length=MAX_EXPECTED)] | None = Field(
        None, description="Who should come."
    )


class Query(BaseModel):
    """What may stand after a path's `?`; what is unknown is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def of_request(cls) -> Self:
        """Raises pydantic's ValidationError, also for what stands there twice.

        What the path names stands there where a path can't carry it (`address.of_path`).
        """
        given = request.args.to_dict(flat=False) if request.query_string else {}
        for named in request.view_args or ():
            given.pop(named, None)
        return cls.model_validate(
            {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        )


class StatusQuery(Query):
    """Whose status."""

    user_id: Annotated[str, Field(max_length=MAX_MADE_ID_BYTES), AfterValidator(_fits)] = Field(
        "", description="Somebody else's than the token's own."
    )


class RosterQuery(Query):
    """In which form."""

    format: Literal["json", "csv"] | None = Field(
        None, description="By default what `Accept` prefers, else JSON."
    )
    cycles: bool = Field(False, description="For CSV: a line for each visit, not each person.")
    uncounted: bool = Field(False, description="For JSON: also the connections that do not count.")


class PageQuery(Query):
    """Which sessions to list: a room's, begun in [from, to), beyond the `after` of a page."""

    room_name: Word | None = None
    since: Bound | None = Field(None, alias="from", description="Begun at or after.")
    until: Bound | None = Field(None, alias="to", description="Begun before.")
    after: Word | None = Field(None, description="The `next` of the page before.")
    limit: int = Field(100, ge=1, le=1000)
