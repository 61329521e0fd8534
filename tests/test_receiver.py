"""The receiver's table of answers: what arrives, how it is answered, what is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from io import RawIOBase
from time import monotonic
from typing import Any

import jwt
import pytest

from models.domain.event import Event
from models.settings.settings import Settings
from models.storage import db
from models.tables import webhook_event
from tests.build import (
    KEY,
    SECRET,
    aborted,
    joined,
    left,
    room_finished,
    room_started,
    signed,
    webhook,
)
from tests.doors import (
    CHUNKED,
    Rollcall,
    disconnect,
    on_postgresql,
    on_sqlite,
    problem,
    serving,
    token,
    token_of,
    told,
    wait_for,
)
from tests.faults import free_port
from webhooks.door import verify
from worker.inbox import bell
from worker.process.backend import Backend

GOOD = joined("14:00", user="5", name="Aisha", room_created="13:50")


def unreadable(**changes: Any) -> dict[str, Any]:
    """A good webhook with some of its words put wrong; None takes a word away."""
    return {word: it for word, it in (webhook(GOOD) | changes).items() if it is not None}


# --- what we use ----------------------------------------------------------------------------------


def test_a_good_event_is_acknowledged_with_nothing_and_stored(rollcall: Rollcall) -> None:
    answer = rollcall.post(*signed(webhook(GOOD)))
    assert (answer.status_code, answer.data) == (204, b"")
    [row] = rollcall.ledger()
    assert row["received_at"] > row["created_at"] == GOOD.created_at
    expected = {
        "event_id": GOOD.event_id,
        "event": "participant_joined",
        "source": "livekit",
        "room_sid": "RM_1",
        "room_name": "quran-98",
        "participant_sid": "PA_1",
        "user_id": "5",
        "session_id": None,
        "status": "pending",
        "attempts": 0,
        "error": None,
    }
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    "event",
    [joined(), left(), aborted(), room_started(), room_finished()],
    ids=lambda event: str(event.event),
)
def test_each_kind_that_tells_of_attendance_is_stored(rollcall: Rollcall, event: Event) -> None:
    assert rollcall.send(event) == [204]
    assert [row["event"] for row in rollcall.ledger()] == [event.event]


def test_the_path_may_end_in_a_slash(rollcall: Rollcall) -> None:
    body, signature = signed(webhook(joined()))
    headers = {"Authorization": signature}
    answer = rollcall.client.post("/webhooks/livekit/", data=body, headers=headers)
    assert answer.status_code == 204
    assert len(rollcall.ledger()) == 1


def test_an_event_that_we_have_is_acknowledged_and_kept_once(rollcall: Rollcall) -> None:
    retry = signed(webhook(GOOD))
    assert [rollcall.post(*retry).status_code for _ in range(3)] == [204, 204, 204]
    assert rollcall.send(GOOD) == [204], "signed anew, as LiveKit does for each of its URLs"
    assert len(rollcall.ledger()) == 1


def test_it_is_known_whether_an_event_is_new(backend: Backend) -> None:
    row = webhook_event.pending_row(GOOD, {}, received_at=datetime.now(UTC))
    for new in (True, False):
        with db.inserting(backend.engine) as conn:
            assert webhook_event.insert_rows(conn, [row]) == ({row["event_id"]} if new else set())


def test_an_applied_event_that_comes_again_stays_applied(rollcall: Rollcall) -> None:
    rollcall.deliver(GOOD)
    rollcall.deliver(GOOD)
    assert [row["status"] for row in rollcall.ledger()] == ["applied"]


def test_what_is_stored_rings_the_bell_once_for_all(rollcall: Rollcall) -> None:
    rollcall.send(*(joined("14:00", sid=f"PA_{n}") for n in range(5)))
    assert bell.queue(rollcall.backend.redis).count == 1


# --- what we don't use ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event", ["track_published", "track_unpublished", "egress_started", "ingress_ended", "new_one"]
)
def test_a_kind_that_we_dont_use_is_acknowledged_and_not_stored(
    rollcall: Rollcall, event: str
) -> None:
    assert rollcall.send(webhook(GOOD) | {"event": event}) == [204]
    assert rollcall.ledger() == []
    assert bell.queue(rollcall.backend.redis).count == 0


def test_an_unused_kind_may_be_of_any_shape(rollcall: Rollcall) -> None:
    assert rollcall.send({"event": "new_one", "room": 5, "createdAt": "soon"}) == [204]


# --- signed, but unreadable -----------------------------------------------------------------------

UNREADABLE: Mapping[str, dict[str, Any] | bytes] = {
    "no JSON": b"participant_joined Aisha",
    "no object": b'["participant_joined", "Aisha"]',
    "nothing": b"",
    "not UTF-8": b'{"event": "participant_joined", "name": "\xff"}',
    "no kind": unreadable(event=None),
    "a number for a kind": unreadable(event=5),
    "no id": unreadable(id=None),
    "an empty id": unreadable(id=""),
    "a long id": unreadable(id="EV_" + "x" * 254),
    "no time": unreadable(createdAt=None),
    "a time that is no number": unreadable(createdAt="soon"),
    "a fraction of a second": unreadable(createdAt=1795447676.5),
    "a time before 1970": unreadable(createdAt="-1"),
    "a time beyond all calendars": unreadable(createdAt="99999999999999"),
    "a time beyond 64 bits": unreadable(createdAt=10**25),
    "no room": unreadable(room=None),
    "a room without a sid": unreadable(room={"name": "quran-98"}),
    "a room without a name": unreadable(room={"sid": "RM_1"}),
    "a room that is a word": unreadable(room="quran-98"),
    "nobody": unreadable(participant=None),
    "a participant without an identity": unreadable(participant={"sid": "PA_1"}),
    "a list for an identity": unreadable(participant={"sid": "PA_1", "identity": ["5"]}),
    "a long identity": unreadable(participant={"sid": "PA_1", "identity": "é" * 129}),
    "a join out of range": unreadable(
        participant={"sid": "PA_1", "identity": "5", "joinedAt": "99999999999999"}
    ),
}


@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_signed_but_unreadable_is_a_400_and_kept_without_its_body(
    rollcall: Rollcall, payload: dict[str, Any] | bytes
) -> None:
    body, signature = signed(payload)
    answers = [rollcall.post(body, signature) for _ in range(2)]
    assert [problem(answer) for answer in answers] == [(400, "unreadable")] * 2
    [row] = rollcall.ledger()
    assert row["event_id"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert (row["status"], row["payload"]) == ("unreadable", None)
    assert f"({len(body)} bytes)" in row["error"]
    assert "Aisha" not in repr(row) + answers[0].text


def test_what_is_unreadable_rings_no_bell_and_holds_nothing_up(rollcall: Rollcall) -> None:
    assert rollcall.send(b"garbage", GOOD) == [400, 204]
    assert rollcall.drain() == 1
    assert [row["status"] for row in rollcall.ledger()] == ["unreadable", "applied"]


# --- not LiveKit ----------------------------------------------------------------------------------


def forged() -> Iterator[tuple[str, bytes, str | None]]:
    """Webhooks that nobody should believe, each with the reason for not doing so."""
    payload, now = webhook(GOOD), datetime.now(UTC)
    body, good = signed(payload)
    claims = jwt.decode(good, options={"verify_signature": False})
    yield "missing", body, None
    yield "malformed", body, "garbage"
    yield "malformed", body, f"Bearer {good}"
    yield "too_long", body, "x" * 65_537
    yield "unknown_key", body, signed(payload, key="nobody")[1]
    yield "algorithm", body, jwt.encode(claims, None, algorithm="none")
    yield "signature", body, signed(payload, secret=SECRET.upper())[1]
    yield "no_expiry", body, token_of(exp=None, sha256="x")
    yield "bad_time", body, token_of(exp="tomorrow", sha256="x")
    yield "expired", body, signed(payload, now=now - timedelta(minutes=7))[1]
    yield "not_yet_valid", body, signed(payload, now=now + timedelta(minutes=7))[1]
    yield "bad_claim", body, token_of(aud="somebody", sha256="x")
    yield "numeric_sub", body, token_of(sub=5, sha256="x")
    yield "no_sha256", body, token("5", "quran-98", roomAdmin=True)
    yield "bad_sha256", body, token_of(sha256="x")
    yield "other_body", body + b" ", good


@on_sqlite
def test_what_livekit_did_not_send_is_a_401_with_its_reason_and_leaves_nothing(
    rollcall: Rollcall,
) -> None:
    for reason, body, signature in forged():
        assert problem(rollcall.post(body, signature)) == (401, reason)
    assert {reason for reason, _, _ in forged()} == set(verify.REASONS)
    assert rollcall.ledger() == []
    assert bell.queue(rollcall.backend.redis).count == 0


@on_sqlite
def test_a_webhook_of_any_configured_key_is_good(settings: Settings) -> None:
    more = {"new": f"fresh-{SECRET}", "old": f"stale-{SECRET}"}
    pairs = ", ".join(f"{key}: {secret}" for key, secret in more.items())
    with serving(settings.model_copy(update={"livekit_keys": pairs})) as rollcall:
        for key, secret in ({KEY: SECRET} | more).items():
            body, signature = signed(webhook(joined(sid=f"PA_{key}")), key=key, secret=secret)
            assert rollcall.post(body, signature).status_code == 204
        assert len(rollcall.ledger()) == 3


# --- too large ------------------------------------------------------------------------------------


class Unread(RawIOBase):
    """A body on the wire that nobody may read."""

    def readinto(self, _: Any) -> int:
        raise AssertionError("The body was read.")


@on_sqlite
def test_a_larger_body_is_a_413_and_is_not_read(rollcall: Rollcall) -> None:
    length = rollcall.backend.settings.max_body_bytes + 1
    on_the_wire = {"wsgi.input": Unread(), "CONTENT_LENGTH": str(length)}
    answer = rollcall.client.post("/webhooks/livekit", environ_overrides=on_the_wire)
    assert problem(answer) == (413, "request-entity-too-large")
    assert rollcall.ledger() == []


@on_sqlite
def test_the_largest_body_is_read(settings: Settings) -> None:
    body = json.dumps(webhook(GOOD)).encode()
    with serving(settings.model_copy(update={"max_body_bytes": 4096})) as rollcall:
        assert rollcall.send(body.ljust(4096), body.ljust(4097)) == [204, 413]


@on_sqlite
def test_a_chunked_body_is_read_to_its_end_or_refused_never_cut(settings: Settings) -> None:
    body = json.dumps(webhook(GOOD)).encode()
    with serving(settings.model_copy(update={"max_body_bytes": 4096})) as rollcall:

        def answered(sent: bytes) -> int:
            _, signature = signed(sent)
            return rollcall.client.post(
                "/webhooks/livekit",
                data=sent,
                headers={"Authorization": signature},
                environ_overrides=CHUNKED,
            ).status_code

        assert [answered(body.ljust(size)) for size in (4095, 4096, 4097)] == [204, 204, 413]


# --- what is kept ---------------------------------------------------------------------------------


def test_no_secret_and_no_private_word_is_stored(rollcall: Rollcall) -> None:
    payload = webhook(GOOD._replace(kind="AGENT", hidden=True, named_session="98"))
    payload["room"]["metadata"] = json.dumps({"session_id": "98", "diagnosis": "private"})
    assert rollcall.send(payload | {"token": "private", "egressInfo": {"key": "private"}}) == [204]
    [row] = rollcall.ledger()
    assert row["payload"] == {
        "event": "participant_joined",
        "id": GOOD.event_id,
        "createdAt": "1795442400",
        "room": {
            "sid": "RM_1",
            "name": "quran-98",
            "creationTime": "1795441800",
            "creationTimeMs": "1795441800000",
            "metadata": '{"session_id":"98"}',
        },
        "participant": {
            "sid": "PA_1",
            "identity": "5",
            "name": "Aisha",
            "kind": "AGENT",
            "state": "ACTIVE",
            "joinedAt": "1795442400",
            "joinedAtMs": "1795442400000",
            "permission": {"hidden": True},
        },
    }


def test_a_nul_becomes_the_replacement_character(rollcall: Rollcall) -> None:
    event = joined(user="a\0b", name="\0", room_name="r\0", sid="PA_\0", room="RM_\0")
    body = json.dumps(webhook(event)).encode()
    assert rollcall.send(body.replace(b"private", rb"\\u0000")) == [204], "escaped: no NUL"
    assert rollcall.drain() == 1
    [row] = rollcall.ledger()
    assert (row["status"], row["user_id"], row["room_name"]) == ("applied", "a\ufffdb", "r\ufffd")
    assert told(rollcall.roster("r\ufffd"))["attendances"][0]["name"] == "\ufffd"


def test_a_long_name_is_cut_and_counts(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(name="ع" * 300))
    assert told(rollcall.roster("quran-98"))["attendances"][0]["name"] == "ع" * 256


# --- outages: more in test_outages.py -------------------------------------------------------------


@on_sqlite
def test_with_nowhere_to_keep_it_it_is_a_503_at_once_that_livekit_sends_again(
    settings: Settings,
) -> None:
    away = {
        "database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/rollcall",
        "redis_url": f"redis://127.0.0.1:{free_port()}/0",
    }
    with serving(settings.model_copy(update=away)) as rollcall:
        started = monotonic()
        answers = [rollcall.post(*signed(webhook(GOOD))), rollcall.post(*signed(b"garbage"))]
        assert monotonic() - started < 2
        for answer in answers:
            assert problem(answer) == (503, "database-down")
            assert answer.headers["Retry-After"] == "7"


@on_postgresql
def test_the_first_event_after_a_restart_of_the_database_is_kept(
    rollcall: Rollcall, postgres_url: str
) -> None:
    assert rollcall.send(GOOD) == [204]
    disconnect(postgres_url)
    assert rollcall.send(joined(sid="PA_2")) == [204]
    wait_for(lambda: not rollcall.backend.engine.get_execution_options()["breaker"].is_open)
    rollcall.drain()
    assert {row["participant_sid"] for row in rollcall.ledger()} == {"PA_1", "PA_2"}
