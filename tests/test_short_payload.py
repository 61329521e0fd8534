"""The payloads of the ledger: what the columns have is not stored again, and nothing is lost."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from models.domain import event as events
from models.domain.event import Known
from models.domain.json_fields import Unreadable
from models.ledger import erasure
from models.storage import db
from models.tables import short_payload, webhook_event
from models.tables.webhook_event import webhook_events
from tests.build import captured, captures, client_joined, joined, left, webhook
from tests.doors import Rollcall, bearer, ops_token, told
from tests.terminal import Terminal

NOW = datetime.now(UTC)
RECORDED = [
    events.redact(payload)
    for name in captures()
    for post in captured(name)
    if not events.is_unused(payload := events.parse(post.body))
]

SPOILING: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", 0, 1, True, "x", "17", "1795447883", "1795447883848", 1795447883848, {}, []]
)


def row_of(payload: dict[str, Any]) -> dict[str, Any]:
    return webhook_event.pending_row(events.read(payload), payload, received_at=NOW)


def stored_of(row: dict[str, Any]) -> Any:
    """As a database gives it back."""
    return orjson.loads(orjson.dumps(short_payload.shortened(row["payload"], row)))


def told_of(row: dict[str, Any]) -> webhook_event.Content:
    """What is read of its row."""
    return webhook_event.Content(
        **{name: row[name] for name in webhook_event.Content._fields} | {"payload": stored_of(row)}
    )


def test_every_recorded_payload_is_stored_short_and_comes_back_as_it_was() -> None:
    assert len(RECORDED) > 500
    for payload in RECORDED:
        row = row_of(payload)
        stored = stored_of(row)
        assert short_payload.restored(stored, row) == payload
        assert not {"event", "id", "createdAt"} & stored.keys()
        assert not {"sid", "name"} & stored["room"].keys()
        assert not {"sid", "identity"} & stored.get("participant", {}).keys()


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A recorded payload of which some words are gone, or say something else."""
    payload: dict[str, Any] = deepcopy(draw(st.sampled_from(RECORDED)))
    for _ in range(draw(st.integers(1, 3))):
        parts = [payload, *(part for part in payload.values() if isinstance(part, dict))]
        part = draw(st.sampled_from(parts))
        if part:
            word = draw(st.sampled_from(sorted(part)))
            part[word] = draw(SPOILING)
            if draw(st.booleans()):
                del part[word]
    return payload


@given(spoilt())
def test_whatever_a_payload_says_it_comes_back_as_it_was(payload: dict[str, Any]) -> None:
    try:
        row = row_of(payload)
    except Unreadable:
        return
    back = short_payload.restored(stored_of(row), row)
    assert orjson.dumps(back, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        payload, option=orjson.OPT_SORT_KEYS
    )


@given(st.sampled_from(RECORDED))
def test_what_is_short_is_not_made_shorter_and_what_is_whole_stays_so(
    payload: dict[str, Any],
) -> None:
    row = row_of(payload)
    stored = stored_of(row)
    assert short_payload.shortened(stored, row) == stored
    assert short_payload.restored(payload, row) == payload


@given(spoilt())
def test_an_event_is_read_from_its_row_as_from_its_payload(payload: dict[str, Any]) -> None:
    """A drain reads it from the columns and the rest, without putting the payload together."""
    try:
        event = events.read(payload)
    except Unreadable:
        return
    row = row_of(payload)
    assert told_of(row).read() == event


def test_every_recorded_event_is_read_from_columns_alone() -> None:
    for payload in RECORDED:
        row = row_of(payload)
        known = Known(**{name: row[name] for name in Known._fields})
        assert short_payload.leaves_to_columns(stored_of(row), known)


# --- on storage -----------------------------------------------------------------------------------


def payloads(rollcall: Rollcall) -> list[Any]:
    return [row["payload"] for row in rollcall.ledger()]


def by_id(rollcall: Rollcall) -> dict[str, Any]:
    """A busy machine spools some of them, and stores those later."""
    return {row["event_id"]: row["payload"] for row in rollcall.ledger()}


def test_operators_see_whole_payloads_and_the_table_has_short_ones(
    rollcall: Rollcall, terminal: Terminal
) -> None:
    sent = joined(event_id="in", name="Aisha", room_created="13:50")
    rollcall.deliver(sent)
    url = "/api/events/in"
    shown = told(rollcall.client.get(url, headers=bearer(ops_token())))["payload"]
    assert shown == events.redact(webhook(sent))
    assert terminal.json("events", "show", "in")["payload"] == shown
    with db.reading(rollcall.backend.engine) as conn:
        [stored] = conn.execute(select(webhook_events.c.payload)).scalars()
    assert stored == {
        "room": {"creationTimeMs": shown["room"]["creationTimeMs"]},
        "participant": {
            "name": "Aisha",
            "state": "ACTIVE",
            "joinedAtMs": shown["participant"]["joinedAtMs"],
        },
    }


def test_a_recorded_class_is_applied_replayed_and_rebuilt_from_short_payloads_to_the_same(
    rollcall: Rollcall, terminal: Terminal
) -> None:
    for post in captured("class_of_30"):
        rollcall.send(post.body)
    expected = {
        payload["id"]: events.redact(payload)
        for post in captured("class_of_30")
        if not events.is_unused(payload := events.parse(post.body))
    }
    rollcall.drain()
    assert by_id(rollcall) == expected
    facts = rollcall.facts()
    replay = "/api/events/replay"
    again = rollcall.client.post(replay, json={"status": "applied"}, headers=bearer(ops_token()))
    assert again.json == {"matched": 136, "requeued": 136, "rung": 136, "next": None}
    rollcall.drain()
    assert (rollcall.facts(), by_id(rollcall)) == (facts, expected)
    assert terminal.json("events", "verify")["differences"] == []


def test_whole_payloads_of_an_older_version_are_read_beside_short_ones(rollcall: Rollcall) -> None:
    rollcall.deliver(joined(sid="PA_1", name="Aisha"), left(sid="PA_1", name="Aisha"))
    facts = rollcall.facts()
    whole = events.redact(webhook(joined(sid="PA_1", name="Aisha")))
    first = webhook_events.c.event == events.JOINED
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(webhook_events).where(first).values(payload=whole, status="pending"))
    assert rollcall.drain() == 1
    assert rollcall.facts() == facts
    assert payloads(rollcall)[0] == whole


def test_a_client_s_event_comes_back_as_it_was(rollcall: Rollcall) -> None:
    rollcall.put("98", room_name="quran-98")
    visit = told(rollcall.join("98", name="Aisha"))["visit"]
    [payload] = payloads(rollcall)
    assert (payload["event"], payload["visit"], payload["name"]) == (
        "client_joined",
        visit,
        "Aisha",
    )
    event = client_joined(visit=visit, session="98", name="Aisha")
    again = events.client_payload(event)
    row = webhook_event.pending_row(event, again, received_at=NOW)
    assert stored_of(row) == {"name": "Aisha"}
    assert short_payload.restored({"name": "Aisha"}, row) == again


def test_an_erasure_leaves_no_name_in_a_short_payload_nor_in_a_whole_one(
    rollcall: Rollcall,
) -> None:
    rollcall.deliver(joined(sid="PA_1", name="Aisha"), left(sid="PA_1", name="Aisha"))
    whole = events.redact(webhook(left(sid="PA_1", name="Aisha")))
    last = webhook_events.c.event == events.LEFT
    with db.writing(rollcall.backend.engine) as conn:
        conn.execute(update(webhook_events).where(last).values(payload=whole))
        ids = conn.execute(select(webhook_events.c.id)).scalars().all()
        erasure.rewrite(conn, dict.fromkeys(ids, "erased-1"))
    for payload in payloads(rollcall):
        assert payload["participant"]["identity"] == "erased-1"
        assert "name" not in payload["participant"]
    assert "Aisha" not in str(rollcall.ledger())
