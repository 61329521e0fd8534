"""The peer's job: one event, one commit."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

from livekit.protocol.webhook import WebhookEvent
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.bench.peer.tables import Attendance, engine


@cache
def sessions() -> sessionmaker[Session]:
    return sessionmaker(engine(os.environ["DATABASE_URL"]))


def told(event: WebhookEvent) -> dict[str, Any]:
    """What the job needs of an event."""
    return {
        "event": event.event,
        "room": event.room.name,
        "sid": event.participant.sid,
        "identity": event.participant.identity,
        "name": event.participant.name,
        "created_at": event.created_at,
    }


def apply(*, event: str, room: str, sid: str, identity: str, name: str, created_at: int) -> None:
    """Record a join, or the end of the visit that it began."""
    at = datetime.fromtimestamp(created_at, UTC)
    with sessions()() as session:
        found = session.scalar(select(Attendance).where(Attendance.participant_sid == sid))
        if found is None:
            found = Attendance(
                participant_sid=sid, room=room, identity=identity, name=name, joined_at=at
            )
            session.add(found)
        if event == "participant_left":
            found.left_at = at
        session.commit()
