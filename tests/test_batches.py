"""Facts that are gathered of many sessions together are those of each alone, value for value."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from sqlalchemy import select

from models.lookup import batches, session_facts
from models.lookup import reach as reaching
from models.storage import db
from models.storage.engine import make_engine
from models.tables.session import sessions
from tests.test_reach import USERS, school, stored

SEEDS = range(8)


@pytest.mark.parametrize("user_id", [None, USERS[0]])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_gathered_together_is_what_is_gathered_alone(
    seed: int, user_id: str | None, database_url: str
) -> None:
    made = school(seed)
    rules = made.settings.rules
    engine = make_engine(database_url)
    with ExitStack() as at_last, db.writing(engine) as conn:
        at_last.callback(engine.dispose)
        stored(conn, made)
        people = [user_id] if user_id else None
        ids = list(conn.execute(select(sessions.c.id).order_by(sessions.c.id)).scalars())
        together = {
            each.facts.meeting.session.id: each
            for each in batches.of_sessions(conn, [*ids, "nobody's"], rules=rules, user_ids=people)
        }
        for session_id in ids:
            alone = session_facts.facts(conn, session_id, rules=rules)
            if alone is None:
                assert session_id not in together
                continue
            gathered = together.pop(session_id)
            assert gathered.facts == alone
            cycles = reaching.within(conn, alone.reach, user_id=user_id)
            assert gathered.cycles == session_facts.by_user(cycles)
        assert together == {}
