"""The session that a request means, as the tables have it and as far as its caller may see it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from models.lookup import session_facts
from models.lookup.meetings import Facts
from webhooks.door import address
from webhooks.door.callers import Caller
from webhooks.door.context import backend


def facts(conn: Connection, caller: Caller, asked: str, *, now: datetime) -> Facts | None:
    """What everybody's attendance follows from; None when nothing is known of it yet.

    Raises Problem: 403 or 404, as `address.visible` does.
    """
    rules = backend().rules
    known = session_facts.facts_at(conn, asked, user_id=None, now=now, rules=rules)
    if address.is_another_rooms(caller, known.meeting if known else None, asked):
        known = session_facts.facts_of_name(conn, asked, user_id=None, now=now, rules=rules)
    meeting = address.visible(caller, known.meeting if known else None, asked, None, now=now)
    return replace(known, meeting=meeting) if known and meeting else None
