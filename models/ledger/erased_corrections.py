"""Corrections without a person who is erased: whom they are about, and who made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, bindparam, update

from models.domain import correction_payload
from models.domain.corrections import Correction
from models.domain.event import CORRECTED, CORRECTION_UNDONE
from models.storage import bulk
from models.tables import correction, session
from models.tables.correction import NAMING, corrections
from models.tables.webhook_event import webhook_events


def joined(
    conn: Connection, user_id: str, theirs: Iterable[Correction], session_ids: Iterable[str]
) -> list[set[str]]:
    """For each room for which corrections say for always who this person is, or that somebody is
    this person: the sessions in which one of these was made, and those of the person's
    (`session_ids`) in which one counts.

    It names one identity in all of these, so the person needs one pseudonym there: with another
    one in each, they would be two people in all but one of them.
    """
    always = defaultdict[str, list[Correction]](list)
    for each in theirs:
        if each.always and each.undone_at is None and each.names(user_id):
            always[each.room_name].append(each)
    known = session.of_ids(conn, session_ids).values() if always else ()
    return [
        {made.session_id for made in of_room}
        | {each.id for each in known if any(map(each.takes, of_room))}
        for of_room in always.values()
    ]


def rename(
    conn: Connection, user_id: str, theirs: Iterable[Correction], pseudonyms: Mapping[str, str]
) -> None:
    """Put the person's pseudonyms, by session id, into their corrections and into the events of
    those. Reasons go where they are about the person: they may name them."""
    by_id = sorted(theirs, key=lambda each: each.id)  # the order in which rows are locked
    renamed = [_renamed(each, user_id, pseudonyms) for each in by_id]
    bulk.upsert(conn, corrections, [correction.as_row(each) for each in renamed])
    events = [row for each in renamed for row in _events(each)]
    if not events:
        return
    values: dict[str, Any] = {
        "user_id": bindparam("person"),
        "payload": bindparam("rewritten"),
        "error": None,
    }
    of_event = webhook_events.c.event_id == bindparam("of_event")
    conn.execute(update(webhook_events).where(of_event).values(values), events)


def _renamed(before: Correction, user_id: str, pseudonyms: Mapping[str, str]) -> Correction:
    pseudonym = pseudonyms.get(before.session_id) or f"erased-{uuid4().hex}"
    changes: dict[str, Any] = {
        name: pseudonym for name in NAMING if getattr(before, name) == user_id
    }
    if before.names(user_id):
        changes["reason"] = None
    return replace(before, **changes)


def _events(after: Correction) -> list[dict[str, Any]]:
    """The rows of the event that made it and of the one that undid it, if any, as they are now."""
    made = replace(after, undone_at=None, undone_by=None)
    events = [(made, CORRECTED, after.id, after.made_at)]
    if after.undone_at is not None:
        undone_id = correction_payload.undoing(after.id)
        events.append((after, CORRECTION_UNDONE, undone_id, after.undone_at))
    return [
        {
            "of_event": event_id,
            "person": after.user_id,
            "rewritten": correction_payload.write(each, event=kind, event_id=event_id, at=at),
        }
        for each, kind, event_id, at in events
    ]
