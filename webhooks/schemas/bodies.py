"""The JSON that comes in, declared: what does not fit is answered 400 with the field's name.

What checks it is built with the first request of its kind, and not at each start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import IO, Annotated, Any, ClassVar, Literal, Self

import orjson
from flask import request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool
from werkzeug.exceptions import RequestEntityTooLarge

from models.domain.correction_payload import MAX_REASON_LENGTH
from models.domain.corrections import Kind as CorrectionKind
from models.lookup.session_list import Wanted
from models.tables.session import MAX_DURATION
from webhooks.door import address, auth
from webhooks.door.problems import Problem, refused
from webhooks.door.values import (
    Bound,
    Id,
    MaybeWord,
    Name,
    Number,
    Time,
    UserId,
    Word,
)
from webhooks.schemas.fields import ScheduleStatus, SessionType
from webhooks.sheets.form import Language, Separator, zone_named

MAX_SMALL_BODY = 64 * 1024 + 8 * 1024
"""Bytes: what `sendBeacon` can carry, and a little."""

MAX_EXPECTED = 10_000
MAX_ROOMS = 100
MAX_HOSTS = 100
MAX_LABELS = 20
MAX_SESSION_BODY = 4 * 1024 * 1024
MAX_MINUTES = MAX_DURATION // timedelta(minutes=1)


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

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)
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

    user_id: UserId
    name: Name = None


def _says_something(text: str) -> str:
    if not SAYS_SOMETHING.search(text):
        raise ValueError("says nothing")
    return text


SAYS_SOMETHING = re.compile(r"\S")

Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_REASON_LENGTH,
        json_schema_extra={"pattern": SAYS_SOMETHING.pattern},
    ),
    AfterValidator(address.plain),
    AfterValidator(_says_something),
]


class CorrectionBody(Body):
    """A correction. Which fields go with it follows from its kind."""

    model_config = example(user_id="5", kind="excused", reason="A doctor's note.")

    user_id: UserId
    kind: CorrectionKind
    reason: Reason = Field(description="Why: shown to whoever reads the roster.")
    since: Time | None = Field(None, alias="from", description="Of `present`: from when.")
    until: Time | None = Field(None, alias="to", description="Of `present`: to when.")
    participant_sid: Id | None = Field(
        None, description="Of `not_a_visit`: the visit, by `participant_sid` or `visit`."
    )
    same_as: UserId | None = Field(
        None, alias="as", description="Of `same_person`: the `user_id` whose visits they are."
    )
    always: StrictBool = Field(
        False, description="Of `same_person`: also in later sessions of this room."
    )

    @classmethod
    def of_request(cls) -> Self:
        """Raises Problem too: 400 for fields that do not go with its kind, or with each other."""
        body = super().of_request()
        for field, message in body._wrong():
            raise refused(field, message)
        return body

    def _wrong(self) -> Iterator[tuple[str, str]]:
        """What does not fit together: which field, and why."""
        needed = NEEDED.get(self.kind, ())
        for name, alias in OF_A_KIND.items():
            given = getattr(self, name) is not None
            if given != (name in needed):
                yield alias, "is of another kind of correction" if given else "is missing"
        if self.always and self.kind != "same_person":
            yield "always", "is of another kind of correction"
        if self.same_as == self.user_id:
            yield "as", "is the person themselves"
        if self.since is not None and self.until is not None and self.since >= self.until:
            yield "to", "is not later than `from`"


OF_A_KIND = {
    "since": "from",
    "until": "to",
    "participant_sid": "participant_sid",
    "same_as": "as",
}
NEEDED: dict[CorrectionKind, tuple[str, ...]] = {
    "present": ("since", "until"),
    "not_a_visit": ("participant_sid",),
    "same_person": ("same_as",),
}

Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(address.plain)]
RoomPattern = Annotated[Id, Field(description="A room's name, or how it begins and a `*`.")]


class SessionBody(Body):
    """A session to register; null means the default."""

    model_config = example(
        room_name="quran-98",
        title="Quran, week 3",
        session_type="individual",
        hosts=["teacher-1"],
        scheduled_at="2026-11-23T14:10:00Z",
        duration_minutes=60,
        minimum_percentage=75,
        expected=[{"user_id": "5", "name": "أحمد"}],
    )
    max_bytes: ClassVar[int] = MAX_SESSION_BODY

    room_name: Id | None = Field(None, description="By default the session's id.")
    title: Name = Field(None, description="What people call it.")
    session_type: SessionType | None = None
    academy_id: Id | None = None
    course_id: Id | None = Field(None, description="The course that it is a part of.")
    hosts: Annotated[list[UserId], Field(max_length=MAX_HOSTS)] | None = Field(
        None, description="User ids of those who hold it: never late or absent, in no total."
    )
    labels: Annotated[list[Label], Field(max_length=MAX_LABELS)] | None = Field(
        None, description="Words of your own."
    )
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
    """What may stand after a path's `?`: nothing else, since a misspelt filter would be none."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def of_request(cls) -> Self:
        """Raises pydantic's ValidationError, also for what stands there twice.

        What the path names stands there where a path can't carry it (`address.of_path`).
        """
        given = request.args.to_dict(flat=False) if request.query_string else {}
        for named in request.view_args or ():
            given.pop(address.query_of(named), None)
        return cls.model_validate(
            {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        )


class StatusQuery(Query):
    """Whose status."""

    user_id: MaybeWord = Field("", description="Somebody else's than the token's own.")


ZoneName = Annotated[str, AfterValidator(zone_named)]


class FileQuery(Query):
    """In which form a table."""

    format: Literal["json", "csv", "xlsx"] | None = Field(
        None, description="By default what `Accept` prefers, else JSON."
    )
    tz: ZoneName | None = Field(
        None,
        description="The time zone of a file's times, such as `Asia/Riyadh`: by default `TIMEZONE` "
        "for XLSX. CSV always has UTC, and with this one more column for each time.",
    )
    sep: Separator = Field("comma", description="For CSV: what separates the cells.")
    lang: Language = Field("en", description="For XLSX: the language of the headings and words.")


class RosterQuery(FileQuery):
    """In which form, and of what."""

    cycles: bool = Field(
        False, description="For CSV and XLSX: a line for each visit, not each person."
    )
    uncounted: bool = Field(False, description="For JSON: also the connections that do not count.")


class SessionFilters(Query):
    """Which sessions: by what they are registered with, and whose; begun in [from, to)."""

    room_name: Word | None = None
    academy_id: Word | None = None
    course_id: Word | None = None
    label: Word | None = Field(None, description="With this among its labels.")
    user_id: Word | None = Field(
        None, description="That expect this person, have them as a host, or that they visited."
    )
    since: Bound | None = Field(None, alias="from", description="Begun at or after.")
    until: Bound | None = Field(None, alias="to", description="Begun before.")

    def wanted(self, now: datetime, *, of_room: str | None = None) -> Wanted:
        """The sessions that it asks for; with `of_room`, of those of that room."""
        filters = self.model_dump(include=FILTERS)
        return Wanted(now=now, of_room=of_room, **filters)


FILTERS = {*SessionFilters.model_fields, "status"}


class PageQuery(SessionFilters):
    """Which page of a list of sessions."""

    status: ScheduleStatus | None = Field(None, description="Of classes, by their schedule.")
    after: Word | None = Field(None, description="The `next` of the page before.")
    limit: int = Field(100, ge=1, le=1000)
