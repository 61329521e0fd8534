"""What every view needs at its door: this process's backend, and the present."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import current_app

from webhooks.door.admission import Admission
from webhooks.door.callers import Callers
from worker.inbox.group_commit import GroupCommit
from worker.inbox.rejections import Rejections
from worker.inbox.spool_copier import SpoolCopier
from worker.jobs.local_drain import Drainer
from worker.process.backend import Backend

EXTENSION = "rollcall"
DRAINER = "rollcall-drainer"
SLOT = "rollcall-slot"
CALLERS = "rollcall-callers"
UNHURRIED = "rollcall-unhurried"
INTAKE = "rollcall-intake"
REJECTIONS = "rollcall-rejections"
SPOOL_COPIER = "rollcall-spool-copier"


def backend() -> Backend:
    found: Backend = current_app.extensions[EXTENSION]
    return found


def unhurried() -> Backend:
    """A backend for operators' requests, which may take their time.

    A slow count on the other one would look like an outage, and trip its breaker for everybody.
    """
    found: Backend = current_app.extensions[UNHURRIED]
    return found


def drainer() -> Drainer:
    found: Drainer = current_app.extensions[DRAINER]
    return found


def slot() -> GroupCommit:
    found: GroupCommit = current_app.extensions[SLOT]
    return found


def rejections() -> Rejections:
    found: Rejections = current_app.extensions[REJECTIONS]
    return found


def spool_copier() -> SpoolCopier:
    found: SpoolCopier = current_app.extensions[SPOOL_COPIER]
    return found


def callers() -> Callers:
    found: Callers = current_app.extensions[CALLERS]
    return found


def intake() -> Admission:
    found: Admission = current_app.extensions[INTAKE]
    return found


def present() -> datetime:
    """Now, once a request: it is handed down from there."""
    return datetime.now(UTC)
