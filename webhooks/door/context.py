"""What every view needs at its door: what its process works with, and the present."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import current_app

from webhooks.door.admission import Admission
from webhooks.door.callers import Callers
from webhooks.door.room_access import RoomAccess
from webhooks.door.unsent import Unsent
from worker.inbox.group_commit import GroupCommit
from worker.inbox.rejections import Rejections
from worker.inbox.spool_copier import SpoolCopier
from worker.jobs.local_drain import LocalDrain
from worker.process.backend import Backend

EXTENSION = "rollcall"


@dataclass(slots=True)
class Context:
    """What one process works with. `unhurried` is for operators, whose requests may take their
    time: a slow count on `backend` would look like an outage, and trip its breaker for everybody.
    """

    backend: Backend
    unhurried: Backend
    callers: Callers
    group_commit: GroupCommit
    local_drain: LocalDrain
    spool_copier: SpoolCopier
    rejections: Rejections
    admission: Admission
    unsent: Unsent
    room_access: RoomAccess


def context() -> Context:
    kept: Context = current_app.extensions[EXTENSION]
    return kept


def backend() -> Backend:
    return context().backend


def unhurried() -> Backend:
    return context().unhurried


def present() -> datetime:
    """Now, once a request: it is handed down from there."""
    return datetime.now(UTC)
