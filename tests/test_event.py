"""Where raw JSON ends: every variant of LiveKit's that is right is read, everything that is wrong
is Unreadable, and nothing secret or private is kept."""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.domain import event as events
from models.domain.event import (
    Event,
    client_payload,
    is_unused,
    parse,
    read,
    redact,
)
from models.domain.facts import Source
from models.domain.json_fields import (
    EPOCH,
    MAX_ID_BYTES,
    MAX_NAME_LENGTH,
    MAX_SESSION_ID_BYTES,
    Unreadable,
)
from models.domain.merge import merge, merge_room
from tests.build import (
    aborted,
    at,
    captured,
    captures,
    client_joined,
    client_left,
    joined,
    left,
    room_finished,
    room_started,
    seen,
    webhook,
)

DOOR = settings(
    deadline=None,
    max_examples=200,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # the machine may be shared
)
JOINED = webhook(joined("14:00:00.250", name="Ada L.", room_created="13:59:59.900", names="98"))


def changed(**words: Any) -> dict[str, Any]:
    """The joined webhook with these words, `room__sid` for a word within the room."""
    payload: dict[str, Any] = orjson.loads(orjson.dumps(JOINED))
    for word, value in words.items():
        *path, last = word.split("__")
        target = payload
        for step in path:
            target = target[step]
        target[last] = value
    return payload


def without(*words: str) -> dict[str, Any]:
    payload = changed()
    for word in words:
        *path, last = word.split("__")
        target = payload
        for step in path:
            target = target[step]
        del target[last]
    return payload


# --- what LiveKit sends ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        joined("14:00:00.250", name="Ada L.", room_created="13:59:59.900", names="98"),
        joined("14:00", kind="SIP", hidden=True, joined_at=None),
        left("14:30", joined_at="14:00:00.250", reason="DUPLICATE_IDENTITY"),
        aborted("14:00", reason="SIGNAL_CLOSE"),
        room_started("13:50", room_created="13:50:00.690"),
        room_finished("15:00"),
        joined("14:00", user='a/b \t"\\', room_name="جلسة القرآن", name="\u202e\u0665 e\u0301"),
    ],
    ids=lambda event: event.event,
)
def test_a_webhook_is_read_as_it_was_meant(event: Event) -> None:
    payload = parse(orjson.dumps(webhook(event)))
    assert read(payload) == event
    assert read(redact(payload)) == event


def test_a_webhook_of_another_source_is_told_apart() -> None:
    sources: list[Source] = ["livekit", "import", "reconciler"]
    for source in sources:
        assert read(JOINED, source).source == source


def test_what_the_reconciler_sees_is_read_too() -> None:
    assert read(webhook(seen("14:30")), "reconciler") == seen("14:30")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(changed(createdAt=1795442400), at("14:00"), id="a number, not a string"),
        pytest.param(changed(createdAt="1795442400"), at("14:00"), id="a string"),
    ],
)
def test_when_it_was_sent(payload: dict[str, Any], expected: object) -> None:
    assert read(payload).created_at == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(changed(), "14:00:00.250", id="in milliseconds"),
        pytest.param(
            changed(participant__joinedAtMs=1795442400250), "14:00:00.250", id="as a number"
        ),
        pytest.param(without("participant__joinedAt"), "14:00:00.250", id="only in milliseconds"),
        pytest.param(without("participant__joinedAtMs"), "14:00", id="an older server: in seconds"),
        pytest.param(changed(participant__joinedAtMs="0"), "14:00", id="zero is not told"),
        pytest.param(changed(participant__joinedAtMs=None), "14:00", id="null is not told"),
        pytest.param(
            without("participant__joinedAt", "participant__joinedAtMs"), None, id="not at all"
        ),
    ],
)
def test_when_they_joined(payload: dict[str, Any], expected: str | None) -> None:
    assert read(payload).joined_at == (expected and at(expected))


def test_when_the_room_was_created() -> None:
    assert read(changed()).room_created_at == at("13:59:59.900")
    assert read(without("room__creationTimeMs")).room_created_at == at("13:59:59")
    neither = without("room__creationTimeMs", "room__creationTime")
    assert read(neither).room_created_at is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, "STANDARD"),
        (0, "STANDARD"),
        ("", "STANDARD"),
        ("STANDARD", "STANDARD"),
        ("SIP", "SIP"),
        ("HOLOGRAM", "HOLOGRAM"),
        (42, "42"),
    ],
)
def test_zero_values_are_left_out_and_new_enum_names_and_numbers_are_kept(
    kind: object, expected: str
) -> None:
    assert read(changed(participant__kind=kind)).kind == expected


def test_a_reason_that_is_not_told_is_none() -> None:
    assert read(changed()).disconnect_reason is None
    assert read(changed(participant__disconnectReason=0)).disconnect_reason is None
    assert read(changed(participant__disconnectReason=99)).disconnect_reason == "99"


@pytest.mark.parametrize(
    ("permission", "hidden"),
    [
        (None, False),
        ({}, False),
        ({"hidden": False}, False),
        ({"hidden": True}, True),
        ({"recorder": True}, True),
        ({"hidden": False, "recorder": True}, True),
        ({"hidden": "false"}, False),
        ({"canPublish": True}, False),
    ],
)
def test_who_is_hidden(permission: object, hidden: bool) -> None:
    payload = changed(participant__permission=permission)
    assert read(payload).hidden is hidden
    assert read(redact(payload)).hidden is hidden


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ('{"session_id": "98"}', "98"),
        ('{"session_id": 98}', "98"),
        ('{"session_id": 0}', "0"),
        ('{"session_id": "حصة", "teacher": "private"}', "حصة"),
        ('{"session_id": "a\\u0000b"}', "a\ufffdb"),
        ('{"session_id": ""}', None),
        ('{"session_id": null}', None),
        ('{"session_id": true}', None),
        ('{"session_id": 9.8}', None),
        ('{"session_id": ["98"]}', None),
        ('{"session_id": "%s"}' % ("x" * 257), None),
        ('{"other": "98"}', None),
        ('["98"]', None),
        ('"98"', None),
        ("not JSON", None),
        ("", None),
        ("[" * 5000, None),
        (98, None),
        (None, None),
    ],
)
def test_a_rooms_metadata_may_name_its_session(metadata: object, named: str | None) -> None:
    payload = changed(room__metadata=metadata)
    assert read(payload).named_session == named
    assert read(redact(payload)).named_session == named
    assert "private" not in json.dumps(redact(payload))


def test_what_is_new_is_ignored() -> None:
    payload = changed(
        region="mars", room__moons=2, participant__telepathy={"on": True}, participant__kind="SIP"
    )
    assert read(payload) == read(changed(participant__kind="SIP"))
    assert redact(payload) == redact(changed(participant__kind="SIP"))


@pytest.mark.parametrize(
    ("kind", "unused"),
    [(kind, False) for kind in sorted(events.STORED_EVENTS)]
    + [("track_published", True), ("egress_started", True), ("room_teleported", True)]
    + [("participant_seen", True), ("client_joined", True), ("client_left", True)],
)
def test_kinds_that_tell_nothing_of_attendance_are_unused(kind: str, unused: bool) -> None:
    """The reconciler's and the clients' own events are none that LiveKit could send."""
    assert is_unused({"event": kind, "id": "EV_1"}) is unused


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"nonsense",
        b"{",
        b"[]",
        b"null",
        b'"participant_joined"',
        b"5",
        b'{"id": NaN}',
        b'{"id": 1e999}',
        b'{"id": "\\ud800"}',
        b'\xef\xbb\xbf{"id": "EV_1"}',
        b"[" * 100_000,
        b'{"id": "\\u0000", "room": ' + b"[" * 5_000,
    ],
)
def test_a_body_that_is_no_json_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(body)


def test_nul_becomes_the_replacement_character_wherever_it_stands() -> None:
    """PostgreSQL refuses NUL in text, and one bad name must not stop a class."""
    payload = parse(b'{"id": "a\\u0000b", "room": {"na\\u0000me": ["\\u0000", 5]}}')
    assert payload == {"id": "a\ufffdb", "room": {"na\ufffdme": ["\ufffd", 5]}}


def test_what_only_looks_like_nul_stays() -> None:
    r"""`\\u0000` is a backslash and the text u0000; `\\\u0000` is a backslash and NUL."""
    assert parse(rb'{"id": "\\u0000", "nul": "\u0000"}') == {"id": "\\u0000", "nul": "\ufffd"}
    assert parse(rb'{"id": "\\\u0000"}') == {"id": "\\\ufffd"}
    assert parse(rb'{"id": "\\\\u0000", "\"": "\u0000"}')["id"] == "\\\\u0000"


def test_nul_in_a_deep_body_is_no_trouble() -> None:
    body = b'{"id": "\\u0000", "deep": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert parse(body)["id"] == "\ufffd"


WRONG = {
    "no id": without("id"),
    "an empty id": changed(id=""),
    "an id that is a number": changed(id=5),
    "an id that is too long": changed(id="x" * 257),
    "no event": without("event"),
    "an event that is a list": changed(event=[]),
    "no createdAt": without("createdAt"),
    "createdAt zero": changed(createdAt="0"),
    "createdAt before 1970": changed(createdAt="-1"),
    "createdAt after 2999": changed(createdAt="32503680000"),
    "createdAt beyond all times": changed(createdAt="9999999999999999999"),
    "createdAt as a date": changed(createdAt="2026-11-23T14:00:00Z"),
    "createdAt as a fraction": changed(createdAt=1795442400.5),
    "createdAt true": changed(createdAt=True),
    "createdAt with two signs": changed(createdAt="--5"),
    "createdAt with only a sign": changed(createdAt="-"),
    "createdAt with a space": changed(createdAt=" 5"),
    "createdAt in other digits": changed(createdAt="\u0665"),
    "createdAt empty": changed(createdAt=""),
    "joinedAtMs out of range": changed(participant__joinedAtMs="1795442400250000"),
    "creationTimeMs out of range": changed(room__creationTimeMs=-5),
    "no room": without("room"),
    "a room that is a list": changed(room=[]),
    "a room without a sid": without("room__sid"),
    "a room without a name": changed(room__name=""),
    "a room's sid that is a number": changed(room__sid=5),
    "no participant": without("participant"),
    "a participant that is a string": changed(participant="5"),
    "a participant without a sid": without("participant__sid"),
    "a participant without an identity": without("participant__identity"),
    "an identity that is an object": changed(participant__identity={"a": 1}),
    "an identity that is too long": changed(participant__identity="é" * 129),
    "a name that is a list": changed(participant__name=["Ada"]),
    "a kind that is a list": changed(participant__kind=[]),
    "a kind that is true": changed(participant__kind=True),
    "a reason that is an object": changed(participant__disconnectReason={}),
    "a permission that is a list": changed(participant__permission=[True]),
}


@pytest.mark.parametrize("payload", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_unreadable(payload: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read(payload)


@pytest.mark.parametrize("kind", [events.ROOM_STARTED, events.ROOM_FINISHED])
def test_a_rooms_event_needs_no_participant_but_a_room(kind: str) -> None:
    payload = without("participant") | {"event": kind}
    assert read(payload).participant_sid is None
    with pytest.raises(Unreadable, match=r"room\.sid is missing"):
        read({**payload, "room": {}})


def test_an_id_may_be_as_long_as_256_bytes() -> None:
    assert read(changed(participant__identity="é" * 128)).user_id == "é" * 128
    assert MAX_ID_BYTES == 256


def test_a_long_name_is_cut_when_it_is_kept() -> None:
    kept = redact(changed(participant__name="é" * 1000))
    assert kept["participant"]["name"] == "é" * MAX_NAME_LENGTH


# --- nothing else gets through, nothing else is raised --------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["1795442400", "--5", "\0", "98", "é" * 200, '{"session_id": "98"}', "SIP"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


RIGHT = [
    webhook(joined("14:00:00.250", name="Ada", room_created="13:50", names="98", kind="SIP")),
    webhook(left("14:30", joined_at="14:00")),
    webhook(aborted()),
    webhook(seen()),
    webhook(room_started(room_created="13:50")),
    webhook(joined()._replace(event="track_published")),
    client_payload(client_joined(claims="PA_1", name="Ada")),
    client_payload(client_left()),
]
GONE = object()


def _paths(payload: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for word, value in payload.items():
        yield (word,)
        if isinstance(value, dict):
            yield from ((word, *path) for path in _paths(value))


@st.composite
def nearly_right(draw: st.DrawFn) -> dict[str, Any]:
    """A payload with some of its words gone, or holding anything."""
    payload: dict[str, Any] = orjson.loads(orjson.dumps(draw(st.sampled_from(RIGHT))))
    for *path, word in draw(st.lists(st.sampled_from(sorted(_paths(payload))), max_size=3)):
        inner: Any = payload
        for step in path:
            inner = inner.get(step) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            value = draw(JSON | st.just(GONE))
            inner.pop(word, None)
            inner |= {} if value is GONE else {word: value}
    return payload


@DOOR
@given(nearly_right() | JSON, st.sampled_from(["livekit", "import", "reconciler", "client"]))
def test_whatever_is_sent_is_read_and_folded_or_it_is_unreadable(sent: Any, source: Source) -> None:
    try:
        payload = parse(orjson.dumps(sent))
        is_unused(payload)
        event = read(payload, source)
        kept = payload if event.visit else redact(payload)
    except Unreadable:
        return
    if event.participant_sid or event.visit:
        assert merge(None, event).user_id == (event.user_id or "")
    if event.room_sid:
        assert merge_room(None, event).sid == event.room_sid
    again = read(kept, source)
    assert again._replace(name=None) == event._replace(name=None)
    assert "\0" not in orjson.dumps(kept).decode()


@DOOR
@given(st.binary(max_size=50))
def test_any_bytes_are_an_object_or_unreadable(body: bytes) -> None:
    try:
        assert isinstance(parse(body), dict)
    except Unreadable:
        return


@DOOR
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_parsing_changes_nothing_but_nul(sent: dict[str, Any]) -> None:
    body = orjson.dumps(sent)
    told = parse(body)
    assert "\\u0000" not in json.dumps(told).replace("\\\\", "")
    if b"\\u0000" not in body:
        assert told == orjson.loads(body)
    assert orjson.dumps(told) == orjson.dumps(parse(orjson.dumps(told)))


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", captures())
def test_no_recording_leaves_a_secret_or_anything_private_in_what_is_kept(name: str) -> None:
    for post in captured(name):
        payload = parse(post.body)
        kept = json.dumps(redact(payload), ensure_ascii=False)
        for secret in [*_private(payload), post.token]:
            assert secret not in kept
        for word in ("turnPassword", "attributes", "token", "capabilities"):
            assert word not in kept


@pytest.mark.parametrize("name", captures())
def test_no_recording_loses_anything_that_the_fold_needs(name: str) -> None:
    for post in captured(name):
        payload = parse(post.body)
        assert read(redact(payload)) == read(payload)
        assert redact(redact(payload)) == redact(payload)


def _private(payload: dict[str, Any]) -> Iterator[str]:
    """The values in a webhook that are nobody's business."""
    room, participant = payload["room"], payload.get("participant", {})
    maybe = room.get("turnPassword"), participant.get("metadata")
    yield from (secret for secret in maybe if secret)
    yield from participant.get("attributes", {}).values()


def test_the_recordings_hold_what_must_not_be_kept() -> None:
    """Else the test above would prove nothing."""
    private = {
        secret
        for name in captures()
        for post in captured(name)
        for secret in _private(parse(post.body))
    }
    passwords = {parse(post.body)["room"]["turnPassword"] for post in captured("unicode")}
    assert private > passwords


def test_what_is_kept_is_in_livekits_own_words() -> None:
    assert redact(JOINED) == {
        "event": "participant_joined",
        "id": JOINED["id"],
        "createdAt": "1795442400",
        "room": {
            "sid": "RM_1",
            "name": "quran-98",
            "creationTime": "1795442399",
            "creationTimeMs": "1795442399900",
            "metadata": '{"session_id":"98"}',
        },
        "participant": {
            "sid": "PA_1",
            "identity": "5",
            "name": "Ada L.",
            "state": "ACTIVE",
            "joinedAt": "1795442400",
            "joinedAtMs": "1795442400250",
        },
    }


# --- clients' events ------------------------------------------------------------------------------

TEXT = st.text(min_size=1, max_size=30)
INSTANTS = st.integers(1, 10**16).map(
    lambda micros: EPOCH + micros * (at("00:00:00.000001") - at("00:00"))
)
CLIENT_WORDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "event_id": TEXT,
        "event": st.sampled_from([events.CLIENT_JOINED, events.CLIENT_LEFT]),
        "created_at": INSTANTS,
        "source": st.just("client"),
        "room_name": st.none() | TEXT,
        "user_id": TEXT,
        "name": st.none() | TEXT,
        "kind": st.just("STANDARD"),
        "hidden": st.just(False),
        "session_id": TEXT,
        "visit": TEXT,
        "claimed_sid": st.none() | TEXT,
    }
)
CLIENT_EVENTS = CLIENT_WORDS.map(lambda words: Event(**words))


@DOOR
@given(CLIENT_EVENTS)
def test_a_clients_event_comes_back_from_the_ledger_as_it_went(event: Event) -> None:
    stored = orjson.loads(orjson.dumps(client_payload(event)))
    assert read(stored, "client") == event


def test_a_clients_event_keeps_its_microsecond() -> None:
    event = client_joined("14:00:00.123456", claims="PA_1", name="Ada")
    assert read(client_payload(event), "client") == event
    assert read(client_payload(client_left()), "client") == client_left()


def test_a_session_made_for_the_longest_room_name_can_be_joined_by_hand() -> None:
    name = "x" * MAX_ID_BYTES
    event = client_joined(session=f"{name}@2026-11-23", room_name=name)
    assert read(client_payload(event), "client") == event
    assert len((event.session_id or "").encode()) == MAX_SESSION_ID_BYTES


@pytest.mark.parametrize(
    "words",
    [
        {"event": "participant_joined"},
        {"event": None},
        {"id": None},
        {"createdAtUs": None},
        {"createdAtUs": "soon"},
        {"user_id": None},
        {"user_id": "x" * 257},
        {"session_id": "x" * 268},
        {"visit": None},
        {"visit": 5},
        {"participant_sid": 5},
        {"room_name": []},
        {"name": {}},
    ],
    ids=str,
)
def test_what_no_client_event_looks_like_is_unreadable(words: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read(client_payload(client_joined()) | words, "client")
