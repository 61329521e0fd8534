"""Query words: what no door knows is refused everywhere, for a misspelt filter would mean more."""

from __future__ import annotations

from flask import Flask

from tests.build import joined
from tests.doors import (
    Rollcall,
    ago,
    bearer,
    drain,
    on_postgresql,
    on_sqlite,
    ops_token,
    token,
)
from webhooks.openapi.document import operations

TOKENS = {"operator": ops_token, "administrator": ops_token, "participant": token}


def doors(app: Flask) -> list[tuple[str, str, str]]:
    """The method, the path and whose token opens it, of each door that takes one of theirs."""
    return [
        (method, path, declared.tokens[-1])
        for rule, declared in operations(app)
        if declared.tokens and "webhook" not in declared.tokens
        for _, path in [rule.build(dict.fromkeys(rule.arguments, "quran-98")) or ("", "")]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


@on_sqlite
def test_every_door_refuses_a_query_word_that_it_does_not_know(app: Flask) -> None:
    client = app.test_client()
    assert len(doors(app)) > 20
    for method, path, whose in doors(app):
        headers = bearer(TOKENS[whose]())
        answer = client.open(f"{path}?nonsense=1", method=method, headers=headers)
        assert answer.status_code == 400, (method, path)
        wrong = {"field": "nonsense", "message": "is not known here"}
        assert answer.get_json()["errors"][0] == wrong, (method, path)


@on_postgresql
def test_a_replay_whose_dry_run_stands_in_the_query_replays_nothing(rollcall: Rollcall) -> None:
    rollcall.send(joined(ago(10)))
    drain(rollcall.backend)
    answer = rollcall.client.post(
        "/api/events/replay?dry_run=true",
        json={"event": "participant_joined", "status": "applied"},
        headers=bearer(ops_token()),
    )
    assert answer.status_code == 400
    listed = rollcall.client.get("/api/events", headers=bearer(ops_token())).get_json()
    [event] = listed["events"]
    assert event["status"] == "applied"
