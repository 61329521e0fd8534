"""The Flask application: which doors there are. `create_app()` reads the environment."""

from __future__ import annotations

import sys

from flask import Flask
from flask_cors import CORS

from models.settings.settings import Settings, load_or_exit
from webhooks.api.corrections import corrections
from webhooks.api.deliveries import deliveries
from webhooks.api.events import events
from webhooks.api.health import health
from webhooks.api.join import join
from webhooks.api.metrics import metrics
from webhooks.api.reports import reports
from webhooks.api.roster import roster
from webhooks.api.sessions import sessions
from webhooks.api.status import status
from webhooks.api.users import users
from webhooks.door import problems, sending
from webhooks.door.admission import Admission
from webhooks.door.callers import Callers
from webhooks.door.context import EXTENSION, Context
from webhooks.door.prefix import UnderPrefix
from webhooks.door.responses import Response
from webhooks.door.room_access import RoomAccess
from webhooks.door.unsent import Unsent
from webhooks.pages.docs import docs
from webhooks.pages.manual import manual
from webhooks.pages.pages import pages
from webhooks.receiver import count_from_zero, receiver
from webhooks.server.connections import ConnectionReaper
from worker.inbox.group_commit import GroupCommit
from worker.inbox.rejections import Rejections
from worker.inbox.spool_copier import SpoolCopier
from worker.jobs.local_drain import LocalDrain
from worker.process import logs, memory
from worker.process.backend import REQUEST, Backend, Timeouts


def create_app(settings: Settings | None = None, timeouts: Timeouts = REQUEST) -> Flask:
    """The application on its own backend. A bad environment ends the process with a sentence."""
    if settings is None:
        settings = _settings()
    app = Flask(__name__, static_folder=None, template_folder="pages/templates")
    app.response_class = Response
    # Werkzeug would answer // with a redirect to what Host says, and Host is anybody's word.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    backend = Backend.of(settings, timeouts)
    local_drain = LocalDrain(settings)
    app.extensions[EXTENSION] = Context(
        backend=backend,
        unhurried=Backend.of(settings),
        callers=Callers(backend.keys),
        group_commit=GroupCommit(backend.engine),
        local_drain=local_drain,
        spool_copier=SpoolCopier(settings, local_drain.wake),
        rejections=Rejections(backend.redis, backend.keys),
        admission=Admission(settings.web_threads),
        unsent=Unsent(),
        room_access=RoomAccess(backend.engine, backend.rules),
    )
    problems.register(app)
    read = (status, roster, reports, events, health, metrics)
    changed = (join, sessions, corrections, deliveries, users)
    for door in (receiver, *read, *changed, docs, pages, manual):
        app.register_blueprint(door)
    count_from_zero()
    if settings.path_prefix:
        app.wsgi_app = UnderPrefix(app.wsgi_app, settings.path_prefix)  # type: ignore[method-assign]
    if settings.cors_origins:
        _allow_origins(app, settings)
    app.after_request(sending.hand_over)  # the first of them: they run from the last to the first
    return app


def create_served_app() -> Flask:
    """What the web process serves: the application, with a reaper for its connections.

    It looks into the spool from its start: a process before it may have left events there.
    """
    settings = _settings()
    reaper = ConnectionReaper(settings.port)
    reaper.start()
    app = create_app(settings)
    if sys.platform == "linux":
        app.extensions[EXTENSION].unsent.connections = reaper.unsent
    app.extensions[EXTENSION].spool_copier.start()
    memory.keep()
    return app


def _settings() -> Settings:
    settings = load_or_exit()
    logs.configure(settings, aside=True)
    return settings


def _allow_origins(app: Flask, settings: Settings) -> None:
    """Pages of these origins may poll; their token is a header, so no cookies are sent."""
    CORS(
        app,
        origins=list(settings.cors_origins),
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["X-Cache", "Retry-After", "Content-Disposition"],
        max_age=3600,
    )
