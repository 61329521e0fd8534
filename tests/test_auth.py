"""Who may ask: LiveKit's own access tokens, row by row, and nothing but their grants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from werkzeug.test import TestResponse

from models.settings.settings import Settings
from tests.build import SECRET, joined, signed
from tests.doors import (
    Rollcall,
    ago,
    bearer,
    on_sqlite,
    ops_token,
    problem,
    serving,
    session_url,
    token,
    token_of,
    told,
)

pytestmark = on_sqlite

ROOM, OTHERS = "quran-98", "math-7"

PARTICIPANT = token("5", ROOM)
TEACHER = token("teacher", ROOM, roomAdmin=True)
ADMIN_ONLY = token_of(video={"roomAdmin": True, "room": ROOM})
STRANGER = token("5", OTHERS)
OTHERS_TEACHER = token("teacher", OTHERS, roomAdmin=True)
OPERATOR = ops_token()

NOT_ENOUGH = {
    "lists rooms only": token_of(sub="5", video={"roomList": True}),
    "creates rooms only": token_of(sub="5", video={"roomCreate": True}),
    "a server's, for one room": token_of(
        video={"roomList": True, "roomCreate": True, "room": OTHERS}
    ),
    "joins no room in particular": token_of(sub="5", video={"roomJoin": True}),
    "nobody's": token_of(video={"roomJoin": True, "room": ROOM}),
    "joins not": token_of(sub="5", video={"roomJoin": False, "room": ROOM}),
    "a word for a grant": token_of(sub="5", video={"roomJoin": "true", "room": ROOM}),
    "a number for a grant": token_of(sub="5", video={"roomJoin": 1, "room": ROOM}),
    "a list for a room": token_of(sub="5", video={"roomJoin": True, "room": [ROOM]}),
    "no grants": token_of(sub="5"),
    "only attributes": token_of(
        sub="5", attributes={"roomAdmin": "true", "room": ROOM}, metadata='{"roomAdmin": true}'
    ),
    "for publishing": token_of(sub="5", video={"canPublish": True, "room": ROOM}),
}

Ask = Callable[[Rollcall, str], TestResponse]


def own_status(rollcall: Rollcall, of: str) -> TestResponse:
    return rollcall.status("98", of=of, user_id="5")


def their_status(rollcall: Rollcall, of: str) -> TestResponse:
    return rollcall.status("98", of=of, user_id="6")


def whole_roster(rollcall: Rollcall, of: str) -> TestResponse:
    return rollcall.roster("98", of=of)


def manual_join(rollcall: Rollcall, of: str) -> TestResponse:
    return rollcall.join("98", of=of)


def one_session(rollcall: Rollcall, of: str) -> TestResponse:
    return rollcall.client.get(session_url("98"), headers=bearer(of))


def all_sessions(rollcall: Rollcall, of: str) -> TestResponse:
    return rollcall.client.get("/api/sessions", headers=bearer(of))


def a_registration(rollcall: Rollcall, of: str) -> TestResponse:
    return rollcall.client.put(session_url("98"), json={}, headers=bearer(of))


def its_withdrawal(rollcall: Rollcall, of: str) -> TestResponse:
    return rollcall.client.delete(session_url("98"), headers=bearer(of))


FOR_ONESELF: list[Ask] = [own_status]
FOR_EVERYBODY: list[Ask] = [their_status, whole_roster]
FOR_OPERATORS: list[Ask] = [one_session, all_sessions, a_registration, its_withdrawal]
EVERYTHING = [*FOR_ONESELF, manual_join, *FOR_EVERYBODY, *FOR_OPERATORS]


@pytest.fixture
def begun(rollcall: Rollcall) -> Rollcall:
    """Persons 5 and 6 are in room quran-98, whose class is session 98."""
    rollcall.put("98", room_name=ROOM)
    rollcall.deliver(joined(ago(9)), joined(ago(8), sid="PA_6", user="6"))
    return rollcall


def allowed(rollcall: Rollcall, of: str) -> set[str]:
    """What a token opens; everything else must be the same 403."""
    answers = {ask.__name__: ask(rollcall, of) for ask in EVERYTHING}
    refused = [answer for answer in answers.values() if answer.status_code >= 400]
    assert {problem(answer) for answer in refused} <= {(403, "forbidden")}
    # Of the token itself one may learn what is wrong with it.
    refusals = {answer.data for answer in refused if b"flask token --ops" not in answer.data}
    assert len(refusals) <= 1, "a refusal tells nothing"
    return {name for name, answer in answers.items() if answer.status_code < 300}


def names(*asks: Ask) -> set[str]:
    return {ask.__name__ for ask in asks}


# --- the table ------------------------------------------------------------------------------------


def test_a_participant_sees_and_tells_of_themselves(begun: Rollcall) -> None:
    assert allowed(begun, PARTICIPANT) == names(*FOR_ONESELF, manual_join)


def test_a_rooms_admin_sees_everybody_there(begun: Rollcall) -> None:
    of_admins = names(*FOR_ONESELF, *FOR_EVERYBODY, all_sessions)
    assert allowed(begun, TEACHER) == of_admins | names(manual_join)
    assert allowed(begun, ADMIN_ONLY) == of_admins


def test_a_server_does_everything_but_be_there(begun: Rollcall) -> None:
    assert allowed(begun, OPERATOR) == names(*FOR_ONESELF, *FOR_EVERYBODY, *FOR_OPERATORS)


@pytest.mark.parametrize("of", [STRANGER, OTHERS_TEACHER], ids=["participant", "admin"])
def test_another_rooms_token_opens_nothing_here(begun: Rollcall, of: str) -> None:
    opens = allowed(begun, of)
    if of == OTHERS_TEACHER:  # the list of their own room's sessions
        assert opens == names(all_sessions)
        assert told(all_sessions(begun, of))["sessions"] == []
    else:
        assert opens == set()


@pytest.mark.parametrize("of", NOT_ENOUGH.values(), ids=NOT_ENOUGH)
def test_a_token_without_the_grants_opens_nothing(begun: Rollcall, of: str) -> None:
    assert allowed(begun, of) == set()


def test_an_unknown_session_and_a_forbidden_one_are_told_apart_by_nobody_but_operators(
    begun: Rollcall,
) -> None:
    begun.put("7", room_name=OTHERS)
    for of in (PARTICIPANT, TEACHER):
        for ask in (begun.status, begun.roster, begun.join):
            unknown, forbidden = ask("nowhere", of=of), ask("7", of=of)
            assert problem(unknown) == (403, "forbidden")
            assert (unknown.data, unknown.headers["Content-Type"]) == (
                forbidden.data,
                forbidden.headers["Content-Type"],
            )
    assert problem(begun.status("nowhere", of=OPERATOR, user_id="5")) == (404, "no-session")
    assert problem(begun.roster("nowhere", of=OPERATOR)) == (404, "no-session")


def test_a_session_is_its_rooms_and_of_every_room_that_it_really_had(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name=ROOM, rooms=[OTHERS])
    rollcall.deliver(joined(ago(9), room="RM_2", room_name=OTHERS, names="98"))
    assert told(rollcall.status("98", of=STRANGER))["is_currently_in_meeting"] is True
    assert rollcall.status("98", of=PARTICIPANT).status_code == 200
    assert rollcall.status("98", of=token("5", "third")).status_code == 403


def test_whose_status_it_is_must_be_said_when_the_token_is_nobodys(begun: Rollcall) -> None:
    for of in (OPERATOR, ADMIN_ONLY):
        assert problem(begun.status("98", of=of)) == (400, "no-user")


def test_an_operator_hears_of_anybody(begun: Rollcall) -> None:
    seen = told(begun.status("98", of=OPERATOR, user_id="never came"))
    assert (seen["user_id"], seen["attendance_status"]) == ("never came", "not_joined")


# --- no token, or not a genuine one ---------------------------------------------------------------

GENUINE: dict[str, Any] = {"sub": "5", "video": {"roomJoin": True, "room": ROOM}}


def signed_otherwise(algorithm: str) -> str:
    now_s = int(datetime.now(UTC).timestamp())
    claims = GENUINE | {"iss": "devkey", "exp": now_s + 60}
    return jwt.encode(claims, SECRET * 2 if algorithm != "none" else None, algorithm=algorithm)


def seconds(ahead: float) -> int:
    return int(datetime.now(UTC).timestamp() + ahead)


BAD: list[tuple[str, str, str]] = [
    ("malformed", "garbage", "garbage"),
    ("malformed", "not ASCII", "é.é.é"),
    ("unknown_key", "another key", token_of(key="nobody", **GENUINE)),
    ("signature", "another secret", token_of(secret=SECRET.upper(), **GENUINE)),
    ("algorithm", "no signature", signed_otherwise("none")),
    ("algorithm", "another algorithm", signed_otherwise("HS512")),
    ("expired", "long ago", token_of(**GENUINE, exp=seconds(-61))),
    ("not_yet_valid", "tomorrow", token_of(**GENUINE, nbf=seconds(86_400))),
    ("no_expiry", "for ever", token_of(**GENUINE, exp=None)),
    ("webhook-token", "of everything", token_of(**GENUINE, sha256="")),
]


@pytest.mark.parametrize(("reason", "why", "of"), BAD, ids=[why for _, why, _ in BAD])
def test_a_token_that_is_not_genuine_is_a_401_with_its_reason(
    begun: Rollcall, reason: str, why: str, of: str
) -> None:
    assert_401_everywhere(begun, of, reason, why)


def test_a_webhooks_token_opens_nothing(begun: Rollcall) -> None:
    """Its own life is shorter than the tests take: it is signed only now."""
    _, of = signed(b"{}")
    assert_401_everywhere(begun, of, "webhook-token", "a webhook's")


def assert_401_everywhere(rollcall: Rollcall, of: str, reason: str, why: str) -> None:
    for ask in EVERYTHING:
        answer = ask(rollcall, of)
        assert problem(answer) == (401, reason), why
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "missing"),
        ("", "malformed"),
        ("Bearer", "malformed"),
        ("Bearer ", "malformed"),
        (PARTICIPANT, "malformed"),
        (f"Basic {PARTICIPANT}", "malformed"),
    ],
)
def test_the_header_is_bearer_and_the_token(
    begun: Rollcall, header: str | None, reason: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = begun.client.get(session_url("98", "attendance-status"), headers=headers)
    assert problem(answer) == (401, reason)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_any_case(begun: Rollcall, scheme: str) -> None:
    headers = {"Authorization": f"{scheme}  {PARTICIPANT} "}
    answer = begun.client.get(session_url("98", "attendance-status"), headers=headers)
    assert answer.status_code == 200


def test_clocks_may_differ_by_a_minute(begun: Rollcall) -> None:
    for name, value in (("exp", seconds(-50)), ("nbf", seconds(50))):
        assert begun.status("98", of=token_of(**GENUINE | {name: value})).status_code == 200


def test_every_configured_key_opens_and_one_that_was_taken_away_does_not(
    settings: Settings,
) -> None:
    new: dict[str, Any] = {"key": "newkey", "secret": f"new-{SECRET}"}
    pairs = {"livekit_keys": f"newkey: new-{SECRET}"}
    with serving(settings.model_copy(update=pairs)) as both:
        assert both.status(ROOM, of=token_of(**new, **GENUINE)).status_code == 200
        assert both.status(ROOM, of=PARTICIPANT).status_code == 200
    with serving(settings) as one:
        answer = one.status(ROOM, of=token_of(**new, **GENUINE))
        assert problem(answer) == (401, "unknown_key")


def test_an_identity_is_compared_as_it_is_stored(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(ago(3), user="a\0b"))
    seen = told(rollcall.status(ROOM, of=token("a\0b", ROOM)))
    assert (seen["user_id"], seen["is_currently_in_meeting"]) == ("a\ufffdb", True)


@pytest.mark.parametrize("identity", ["x" * 257, "é" * 129, "\0" * 86], ids=len)
def test_an_identity_that_livekit_would_not_take_is_nobody(
    rollcall: Rollcall, identity: str
) -> None:
    assert problem(rollcall.status(ROOM, of=token(identity, ROOM)))[0] in (400, 403)
    assert problem(rollcall.join(ROOM, of=token(identity, ROOM))) == (403, "forbidden")


def test_tokens_of_an_hour_are_good_for_no_longer(begun: Rollcall) -> None:
    exp = datetime.now(UTC) - timedelta(minutes=2)
    answer = begun.status("98", of=token_of(**GENUINE, exp=exp.timestamp()))
    assert problem(answer) == (401, "expired")


def test_an_operators_token_that_names_a_room_is_told_apart(rollcall: Rollcall) -> None:
    """`lk token create --create --list` makes one."""
    almost = token_of(video={"roomList": True, "roomCreate": True, "room": "room-8f31"})
    answer = rollcall.client.get("/api/events", headers=bearer(almost))
    assert problem(answer) == (403, "forbidden")
    assert answer.json is not None
    assert "flask token --ops" in answer.json["detail"]
