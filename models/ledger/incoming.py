"""Incoming events in LiveKit's form: what a webhook, an import and an inference go through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.domain import event as events
from models.domain.event import Event
from models.domain.facts import Source
from models.tables import webhook_event


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event, with the part of its payload that is kept."""

    event: Event
    payload: dict[str, Any]

    def row(self, received_at: datetime) -> dict[str, Any]:
        """Its row of the inbox."""
        return webhook_event.pending_row(self.event, self.payload, received_at=received_at)


def read(body: bytes, source: Source = "livekit", *, now: datetime) -> Incoming | None:
    """The event of a body; None when its kind says nothing about attendance. Raises Unreadable."""
    payload = events.parse(body)
    if source != "reconciler" and events.is_unused(payload):
        return None
    payload = events.redact(payload)
    event = events.read(payload, source)
    events.check_not_ahead(event, now=now)
    return Incoming(event, payload)
